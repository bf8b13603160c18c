"""The frame of a queue message as an Arrow IPC stream, looked at before Arrow reads it.

Arrow trusts the sizes in a stream: one that is wrong makes it ask for memory that is not there, and the process is
aborted. A checksum does not help against bytes that were damaged before it was made, or that somebody forged. So what
was received is taken apart here, and only what can have been written by ``write_frame`` is put together again:

    schema of this release | one record batch, its sizes checked against each other and against the bytes | end

The schema that was received is left out: columns are told by their number. What Arrow finds wrong with the values
themselves (text that is no UTF-8, compressed bytes that are damaged) it says in an error.
"""

import io
import struct
from datetime import UTC, datetime
from functools import cache

import polars as pl

from bizon.common.clock import microseconds
from bizon.engine.queue.flatbuffer import Table
from bizon.rows.frames import SOURCE_SCHEMA
from bizon.rows.rejects import REJECT_SCHEMA

_SCHEMAS = {len(schema): schema for schema in (SOURCE_SCHEMA, pl.Schema({**SOURCE_SCHEMA, **REJECT_SCHEMA}))}
_SMALL = 64 * 1024 * 1024  # bytes that any message may unpack to
_RATIO = 100  # bytes that each byte of a larger one may unpack to; write_frame leaves what packs better unpacked
_START = struct.Struct("<4sI")  # of each message in a stream: a marker, the length of its metadata
_MARKER = b"\xff\xff\xff\xff"
_END = _START.pack(_MARKER, 0)
_UNPACKED_SIZE = struct.Struct("<q")  # before each compressed buffer
_STORED = -1  # in its place: the buffer is not compressed after all
_NOTHING = -1  # size of a buffer that does not even say how large it is; Arrow reads it only as the nulls of a column
_VERSION, _RECORD_BATCH, _ZSTD = 4, 3, 1  # of the format, of a message, of its compression
_VIEW, _MOMENT = 16, 8  # bytes of each row in a column of text, and of moments
_FIRST, _LAST = (microseconds(moment.replace(tzinfo=UTC)) for moment in (datetime.min, datetime.max))  # noqa: DTZ901


def write_frame(frame: pl.DataFrame, file: io.BytesIO, *, compressed: bool) -> None:
    """Append the frame to ``file``."""
    begin = file.tell()
    # Polars locks a frame while it writes to a Python file, and needs the interpreter meanwhile: a thread that has the
    # interpreter and looks at the same frame would wait for ever. A clone has the same columns and a lock of its own.
    frame.clone().write_ipc_stream(file, compression="zstd" if compressed else "uncompressed")
    if compressed and frame.estimated_size() > _largest(file.tell() - begin) // 2:
        file.seek(begin)
        file.truncate()
        frame.clone().write_ipc_stream(file, compression="uncompressed")


def read_frame(stream: memoryview) -> pl.DataFrame:
    """The frame back. Raises ValueError, struct.error or a PolarsError when ``write_frame`` cannot have written it."""
    batch = stream[_length(stream) :]
    metadata_ends = _length(batch)
    columns, buffers = _check(bytes(batch[_START.size : metadata_ends]), batch[metadata_ends:], _largest(len(stream)))
    try:
        frame = pl.read_ipc_stream(io.BytesIO(b"".join((_schema_message(columns), batch))))
    except pl.exceptions.PanicException as error:  # no Exception, so that nobody would expect it
        raise ValueError(f"Arrow gives up: {error}") from None
    _check_values(frame, columns, buffers, _largest(len(stream)))
    return frame


def _largest(received: int) -> int:
    return max(_SMALL, _RATIO * received)


def _length(message: memoryview) -> int:
    """Bytes of a message in a stream, without its body."""
    marker, length = _START.unpack_from(message)
    if marker != _MARKER or not 0 < length <= len(message) - _START.size:
        raise ValueError("the frame is torn")
    return _START.size + int(length)


@cache
def _schema_message(columns: int) -> bytes:
    file = io.BytesIO()
    _SCHEMAS[columns].to_frame().write_ipc_stream(file)
    written = file.getbuffer()
    return bytes(written[: _length(written)])


