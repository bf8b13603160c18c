"""The proxy through which tests break connections."""

import socket
import threading
from collections.abc import Iterator

import pytest
from proxy import Proxy


class Echo:
    """A server that echoes all data, and records it."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.got = bytearray()
        self.ended = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    self.got += data
                    connection.sendall(data)
            except OSError:
                pass
        self.ended.set()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.socket.shutdown(socket.SHUT_RDWR)
    server.socket.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", echo.port) as between:
        yield between


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with connect(proxy) as connection:
        yield connection


def connect(proxy: Proxy) -> socket.socket:
    connection = socket.create_connection((proxy.host, proxy.port), timeout=10)
    connection.settimeout(10)
    return connection


def read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := connection.recv(count - len(data))):
        data += more
    return data


def is_gone(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_bytes_pass_in_both_directions(client: socket.socket) -> None:
    sent = bytes(range(256)) * 4000
    sending = threading.Thread(target=client.sendall, args=(sent,))
    sending.start()
    assert read(client, len(sent)) == sent
    sending.join()


def test_a_client_that_ends_is_seen_by_the_server(client: socket.socket, echo: Echo) -> None:
    client.sendall(b"last")
    client.shutdown(socket.SHUT_WR)
    assert read(client, 10) == b"last"
    assert echo.ended.wait(10)


def test_nothing_passes_while_it_stalls_and_nothing_is_lost(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    client.sendall(b"before")
    assert read(client, 6) == b"before"
    proxy.stall()
    client.sendall(b"after")
    client.settimeout(0.05)
    with pytest.raises(TimeoutError):
        client.recv(1)
    assert echo.got == b"before"
    client.settimeout(10)
    proxy.resume()
    assert read(client, 5) == b"after"


def test_a_stalled_proxy_accepts_connections(proxy: Proxy) -> None:
    proxy.stall()
    with connect(proxy) as connection:
        connection.sendall(b"hello")
        proxy.resume()
        assert read(connection, 5) == b"hello"


def test_a_cut_drops_connections_and_refuses_new_ones(proxy: Proxy, client: socket.socket) -> None:
    client.sendall(b"x")
    assert read(client, 1) == b"x"
    proxy.cut()
    assert is_gone(client)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)


def test_a_cut_ends_a_stalled_connection(proxy: Proxy, client: socket.socket) -> None:
    proxy.stall()
    client.sendall(b"x")
    proxy.cut()
    assert is_gone(client)


def test_it_listens_on_the_same_port_again_after_a_cut(proxy: Proxy) -> None:
    for _ in range(3):
        proxy.cut()
        proxy.restore()
        with connect(proxy) as connection:
            connection.sendall(b"again")
            assert read(connection, 5) == b"again"


def test_a_half_closed_client_still_reaches_the_server(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    client.sendall(b"one")
    assert read(client, 3) == b"one"
    proxy.half_close()
    assert client.recv(1) == b""
    client.sendall(b"two")
    client.shutdown(socket.SHUT_WR)
    assert echo.ended.wait(10)
    assert echo.got == b"onetwo"


def test_a_slow_connection_passes_everything(proxy: Proxy, client: socket.socket, monkeypatch) -> None:
    naps: list[float] = []
    asleep = threading.Event()

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        asleep.set()

    monkeypatch.setattr("proxy.asyncio.sleep", nap)
    proxy.slow(1000)
    client.sendall(b"x" * 500)
    assert read(client, 500) == b"x" * 500
    assert sum(naps) == pytest.approx(1.0)  # half a second in each direction
    proxy.slow(None)
    client.sendall(b"y")
    assert read(client, 1) == b"y"
    assert sum(naps) == pytest.approx(1.0)


def test_an_unreachable_server_closes_the_connection() -> None:
    with Proxy("127.0.0.1", 1) as between, connect(between) as connection:
        assert is_gone(connection)
