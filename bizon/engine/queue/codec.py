"""The wire format of a queue message, for every queue that leaves the process.

    magic "BZ" (2 bytes) | version (1) | CRC-32 of all that follows (4) | length of the header (4)
    | header, JSON | frame, Arrow IPC stream                                         integers are big endian

``decode(encode(message)) == message`` for every message. A reader refuses other versions, and torn or damaged bytes
even with a correct checksum: a message may have been damaged before it was sent, or forged.
"""

import io
import struct
import zlib
from datetime import datetime
from typing import Any

import orjson
import polars as pl

from bizon.common.errors.errors import QueueError
from bizon.engine.queue.ipc import read_frame, write_frame
from bizon.engine.queue.models import QueueMessage, Signal

MAGIC = b"BZ"
VERSION = 1
LARGEST_HEADER = 32 * 1024 * 1024  # bytes; pagination and state of a page, which must fit into a checkpoint
_PREFIX = struct.Struct(">2sBI")
_HEADER_LENGTH = struct.Struct(">I")
_HEADER: dict[str, tuple[type, ...]] = {
    "job_id": (str,),
    "epoch": (int,),
    "iteration": (int,),
    "extracted_at": (str,),
    "pagination": (dict,),
    "next_state": (dict, type(None)),
    "signal": (str, type(None)),
}
_LARGEST_NUMBER = 2**53  # largest epoch and iteration
_LONGEST = 200  # characters that name a message in an error: a forged one may have a long name
_DAMAGED = (struct.error, ValueError, KeyError, TypeError, OverflowError)


class ForeignMessageError(QueueError):
    """Bytes that do not claim to be a message of this version: from another program, or another release."""


def encode(message: QueueMessage, *, compressed: bool = True) -> bytes:
    """The message as bytes, uncompressed if they only cross a process boundary. Raises QueueError for a page whose
    pagination and state are larger than a reader accepts."""
    header = orjson.dumps(
        {
            "job_id": message.job_id,
            "epoch": message.epoch,
            "iteration": message.iteration,
            "extracted_at": message.extracted_at.isoformat(),
            "pagination": message.pagination,
            "next_state": message.next_state,
            "signal": message.signal,
            **({} if message.partition is None else {"partition": message.partition}),
            "fetch_seconds": message.fetch_seconds,
        }
    )
    if len(header) > LARGEST_HEADER:
        raise QueueError(
            f"next_pagination and next_state of page {message.iteration} are {len(header)} bytes of JSON, more than "
            f"{LARGEST_HEADER}: return the place of the next page, not the list of what is left"
        )
    body = io.BytesIO()
    body.write(_HEADER_LENGTH.pack(len(header)))
    body.write(header)
    write_frame(message.frame, body, compressed=compressed)
    return _PREFIX.pack(MAGIC, VERSION, zlib.crc32(body.getbuffer())) + body.getbuffer()


def decode(payload: bytes) -> QueueMessage:
    """The message in these bytes. Raises ForeignMessageError when they are not a message of this version, QueueError
    when they are a damaged one."""
    where = "a queue message is damaged"
    try:
        magic, version, checksum = _PREFIX.unpack_from(payload)
        if magic != MAGIC or version != VERSION:
            raise ForeignMessageError(
                f"not a message of wire format {VERSION}: was it written by another version of bizon?"
            )
        rest = memoryview(payload)[_PREFIX.size :]
        if zlib.crc32(rest) != checksum:
            raise QueueError(f"{where}: its checksum does not match")
        (length,) = _HEADER_LENGTH.unpack_from(rest)
        body = _HEADER_LENGTH.size + length
        if length > min(LARGEST_HEADER, len(rest) - _HEADER_LENGTH.size):
            raise ValueError(f"its header claims {length} bytes")
        header: dict[str, Any] = orjson.loads(rest[_HEADER_LENGTH.size : body])
        where += f" (page {header['iteration']} of job '{header['job_id']}')"
        return _message(header, read_frame(rest[body:]), length)
    except (*_DAMAGED, pl.exceptions.PolarsError) as error:
        raise QueueError(f"{where[:_LONGEST]}: {type(error).__name__}: {error}") from error


def _message(header: dict[str, Any], frame: pl.DataFrame, length: int) -> QueueMessage:
    """Raises ValueError, TypeError or KeyError for a header that ``encode`` cannot have written."""
    for name, kinds in _HEADER.items():
        if type(header[name]) not in kinds:  # True is an int, too
            raise TypeError(f"{name} is {type(header[name]).__name__}")
    extracted_at = datetime.fromisoformat(header["extracted_at"])
    if extracted_at.utcoffset() is None:
        raise ValueError("extracted_at has no time zone")
    partition = header.get("partition")
    if type(partition) not in (int, type(None)):
        raise TypeError(f"partition is {type(partition).__name__}")
    seconds = header.get("fetch_seconds", 0.0)  # older releases do not send it
    if type(seconds) is not float:
        raise TypeError(f"fetch_seconds is {type(seconds).__name__}")
    numbers = (header["epoch"], header["iteration"], partition or 0, seconds)
    if min(numbers) < 0 or max(numbers) > _LARGEST_NUMBER:
        raise ValueError("epoch is {}, iteration {}, partition {}, fetch_seconds {}".format(*numbers))
    return QueueMessage(
        job_id=header["job_id"],
        epoch=header["epoch"],
        iteration=header["iteration"],
        frame=frame,
        extracted_at=extracted_at,
        pagination=header["pagination"],
        next_state=header["next_state"],
        signal=None if header["signal"] is None else Signal(header["signal"]),
        partition=partition,
        fetch_seconds=seconds,
        state_length=length,
    )
