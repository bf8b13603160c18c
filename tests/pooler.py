"""A pooler in transaction mode that needs no program: each transaction of a client gets the next of a few sessions, so
whatever a session keeps is met by another transaction. PgBouncer (``pgbouncer.py``) often gives a client the same."""

import os
import selectors
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Thread

from postgres import Place
from psycopg import conninfo, pq

SESSIONS = 2
"""Sessions of the server, which all clients share."""
_AT_ONCE = 65_536  # bytes
_ENCRYPTION = (80877103, 80877104)  # a client asks for TLS or GSS before it starts
_CANCELLATION = 80877102
_TOLD = (b"server_version", b"server_encoding", b"client_encoding", b"standard_conforming_strings", b"TimeZone")
"""Settings that a server tells each client."""


class Session:
    """A session of the server. libpq logs in; from then on its socket belongs to the clients."""

    def __init__(self, place: Place) -> None:
        where = {"host": place.host, "port": place.port, "user": place.username, "dbname": place.database}
        secret = {"password": place.password} if place.password else {}
        text = conninfo.make_conninfo(**where, **secret, sslmode="disable", client_encoding="UTF8")
        self._login = pq.PGconn.connect(text.encode())
        assert self._login.status == pq.ConnStatus.OK, self._login.error_message
        self.socket = socket.socket(fileno=os.dup(self._login.socket))
        self.socket.setblocking(True)
        self._rest = b""

    def greeting(self) -> bytes:
        """The messages that a client expects from a server that lets it in."""
        told = ((name, self._login.parameter_status(name) or b"") for name in _TOLD)
        parts = [_message(b"R", struct.pack("!i", 0)), *(_message(b"S", b"%b\0%b\0" % pair) for pair in told)]
        return b"".join([*parts, _message(b"K", struct.pack("!ii", 0, 0)), _message(b"Z", b"I")])

    def ends(self, answer: bytes) -> bool:
        """Whether a transaction is over after this part of its answer."""
        self._rest += answer
        last = b""
        while len(self._rest) > 4 and len(self._rest) > (size := struct.unpack("!i", self._rest[1:5])[0]):
            last, self._rest = self._rest[: size + 1], self._rest[size + 1 :]
        return not self._rest and last == _message(b"Z", b"I")

    def close(self) -> None:
        """End the session."""
        self.socket.close()
        self._login.finish()


class Pooler:
    """Serves clients until it is closed, each on its own thread."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._idle: SimpleQueue[Session] = SimpleQueue()
        self._is_closed = False
        for _ in range(SESSIONS):
            self._idle.put(Session(place))
        Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Accept nobody any more, and end the idle sessions."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes up the thread that accepts
        self._listener.close()
        self._is_closed = True
        self._end_idle()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            if not _started(client):
                return
            session = self._idle.get()
            greeting = session.greeting()
            self._give_back(session)
            client.sendall(greeting)
            while (first := client.recv(_AT_ONCE)) and not first.startswith(b"X"):
                session = self._idle.get()
                is_clean = False
                try:
                    is_clean = _carried(client, session, first)
                finally:
                    if not is_clean:
                        session.close()
                        session = Session(self._place)
                    self._give_back(session)
                if not is_clean:
                    return

    def _give_back(self, session: Session) -> None:
        self._idle.put(session)
        if self._is_closed:
            self._end_idle()

    def _end_idle(self) -> None:
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()


@contextmanager
def pooled(place: Place) -> Iterator[Place]:
    """Within: the same place by way of the pooler."""
    pooler = Pooler(place)
    try:
        yield replace(place, host="127.0.0.1", port=pooler.port)
    finally:
        pooler.close()


def _carried(client: socket.socket, session: Session, first: bytes) -> bool:
    """Carry one transaction. False when the client or the server is gone before its end."""
    session.socket.sendall(first)
    with selectors.DefaultSelector() as ready:
        ready.register(client, selectors.EVENT_READ)
        ready.register(session.socket, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                data = key.fileobj.recv(_AT_ONCE)  # type: ignore[union-attr]  # both are sockets
                if not data:
                    return False
                if key.fileobj is client:
                    session.socket.sendall(data)
                    continue
                client.sendall(data)
                if session.ends(data):
                    return True


def _started(client: socket.socket) -> bool:
    """Read the message with which a client starts. False for one that only wants to cancel something."""
    while True:
        head = client.recv(8, socket.MSG_WAITALL)
        if len(head) < 8:
            return False
        size, code = struct.unpack("!ii", head)
        client.recv(size - 8, socket.MSG_WAITALL)
        if code not in _ENCRYPTION:
            return code != _CANCELLATION
        client.sendall(b"N")


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body
