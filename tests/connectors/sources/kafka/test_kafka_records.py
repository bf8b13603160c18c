"""The record of a message, by encoding, on a real broker."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from connectors.sources.kafka.kafka_kit import config, numbered, opened, produce, read_all, rows, stream

Topics = Callable[..., str]
NOON = datetime(2026, 3, 4, 12, 0, 0, 123000, UTC)


def records_of(url: str, topic: str, **keys: Any) -> list[dict[str, Any]]:
    with opened(config(url, topic, **keys)) as source:
        return [row for page in read_all(source) for row in rows(page)]


def test_a_record_names_its_topic_partition_and_offset(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics(partitions=2)
    moment = int(NOON.timestamp() * 1000)
    produce(kafka_url, topic, [b'{"a":1}'], partition=1, key=b'{"id":7}', headers={"h": b"x"}, timestamp=moment)
    (record,) = records_of(kafka_url, topic)
    assert record == {
        "id": "partition_1_offset_0",
        "timestamp": NOON,
        "destination_id": None,
        "data": {
            "topic": topic,
            "offset": 0,
            "partition": 1,
            "timestamp": moment,
            "keys": {"id": 7},
            "headers": {"h": "x"},
            "value": {"a": 1},
        },
    }


def test_an_invalid_timestamp_is_replaced_by_the_time_of_arrival(kafka_url: str, kafka_topics: Topics) -> None:
    """Producers may send any number."""
    topic = kafka_topics()
    produce(kafka_url, topic, [b"1"], timestamp=2**62)
    (record,) = records_of(kafka_url, topic)
    assert abs(record["timestamp"] - datetime.now(UTC)) < timedelta(minutes=5)
    assert record["data"]["timestamp"] == 2**62


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (None, None),
        (b"", ""),
        (b"text", "text"),
        (b"12", 12),
        (b'["a"]', ["a"]),
        ("é".encode(), "é"),
        (b'a"b\\', 'a"b\\'),
    ],
)
def test_keys_are_json_or_text(kafka_url: str, kafka_topics: Topics, key: bytes | None, shown: Any) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, [b"1"], key=key)
    assert [record["data"]["keys"] for record in records_of(kafka_url, topic)] == [shown]


def test_messages_whose_keys_are_not_json_may_be_skipped(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    for number, key in enumerate([b"text", b'{"id":1}', None, b"{"]):
        produce(kafka_url, topic, numbered([number]), key=key)
    found = records_of(kafka_url, topic, skip_message_invalid_keys=True)
    assert [record["data"]["value"]["n"] for record in found] == [1, 2]


@pytest.mark.lesson("0.3.3")
def test_headers_are_texts_or_base64(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    headers = [("a", b"1"), ("b", None), ("c", b"\xff\x01"), ("a", b"2"), ("a", None), ('"', b"}")]
    produce(kafka_url, topic, [b"1"], headers=headers)
    produce(kafka_url, topic, [b"2"])
    first, second = (record["data"]["headers"] for record in records_of(kafka_url, topic))
    assert first == {"a": ["1", "2", None], "b": None, "c": {"base64": "/wE="}, '"': "}"}
    assert second == {}


def test_tombstones_are_skipped_or_delivered_as_null(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, [b"1", None, b"2"])
    assert [record["data"]["value"] for record in records_of(kafka_url, topic)] == [1, 2]
    found = records_of(kafka_url, topic, skip_message_empty_value=False)
    assert [record["data"]["value"] for record in found] == [1, None, 2]


@pytest.mark.parametrize("encoding", ["utf-8", "bytes"])
@pytest.mark.parametrize("skip", [True, False])
def test_an_empty_text_is_a_value_and_not_a_tombstone(
    kafka_url: str, kafka_topics: Topics, skip: bool, encoding: str
) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, [b""], key=b"")
    (record,) = records_of(kafka_url, topic, skip_message_empty_value=skip, message_encoding=encoding)
    assert (record["data"]["keys"], record["data"]["value"]) == ("", "")


def test_binary_keys_keep_their_value_and_say_so(kafka_url: str, kafka_topics: Topics) -> None:
    """They used to become text, where all invalid UTF-8 looks the same: different keys became equal."""
    topic = kafka_topics()
    keys = [b"\xff", b"\xfe", b"plain", b'{"name":"caf\xe9"}']
    for key in keys:
        produce(kafka_url, topic, [b"1"], key=key)
    found = [record["data"] for record in records_of(kafka_url, topic)]
    assert [each.get("keys_encoding") for each in found] == ["base64", "base64", None, "base64"]
    assert [base64.b64decode(each["keys"]) for each in found if "keys_encoding" in each] == [keys[0], keys[1], keys[3]]
    assert found[2]["keys"] == "plain"


def test_a_repair_changes_only_the_broken_text(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    amount = b'"amount": 12345678901234567.89, "rate":1e400,"n":1.10'
    broken = {
        b'{"memo":"tab\there",%s}': '{"memo":"tab\\u0009here",%s}',
        b'{"memo":"caf\xe9",%s}': '{"memo":"caf\ufffd",%s}',
        b'{"memo":"\\ud83d",%s}': '{"memo":"\ufffd",%s}',
        b'{"x":NaN,%s}': '{"x":null,%s}',
        b"\xef\xbb\xbf{%s}": "{%s}",
        b"{%s}": "{%s}",
    }
    produce(kafka_url, topic, [text % amount for text in broken])
    with opened(config(kafka_url, topic)) as source:
        lines = list(source.get({}).records.text)  # type: ignore[union-attr]
    assert [line.partition('"value":')[2] for line in lines] == [
        text % amount.decode() + "}" for text in broken.values()
    ]


@pytest.mark.lesson("0.3.3")
def test_no_value_stops_the_topic(kafka_url: str, kafka_topics: Topics) -> None:
    """Lone surrogates, control characters and invalid UTF-8 used to end the run."""
    topic = kafka_topics()
    values = [b'{"a":"\\ud800"}', b'{"a":"\x00"}', b"\xff\xfe\x00", b"{", b'{"a":1}', b"1}, {"]
    produce(kafka_url, topic, values)
    found = [record["data"]["value"] for record in records_of(kafka_url, topic)]
    assert found == [{"a": "\ufffd"}, {"a": "\x00"}, "\ufffd\ufffd\x00", "{", {"a": 1}, "1}, {"]


def test_bytes_come_in_base64(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, [b"\x00\xff", b"{}"], key=b"\x01")
    found = records_of(kafka_url, topic, message_encoding="bytes")
    assert [base64.b64decode(record["data"]["value"]) for record in found] == [b"\x00\xff", b"{}"]
    assert [base64.b64decode(record["data"]["keys"]) for record in found] == [b"\x01"] * 2


def test_valid_json_is_not_rewritten(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    value = '{"b": 1.50, "a": 1e2, "é": "\\u00e9", "b": 2}'.encode()
    produce(kafka_url, topic, [value])
    with opened(config(kafka_url, topic)) as source:
        (line,) = source.get({}).records.text  # type: ignore[union-attr]
    assert line.endswith('"value":' + value.decode() + "}")


@pytest.mark.lesson("F-20")
def test_a_topic_may_name_the_table_of_its_records(kafka_url: str, kafka_topics: Topics) -> None:
    first, second = kafka_topics(), kafka_topics()
    for topic in (first, second):
        produce(kafka_url, topic, numbered([1]))
    found: list[dict[str, Any]] = []
    with opened(stream(kafka_url, f"{first}:one", second)) as source:
        while len(found) < 2:
            page = source.get({})
            found += [] if page.records == [] else rows(page)
    assert {record["data"]["topic"]: record["destination_id"] for record in found} == {first: "one", second: None}
    assert {record["id"] for record in found} == {f"{topic}_partition_0_offset_0" for topic in (first, second)}
