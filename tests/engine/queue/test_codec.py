"""The wire format of a queue message."""

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizon.common.errors.errors import QueueError
from bizon.engine.queue.codec import MAGIC, VERSION, decode, encode
from bizon.engine.queue.models import QueueMessage, Signal
from bizon.rows.frames import records_to_frame
from bizon.rows.rejects import records_and_rejects_to_frame
from bizon.source.models import SourceRecord

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
text = st.text(st.characters(exclude_categories=["Cs"]))
json_value = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
    max_leaves=10,
)


@given(
    records=st.lists(st.tuples(text, st.dictionaries(text, json_value), st.none() | text), max_size=5),
    pagination=st.dictionaries(text, json_value),
    state=st.none() | st.dictionaries(text, json_value),
    signal=st.none() | st.sampled_from(Signal),
    iteration=st.integers(0, 2**40),
    partition=st.none() | st.integers(0, 10_000),
    seconds=st.floats(0, 2**53),
    compressed=st.booleans(),
)
def test_an_encoded_message_is_decoded_unchanged(
    records: Any,
    pagination: dict[str, Any],
    state: Any,
    signal: Signal | None,
    iteration: int,
    partition: int | None,
    seconds: float,
    compressed: bool,
) -> None:
    rows = [SourceRecord(id=id_, data=data, destination_id=table) for id_, data, table in records]
    frame = records_to_frame(rows, NOW)
    sent = QueueMessage("job", 3, iteration, frame, NOW, pagination, state, signal, partition, seconds)
    received = decode(encode(sent, compressed=compressed))
    assert received.frame.equals(sent.frame)
    assert received.frame.schema == sent.frame.schema
    names = [
        field.name for field in fields(QueueMessage) if field.name not in ("frame", "number", "tag", "state_length")
    ]
    assert [getattr(received, name) for name in names] == [getattr(sent, name) for name in names]


@pytest.mark.parametrize("compressed", [True, False])
def test_refused_records_travel_with_their_reason(compressed: bool) -> None:
    frame = records_and_rejects_to_frame([SourceRecord(id=1, data={}), SourceRecord(id=2, data={"a": object()})], NOW)
    received = decode(encode(QueueMessage("job", 1, 0, frame, NOW), compressed=compressed))
    assert received.frame.equals(frame)
    assert received.frame["reason"].null_count() == 1


def test_a_message_of_another_version_is_refused() -> None:
    payload = bytearray(encode(QueueMessage("job", 1, 0, records_to_frame([], NOW), NOW)))
    assert payload[:3] == MAGIC + bytes([VERSION])
    payload[2] = VERSION + 1
    with pytest.raises(QueueError, match="another version"):
        decode(bytes(payload))


@pytest.mark.parametrize(
    "payload", [b"", b"BZ", b"BZ\x01\x00\x00\x00\x00", b"BZ\x01\x00\x00\x00\x09\x00\x00\x00\x02{}"]
)
def test_damaged_bytes_are_refused(payload: bytes) -> None:
    with pytest.raises(QueueError, match="damaged"):
        decode(payload)


def test_a_value_that_was_changed_on_the_way_is_refused() -> None:
    """Except for one value the message is intact: only the checksum shows it."""
    frame = records_to_frame([SourceRecord(id=1, data={"amount": 125000})], NOW)
    payload = encode(QueueMessage("job", 1, 0, frame, NOW), compressed=False)
    assert payload.count(b"125000") == 1
    with pytest.raises(QueueError, match="its checksum does not match"):
        decode(payload.replace(b"125000", b"925000"))


def test_a_torn_message_is_refused_wherever_it_is_torn() -> None:
    frame = records_to_frame([SourceRecord(id=1, data={"a": "b"})], NOW)
    payload = encode(QueueMessage("job", 1, 0, frame, NOW))
    for length in range(len(payload)):
        with pytest.raises(QueueError):
            decode(payload[:length])
