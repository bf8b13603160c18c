"""Damaged or forged headers of messages with a correct checksum."""

import struct
from typing import Any

import orjson
import polars as pl
import pytest
from engine.queue.mangle import PREFIX, message, page, with_checksum, zones

from bizon.common.errors.errors import QueueError
from bizon.engine.queue import codec
from bizon.engine.queue.codec import ForeignMessageError, decode, encode
from bizon.rows.frames import empty_source_frame

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
    "a negative partition": {"partition": -1},
    "a partition that is a text": {"partition": "1"},
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
    with pytest.raises(QueueError, match=f"its header claims {length} bytes"):
        decode(with_checksum(struct.pack(">I", length) + rest[4:]))


def test_a_header_of_absurd_size_is_refused_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    large = page(empty_source_frame(), pagination={"left": "x" * 1000})
    payload = encode(large)
    monkeypatch.setattr(codec, "LARGEST_HEADER", 500)
    with pytest.raises(QueueError, match="its header claims"):
        decode(payload)
    too_large = r"page 3 are \d+ bytes of JSON, more than 500: return the place of the next page"
    with pytest.raises(QueueError, match=too_large):
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


def test_foreign_bytes_are_distinguished_from_damaged_messages() -> None:
    for foreign in (b"a message of another program", b"BZ\x02" + bytes(20)):
        with pytest.raises(ForeignMessageError, match="another version"):
            decode(foreign)
    with pytest.raises(QueueError) as caught:
        decode(message(1, compressed=True)[:-1])
    assert not isinstance(caught.value, ForeignMessageError)
