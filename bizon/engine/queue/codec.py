"""The wire format of a queue message, for every queue that leaves the process.

    magic "BZ" (2 bytes) | version (1) | CRC-32 of all that follows (4) | length of the header (4)
    | header, JSON | frame, Arrow IPC stream                                         integers are big endian

``decode(encode(message)) == message`` for every message. A reader refuses what is not its own version, and what is
torn or damaged.
"""

import io
import struct
import zlib
from datetime import datetime
from typing import Any

import orjson
import polars as pl

from bizon.common.errors.errors import QueueError
from bizon.engine.queue.models import QueueMessage, Signal

MAGIC = b"BZ"
VERSION = 1
_PREFIX = struct.Struct(">2sBI")
_HEADER_LENGTH = struct.Struct(">I")


def encode(message: QueueMessage, *, compressed: bool = True) -> bytes:
    """The message as bytes; uncompressed where they only cross a process boundary."""
    header = orjson.dumps(
        {
            "job_id": message.job_id,
            "epoch": message.epoch,
            "iteration": message.iteration,
            "extracted_at": message.extracted_at.isoformat(),
            "pagination": message.pagination,
            "next_state": message.next_state,
            "signal": message.signal,
        }
    )
    body = io.BytesIO()
    body.write(_HEADER_LENGTH.pack(len(header)))
    body.write(header)
    # Polars locks a frame while it writes to a Python file, and needs the interpreter meanwhile: a thread that has the
    # interpreter and looks at the same frame would wait for ever. A clone has the same columns and a lock of its own.
    message.frame.clone().write_ipc_stream(body, compression="zstd" if compressed else "uncompressed")
    return _PREFIX.pack(MAGIC, VERSION, zlib.crc32(body.getbuffer())) + body.getbuffer()


def decode(payload: bytes) -> QueueMessage:
    """The message back. Raises QueueError when the bytes are no message of this version."""
    try:
        magic, version, checksum = _PREFIX.unpack_from(payload)
        if magic != MAGIC or version != VERSION:
            raise QueueError(f"not a message of wire format {VERSION}: was it written by another version of bizon?")
        rest = memoryview(payload)[_PREFIX.size :]
        if zlib.crc32(rest) != checksum:
            raise QueueError("a queue message is damaged: its checksum does not match")
        body = _HEADER_LENGTH.size + _HEADER_LENGTH.unpack_from(rest)[0]
        header: dict[str, Any] = orjson.loads(rest[_HEADER_LENGTH.size : body])
        frame = pl.read_ipc_stream(io.BytesIO(rest[body:]))
        return QueueMessage(
            job_id=header["job_id"],
            epoch=header["epoch"],
            iteration=header["iteration"],
            frame=frame,
            extracted_at=datetime.fromisoformat(header["extracted_at"]),
            pagination=header["pagination"],
            next_state=header["next_state"],
            signal=None if header["signal"] is None else Signal(header["signal"]),
        )
    except (struct.error, ValueError, KeyError, pl.exceptions.PolarsError) as error:
        raise QueueError(f"a queue message is damaged: {type(error).__name__}: {error}") from error
