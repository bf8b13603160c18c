"""Splits a message that is larger than the broker accepts into pieces, and joins them.

    magic "BP" (2 bytes) | version (1) | id of the message (16) | number of the piece (4) | number of pieces (4) | bytes
                                                                                              integers are big endian

A message that fits travels as it is. Pieces are sent in order; repeated or reordered pieces do no harm.
"""

import struct
from uuid import uuid4

from bizon.common.errors.errors import QueueError

_MAGIC = b"BP"
_VERSION = 1
_HEADER = struct.Struct(">2sB16sII")
_INCOMPLETE = 4  # incomplete messages that are kept: a killed producer never completes its message


def split(payload: bytes, limit: int) -> list[bytes]:
    """The payload as messages of at most ``limit`` bytes each. Raises QueueError when ``limit`` is too small."""
    if len(payload) <= limit:
        return [payload]
    room = limit - _HEADER.size
    if room <= 0:
        raise QueueError(f"messages of at most {limit} bytes are too small for the queue: allow at least 1 kB")
    identity, count = uuid4().bytes, -(-len(payload) // room)
    return [
        _HEADER.pack(_MAGIC, _VERSION, identity, number, count) + payload[number * room : (number + 1) * room]
        for number in range(count)
    ]


class Joiner:
    """Joins pieces. Used by the consumer, on one thread."""

    def __init__(self) -> None:
        self._incomplete: dict[bytes, tuple[int, dict[int, bytes]]] = {}  # their number, and those that have arrived

    def add(self, body: bytes) -> bytes | None:
        """The message that ``body`` is or completes; None while pieces are missing. Raises QueueError for a piece that
        is damaged or has another version."""
        if body[:2] != _MAGIC:
            return body
        try:
            _, version, identity, number, count = _HEADER.unpack_from(body)
        except struct.error:
            raise QueueError("a piece of a queue message is damaged") from None
        if version != _VERSION or number >= count:
            raise QueueError(f"not a piece of format {_VERSION}: was it written by another version of bizon?")
        known, pieces = self._incomplete.pop(identity, (count, {}))
        if known != count:
            raise QueueError(f"a piece of a queue message is damaged: it claims {count} pieces, others {known}")
        pieces[number] = body[_HEADER.size :]
        if len(pieces) == count:
            return b"".join(pieces[index] for index in range(count))
        self._incomplete[identity] = count, pieces
        if len(self._incomplete) > _INCOMPLETE:
            del self._incomplete[next(iter(self._incomplete))]
        return None