def _check(metadata: bytes, body: memoryview, largest: int) -> tuple[int, list[int]]:
    """Compare all that the metadata of a record batch says with each other and with the body, which the end of the
    stream follows. The number of its columns, and for each of text how many buffers its long values are in."""
    message = Table.root(metadata)
    length = message.number(3, "q")
    if message.number(0, "h") != _VERSION or message.number(1, "B") != _RECORD_BATCH:
        raise ValueError("the frame holds something else than one record batch")
    if length != len(body) - len(_END) or body[length:] != _END:
        raise ValueError(f"the frame says that it has {length} bytes, and {len(body)} follow")
    batch = message.table(2)
    if batch is None:
        raise ValueError("the frame has no record batch")
    rows, nodes, buffers = batch.number(0, "q"), batch.vector(1, "qq"), batch.vector(2, "qq")
    if len(nodes) not in _SCHEMAS or rows < 0 or any(node[0] != rows or not 0 <= node[1] <= rows for node in nodes):
        raise ValueError(f"the frame does not have {rows} rows in each of its {len(nodes)} columns")
    sizes = _sizes(buffers, body[:length], compressed=_is_compressed(batch))
    more = [count for (count,) in batch.vector(4, "q")]
    _check_sizes(sizes, rows, [nulls for _, nulls in nodes], more)
    if sum(sizes) > largest:
        raise ValueError(f"the frame says that it unpacks to {sum(sizes)} bytes, more than {largest}")
    return len(nodes), more


def _is_compressed(batch: Table) -> bool:
    compression = batch.table(3)
    if compression is not None and (compression.number(0, "b"), compression.number(1, "b")) != (_ZSTD, 0):
        raise ValueError("the frame is compressed in an unknown way")
    return compression is not None


def _sizes(buffers: list[tuple[int, ...]], body: memoryview, *, compressed: bool) -> list[int]:
    """Bytes of each buffer, once unpacked; buffers lie one behind the other."""
    sizes, place = [], 0
    for offset, length in buffers:
        if offset < place or length < 0 or offset + length > len(body):
            raise ValueError(f"the frame has a buffer of {length} bytes at {offset} of {len(body)}")
        place = offset + length
        sizes.append(_unpacked(body[offset:place]) if compressed else length)
    return sizes


def _unpacked(buffer: memoryview) -> int:
    if not buffer:
        return _NOTHING
    (size,) = _UNPACKED_SIZE.unpack_from(buffer)
    if size == _STORED:
        return len(buffer) - _UNPACKED_SIZE.size
    if size < 0:
        raise ValueError(f"the frame has a buffer that unpacks to {size} bytes")
    return int(size)


def _check_sizes(sizes: list[int], rows: int, nulls: list[int], more: list[int]) -> None:
    """Each column has a bitmap of its nulls, if any, and a value per row; one of text has ``more`` buffers of bytes."""
    bitmaps = range(-(-rows // 8), -(-rows // 64) * 8 + 1)
    if min(more, default=0) < 0:
        raise ValueError("the frame has less than no buffers of text")
    waiting, counts = iter(sizes), iter(more)
    for dtype, missing in zip(_SCHEMAS[len(nulls)].values(), nulls, strict=True):
        bitmap, values = next(waiting, None), next(waiting, None)
        is_text = dtype == pl.String
        has_nulls = bitmap in bitmaps or (bitmap in (0, _NOTHING) and not missing)
        if not has_nulls or values != rows * (_VIEW if is_text else _MOMENT):
            raise ValueError(f"the frame has columns of {bitmap} and {values} bytes for {rows} rows")
        for _ in range(next(counts, 0) if is_text else 0):
            if next(waiting, _NOTHING) == _NOTHING:
                raise ValueError("the frame lacks buffers")
    if next(waiting, None) is not None or next(counts, None) is not None:
        raise ValueError("the frame has more buffers than columns need")


def _check_values(frame: pl.DataFrame, columns: int, buffers: list[int], largest: int) -> None:
    """Nulls only where a source frame may have some; moments that have a year; not more text than is allowed, as many
    rows may share the same bytes."""
    if frame.schema != _SCHEMAS[columns]:
        raise ValueError(f"the frame has the columns {frame.schema}")
    missing = [name for name in ("id", "data", "timestamp") if frame[name].null_count()]
    if missing:
        raise ValueError(f"the frame has nulls in {' and '.join(missing)}")
    moments = frame["timestamp"].cast(pl.Int64)
    if frame.height and not (_FIRST <= moments.min() <= moments.max() <= _LAST):  # type: ignore[operator]  # nulls are refused above
        raise ValueError("the frame has timestamps before the year 1 or after 9999")
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    # a value without a buffer is a few bytes, which were counted as a part of its row
    total = sum(frame[name].str.len_bytes().sum() for name, count in zip(texts, buffers, strict=True) if count)
    if total > largest:
        raise ValueError(f"the frame has {total} bytes of text, more than {largest}")
