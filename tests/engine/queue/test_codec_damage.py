"""Damaged or forged messages with a correct checksum: each is refused, none aborts the process."""

import struct
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import polars as pl
import pytest
from engine.queue import mangle
from engine.queue.mangle import NOW, PREFIX, message, page, with_checksum, zones

from bizon.common.errors.errors import QueueError
from bizon.engine.queue import ipc
from bizon.engine.queue.codec import decode, encode
from bizon.engine.queue.flatbuffer import Table
from bizon.rows.frames import SOURCE_SCHEMA, empty_source_frame, records_to_frame
from bizon.source.models import SourceRecord

ROWS = 7
FAR = 2**62


@pytest.mark.parametrize("seed", [1, 2])
def test_hundreds_of_damaged_messages_are_refused_cleanly(seed: int) -> None:
    """It runs in another process, which Arrow once aborted by asking for too much memory."""
    command = [sys.executable, mangle.__file__, str(seed), "400"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-2000:]
    refused, read = map(int, done.stdout.split())
    assert refused > read > 0


def batch_of(rest: bytearray) -> tuple[int, bytes, Table]:
    """The record batch's metadata: their place, their bytes, and the batch in them."""
    zone = zones(bytes(rest))["batch"]
    metadata = bytes(rest[zone.start + 8 : zone.stop])
    batch = Table.root(metadata).table(2)
    assert batch is not None
    return zone.start + 8, metadata, batch


def place_of(batch: Table, field: int) -> int:
    place = batch._find(field)
    assert place is not None
    return place


def vector(batch: Table, metadata: bytes, field: int) -> int:
    """The place of the first item of a vector."""
    place = place_of(batch, field)
    return place + struct.unpack_from("<I", metadata, place)[0] + 4


def number_of_rows(rest: bytearray, value: int) -> None:
    begin, _, batch = batch_of(rest)
    struct.pack_into("<q", rest, begin + place_of(batch, 0), value)


def rows_of_a_column(rest: bytearray, value: int) -> None:
    begin, metadata, batch = batch_of(rest)
    struct.pack_into("<q", rest, begin + vector(batch, metadata, 1), value)


def rows_everywhere(rest: bytearray, value: int) -> None:
    begin, metadata, batch = batch_of(rest)
    number_of_rows(rest, value)
    for column in range(4):
        struct.pack_into("<q", rest, begin + vector(batch, metadata, 1) + 16 * column, value)


def nulls_of_a_column(rest: bytearray, value: int) -> None:
    begin, metadata, batch = batch_of(rest)
    struct.pack_into("<q", rest, begin + vector(batch, metadata, 1) + 8, value)


def offset_of_a_buffer(rest: bytearray, value: int) -> None:
    begin, metadata, batch = batch_of(rest)
    struct.pack_into("<q", rest, begin + vector(batch, metadata, 2) + 16, value)


def length_of_a_buffer(rest: bytearray, value: int) -> None:
    begin, metadata, batch = batch_of(rest)
    struct.pack_into("<q", rest, begin + vector(batch, metadata, 2) + 24, value)


def number_of_buffers(rest: bytearray, value: int) -> None:
    begin, metadata, batch = batch_of(rest)
    struct.pack_into("<q", rest, begin + vector(batch, metadata, 4) + 8, value)


def size_of_a_compressed_buffer(rest: bytearray, value: int) -> None:
    struct.pack_into("<q", rest, zones(bytes(rest))["body"].start, value)


def never(*_: object) -> None:
    raise AssertionError("Arrow has seen it")


SIZES = [
    number_of_rows,
    rows_of_a_column,
    rows_everywhere,
    nulls_of_a_column,
    offset_of_a_buffer,
    length_of_a_buffer,
    number_of_buffers,
    size_of_a_compressed_buffer,
]


LEFT_TO_ARROW = [  # compressed bytes that are too few, or none: the size of what they unpack to is right
    (size_of_a_compressed_buffer, -1),
    (length_of_a_buffer, ROWS + 1),
]


