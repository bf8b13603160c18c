"""Messages that were damaged, or forged, with a right checksum: each is refused, none ends the process."""

import struct
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import polars as pl
import pytest
from engine.queue import mangle
from engine.queue.mangle import NOW, PREFIX, message, with_checksum, zones

from bizon.common.errors.errors import QueueError
from bizon.engine.queue import codec, ipc
from bizon.engine.queue.codec import StrangerError, decode, encode
from bizon.engine.queue.flatbuffer import Table
from bizon.engine.queue.models import QueueMessage
from bizon.rows.frames import SOURCE_SCHEMA, empty_source_frame, records_to_frame
from bizon.source.models import SourceRecord

ROWS = 7
FAR = 2**62


@pytest.mark.parametrize("seed", [1, 2])
def test_hundreds_of_damages_are_survived(seed: int) -> None:
    """In a process of its own: Arrow used to abort it, by asking for memory that is not there."""
    command = [sys.executable, mangle.__file__, str(seed), "400"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-2000:]
    refused, read = map(int, done.stdout.split())
    assert refused > read > 0


def page(frame: pl.DataFrame, **changes: Any) -> QueueMessage:
    return QueueMessage(**{"job_id": "job", "epoch": 1, "iteration": 3, "frame": frame, "extracted_at": NOW, **changes})


def batch_of(rest: bytearray) -> tuple[int, bytes, Table]:
    """Where the metadata of the record batch begin, they themselves, and the batch in them."""
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
    """Where the items of a vector begin."""
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
    with pytest.raises(QueueError, match=r"unpacks to \d+ bytes, more than"):
        decode(payload)


def test_a_page_that_packs_better_than_is_allowed_travels_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipc, "_SMALL", 1000)
    frame = records_to_frame([SourceRecord(id="1", data={"same": "x" * 100_000})], NOW)
    payload = encode(page(frame))
    assert len(payload) > 100_000
    assert decode(payload).frame.equals(frame)


def test_a_text_that_many_rows_share_is_counted_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are there once, and would be as often as there are rows as soon as they are written somewhere."""
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


def test_text_that_is_no_utf_8_is_refused() -> None:
    rest = message(ROWS, compressed=False)[PREFIX:]
    with pytest.raises(QueueError, match="utf8"):
        decode(with_checksum(rest.replace("é".encode(), b"\xff\xff")))


def test_columns_of_other_types_are_refused() -> None:
    for frame in (pl.DataFrame({"a": [1]}), pl.DataFrame({"a": ["x"], "b": [[1]], "c": [1.0], "d": [None]})):
        with pytest.raises(QueueError, match="damaged"):
            decode(encode(page(frame)))


HEADERS: dict[str, Any] = {
    "a list": [],
    "a text": "x",
    "a number": 7,
    "without a job": {"job_id": None},
    "a job that is a number": {"job_id": 7},
    "an epoch that is true": {"epoch": True},
    "a negative page": {"iteration": -1},
    "a page beyond all": {"iteration": 2**63},
    "an epoch beyond all": {"epoch": 2**64 - 1},
    "a page that is a text": {"iteration": "1"},
    "a pagination that is a list": {"pagination": [1]},
    "no pagination": {"pagination": None},
    "a state that is a text": {"next_state": "x"},
    "a moment without a zone": {"extracted_at": "2026-01-01"},
    "no moment": {"extracted_at": "yesterday"},
    "a moment that is a number": {"extracted_at": 0},
    "an unknown end": {"signal": "maybe"},
    "an end that is a number": {"signal": 1},
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_that_no_release_writes_is_refused(header: Any) -> None:
    rest = message(1, compressed=True)[PREFIX:]
    ends = zones(rest)["header"].stop
    if isinstance(header, dict):
        header = {**orjson.loads(rest[4:ends]), **header}
    text = orjson.dumps(header)
    with pytest.raises(QueueError, match="damaged"):
        decode(with_checksum(struct.pack(">I", len(text)) + text + rest[ends:]))


@pytest.mark.parametrize("length", [2**32 - 1, 2**31, 10_000])
def test_a_header_that_is_longer_than_the_message_is_refused(length: int) -> None:
    rest = message(1, compressed=True)[PREFIX:]
    with pytest.raises(QueueError, match=f"its header has {length} bytes"):
        decode(with_checksum(struct.pack(">I", length) + rest[4:]))


def test_a_header_of_absurd_size_is_refused_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    large = page(empty_source_frame(), pagination={"left": "x" * 1000})
    payload = encode(large)
    monkeypatch.setattr(codec, "LARGEST_HEADER", 500)
    with pytest.raises(QueueError, match="its header has"):
        decode(payload)
    with pytest.raises(QueueError, match=r"page 3 are \d+ bytes of JSON, more than 500: return where to go on"):
        encode(large)


def test_a_header_nested_beyond_all_depth_is_refused() -> None:
    text = b"[" * 100_000
    with pytest.raises(QueueError, match="damaged"):
        decode(with_checksum(struct.pack(">I", len(text)) + text))


def test_a_long_name_in_a_forged_message_does_not_fill_the_log() -> None:
    forged = encode(page(pl.DataFrame({"a": [1]}), job_id="x" * 100_000))
    with pytest.raises(QueueError) as caught:
        decode(forged)
    assert len(str(caught.value)) < 1000


def test_strangers_are_told_from_what_is_damaged() -> None:
    for stranger in (b"a message of another program", b"BZ\x02" + bytes(20)):
        with pytest.raises(StrangerError, match="another version"):
            decode(stranger)
    with pytest.raises(QueueError) as caught:
        decode(message(1, compressed=True)[:-1])
    assert not isinstance(caught.value, StrangerError)


@pytest.mark.parametrize("compressed", [True, False])
def test_a_frame_in_pieces_travels_as_one(compressed: bool) -> None:
    one = records_to_frame([SourceRecord(id=str(n), data={"n": "x" * n}) for n in range(600)], NOW)
    several = pl.concat([one, one[3:40], one.clear(), one[599:]], rechunk=False)
    assert decode(encode(page(several), compressed=compressed)).frame.equals(several)


def test_moments_at_the_edges_travel() -> None:
    moments = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)]
    frame = records_to_frame([SourceRecord(id="1", data={}, timestamp=moment) for moment in moments], NOW)
    assert decode(encode(page(frame))).frame["timestamp"].to_list() == moments
