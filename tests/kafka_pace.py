"""A proxy before a Kafka broker that answers a fetch at once even when it has no messages."""

import asyncio
from contextlib import suppress

from proxy import Proxy

_FETCH = (1).to_bytes(2, "big")  # the key of the request
_PAUSE = 0.01  # seconds; a real broker waits longer for messages


class PacedKafka(Proxy):
    """Delays each fetch, so that a consumer without messages does not keep two processors busy. Clients reach the
    broker only through the proxy: in its answers the address of the proxy replaces its own."""

    def __init__(self, url: str) -> None:
        host, _, port = url.rpartition(":")
        super().__init__(host, int(port))
        self._theirs = host.encode() + int(port).to_bytes(4, "big")
        self._ours = self.host.encode() + self.port.to_bytes(4, "big")

    @property
    def url(self) -> str:
        return f"{self.host}:{self.port}"

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_client = self._writers[writer]
        with suppress(asyncio.IncompleteReadError):
            while True:
                size = await reader.readexactly(4)
                message = await reader.readexactly(int.from_bytes(size, "big"))
                if to_client:
                    message = message.replace(self._theirs, self._ours)
                elif message.startswith(_FETCH):
                    await asyncio.sleep(_PAUSE)
                writer.write(size + message)
                await writer.drain()
        if writer.can_write_eof():
            with suppress(OSError):
                writer.write_eof()