@pytest.mark.parametrize("value", [FAR, -FAR, -1, 2**36, ROWS + 1])
@pytest.mark.parametrize("damage", SIZES, ids=lambda damage: damage.__name__)
def test_a_wrong_size_is_refused_before_arrow_sees_it(
    damage: Callable[[bytearray, int], None], value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = bytearray(message(ROWS, compressed=True)[PREFIX:])
    damage(rest, value)
    if (damage, value) not in LEFT_TO_ARROW:
        monkeypatch.setattr(ipc.pl, "read_ipc_stream", never)
    with pytest.raises(QueueError, match=r"damaged \(page 3 of job 'job'\)"):
        decode(with_checksum(bytes(rest)))


def test_a_page_that_claims_to_unpack_to_more_than_is_allowed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = message(200, compressed=True)
    monkeypatch.setattr(ipc, "_SMALL", 1000)
    monkeypatch.setattr(ipc, "_RATIO", 1)
    with pytest.raises(QueueError, match=r"unpack to \d+ bytes, more than"):
        decode(payload)


def test_a_page_that_packs_better_than_is_allowed_travels_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipc, "_SMALL", 1000)
    frame = records_to_frame([SourceRecord(id="1", data={"same": "x" * 100_000})], NOW)
    payload = encode(page(frame))
    assert len(payload) > 100_000
    assert decode(payload).frame.equals(frame)


def test_a_text_that_many_rows_share_is_counted_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are there once, but every row would get a copy as soon as the page is written."""
    text = pl.Series("data", ["x" * 10_000]).new_from_index(0, 1000)
    frame = empty_source_frame().clear(1000).with_columns(text, id=pl.lit("1"), timestamp=pl.lit(NOW))
    payload = encode(page(frame.cast(dict(SOURCE_SCHEMA))), compressed=False)
    assert len(payload) < 1_000_000
    monkeypatch.setattr(ipc, "_SMALL", 1_000_000)
    monkeypatch.setattr(ipc, "_RATIO", 1)
    with pytest.raises(QueueError, match="has 10000000 bytes of text, more than 1000000"):
        decode(payload)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"data": pl.lit(None, pl.String)}, "nulls in data"),
        ({"id": pl.lit(None, pl.String)}, "nulls in id"),
        ({"timestamp": pl.lit(2**62).cast(SOURCE_SCHEMA["timestamp"])}, "timestamps before the year 1 or after 9999"),
        ({"timestamp": pl.lit(-(2**62)).cast(SOURCE_SCHEMA["timestamp"])}, "timestamps before the year 1"),
    ],
)
def test_values_that_no_source_frame_has_are_refused(change: dict[str, pl.Expr], told: str) -> None:
    frame = records_to_frame([SourceRecord(id="1", data={})], NOW)
    with pytest.raises(QueueError, match=told):
        decode(encode(page(frame.with_columns(**change))))


def test_text_that_is_not_utf_8_is_refused() -> None:
    rest = message(ROWS, compressed=False)[PREFIX:]
    with pytest.raises(QueueError, match="utf8"):
        decode(with_checksum(rest.replace("é".encode(), b"\xff\xff")))


def test_columns_of_other_types_are_refused() -> None:
    for frame in (pl.DataFrame({"a": [1]}), pl.DataFrame({"a": ["x"], "b": [[1]], "c": [1.0], "d": [None]})):
        with pytest.raises(QueueError, match="damaged"):
            decode(encode(page(frame)))


@pytest.mark.parametrize("compressed", [True, False])
def test_a_frame_in_pieces_travels_as_one(compressed: bool) -> None:
    one = records_to_frame([SourceRecord(id=str(n), data={"n": "x" * n}) for n in range(600)], NOW)
    several = pl.concat([one, one[3:40], one.clear(), one[599:]], rechunk=False)
    assert decode(encode(page(several), compressed=compressed)).frame.equals(several)


def test_moments_at_the_edges_travel() -> None:
    moments = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)]
    frame = records_to_frame([SourceRecord(id="1", data={}, timestamp=moment) for moment in moments], NOW)
    assert decode(encode(page(frame))).frame["timestamp"].to_list() == moments
