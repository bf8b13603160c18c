"""A TCP proxy between a client and a server that can stall, cut, slow down and half-close connections.

    with Proxy("127.0.0.1", 5672) as proxy:
        client.connect(proxy.host, proxy.port)
        proxy.cut()
        ...
        proxy.restore()

It runs on a separate thread. Its methods may be called from any thread, and return once they have taken effect.
"""

import asyncio
import socket
import ssl
from collections.abc import Coroutine
from contextlib import suppress
from threading import Thread
from typing import Any, Self

_CHUNK = 64 * 1024


class Proxy:
    """Listens on a free port, which stays the same. ``tls``: clients use TLS, the server does not; such a connection
    cannot be half-closed."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._target = (host, port)
        self._tls = tls
        self._held = _bound(0)  # keeps the port while nothing listens on it
        self.host, self.port = self._held.getsockname()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._rate: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: dict[asyncio.StreamWriter, bool] = {}
        self.accepted = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._flowing.set()
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._held.close()

    def stall(self) -> None:
        """Stop the flow of data; connections stay open, and new ones are accepted."""
        self._do(self._set_flowing(False))

    def resume(self) -> None:
        """Restart the flow, starting with the data that was held back."""
        self._do(self._set_flowing(True))

    def cut(self) -> None:
        """Cut all connections, and refuse new ones."""
        self._do(self._cut())

    def restore(self) -> None:
        """Accept new connections again."""
        self._do(self._listen())

    def half_close(self) -> None:
        """Close the direction from the server to its clients; data of the clients still reaches the server."""
        self._do(self._half_close())

    def slow(self, bytes_per_second: float | None) -> None:
        """Limit each direction of each connection; None = no limit."""
        self._rate = bytes_per_second

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _set_flowing(self, flowing: bool) -> None:
        if flowing:
            self._flowing.set()
        else:
            self._flowing.clear()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, sock=_bound(self.port), ssl=self._tls)

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _half_close(self) -> None:
        for writer, to_client in self._writers.items():
            if to_client and not writer.is_closing():
                writer.write_eof()

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers[to_client] = True
        self.accepted += 1
        to_server: asyncio.StreamWriter | None = None
        try:
            from_server, to_server = await asyncio.open_connection(*self._target)
            self._writers[to_server] = False
            await asyncio.gather(self._pump(from_client, to_server), self._pump(from_server, to_client))
        except (OSError, asyncio.CancelledError):
            pass  # one side has gone, or the connection was cut; the other side is closed below
        finally:
            self._tasks.discard(task)
            for writer in filter(None, (to_client, to_server)):
                self._writers.pop(writer, None)
                writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._flowing.wait()
            if self._rate is not None:
                await asyncio.sleep(len(data) / self._rate)
            if not writer.transport.is_closing():
                with suppress(RuntimeError):  # half-closed: nobody reads the data any more
                    writer.write(data)
                await writer.drain()
        await self._flowing.wait()
        if writer.can_write_eof():
            with suppress(OSError):
                writer.write_eof()


def _bound(port: int) -> socket.socket:
    """A socket that does not listen yet. Several sockets may be bound to a port, as long as only one listens."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound
