"""Avro messages on a real broker; the schema registry is a stand-in that answers the few documented requests."""

import base64
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from io import BytesIO
from typing import Any
from uuid import UUID

import fastavro
import pytest
from connectors.sources.kafka.kafka_kit import config, opened, produce, read_all, rows
from loguru import logger
from pytest_httpserver import HTTPServer
from werkzeug import Response

from bizon.common.clock import utc_now
from bizon.common.errors.errors import SourceFetchError
from bizon.rows.frames import RecordError
from bizon.rows.pages import page_to_frame

Topics = Callable[..., str]
Parts = dict[str, Any]
USER: Parts = {"type": "record", "name": "User", "namespace": "shop", "fields": [{"name": "n", "type": "long"}]}
LOGICAL = {
    "at": ({"type": "long", "logicalType": "timestamp-micros"}, datetime(2026, 1, 2, 3, 4, 5, 6, UTC)),
    "day": ({"type": "int", "logicalType": "date"}, date(2026, 1, 2)),
    "clock": ({"type": "int", "logicalType": "time-millis"}, time(1, 2, 3)),
    "price": (
        {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2},
        Decimal("12345678901234567.10"),
    ),
    "uuid": ({"type": "string", "logicalType": "uuid"}, UUID(int=5)),
    "raw": ("bytes", b"\x00\xff"),
    "fixed": ({"type": "fixed", "name": "F", "size": 2}, b"ab"),
    "map": ({"type": "map", "values": "long"}, {"k": 2**62}),
    "list": ({"type": "array", "items": ["null", "string"]}, [None, "é"]),
    "kind": ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B"),
    "ratio": ("double", float("nan")),
    "nothing": (["null", "long"], None),
}


def encoded(schema: Parts | str, value: Any, schema_id: int, *, apicurio: bool = False) -> bytes:
    data = BytesIO()
    fastavro.schemaless_writer(data, fastavro.parse_schema(schema), value)
    return b"\0" + schema_id.to_bytes(8 if apicurio else 4, "big") + data.getvalue()


@pytest.fixture
def registry(httpserver: HTTPServer) -> Callable[[int, Parts], None]:
    """``registry(id, schema)`` registers a schema in both kinds of registry."""

    def add(schema_id: int, schema: Parts) -> None:
        httpserver.expect_request(f"/apis/registry/v2/ids/globalIds/{schema_id}").respond_with_json(schema)
        httpserver.expect_request(f"/schemas/ids/{schema_id}").respond_with_json({"schema": json.dumps(schema)})

    unknown = {"message": "No artifact", "error_code": 404, "name": "ArtifactNotFoundException"}
    httpserver.expect_request(re.compile(r".*/404")).respond_with_json(unknown, status=404)
    return add


def avro(httpserver: HTTPServer, kind: str = "apicurio", **login: str) -> Parts:
    address = {"schema_registry_type": kind, "schema_registry_url": httpserver.url_for("")}
    return {"message_encoding": "avro", "authentication": {**address, **login}}


def values(url: str, topic: str, **keys: Any) -> list[Any]:
    with opened(config(url, topic, **keys)) as source:
        return [row["data"]["value"] for page in read_all(source) for row in rows(page)]


@pytest.mark.parametrize(("kind", "apicurio"), [("apicurio", False), ("apicurio", True), ("confluent", False)])
def test_a_value_is_decoded_by_its_schema(
    kafka_url: str, kafka_topics: Topics, httpserver: HTTPServer, registry: Any, kind: str, apicurio: bool
) -> None:
    topic = kafka_topics()
    registry(7, USER)
    produce(kafka_url, topic, [encoded(USER, {"n": number}, 7, apicurio=apicurio) for number in range(3)])
    with opened(config(kafka_url, topic, **avro(httpserver, kind))) as source:
        found = [row["data"] for page in read_all(source) for row in rows(page)]
    assert [each["value"] for each in found] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert [each["schema"] for each in found] == [{"id": 7, "name": "shop.User"}] * 3


def test_logical_types_become_json(kafka_url: str, kafka_topics: Topics, httpserver: HTTPServer, registry: Any) -> None:
    topic = kafka_topics()
    fields = [{"name": name, "type": kind} for name, (kind, _) in LOGICAL.items()]
    schema = {"type": "record", "name": "All", "fields": fields}
    registry(1, schema)
    produce(kafka_url, topic, [encoded(schema, {name: value for name, (_, value) in LOGICAL.items()}, 1)])
    (found,) = values(kafka_url, topic, **avro(httpserver))
    assert found == {
        "at": "2026-01-02T03:04:05.000006+00:00",
        "day": "2026-01-02",
        "clock": "01:02:03",
        "price": "12345678901234567.10",
        "uuid": str(UUID(int=5)),
        "raw": base64.b64encode(b"\x00\xff").decode(),
        "fixed": base64.b64encode(b"ab").decode(),
        "map": {"k": 2**62},
        "list": [None, "é"],
        "kind": "B",
        "ratio": None,
        "nothing": None,
    }


@pytest.mark.lesson("F-39")
def test_a_schema_is_fetched_once_and_kept_by_its_id(
    kafka_url: str, kafka_topics: Topics, httpserver: HTTPServer, registry: Any
) -> None:
    """Schemas used to be cached by whole messages, without bound: 100,000 messages took 221 MB."""
    topic = kafka_topics()
    for schema_id in (1, 2):
        registry(schema_id, USER)
    produce(kafka_url, topic, [encoded(USER, {"n": number}, 1 + number % 2) for number in range(500)])
    with opened(config(kafka_url, topic, batch_size=100, **avro(httpserver))) as source:
        assert len([row for page in read_all(source) for row in rows(page)]) == 500
    assert len(httpserver.log) == 2


def test_only_the_schemas_used_last_are_kept(
    kafka_url: str, kafka_topics: Topics, httpserver: HTTPServer, registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bizon.connectors.sources.kafka.src import registry as registry_module

    monkeypatch.setattr(registry_module, "_MOST_SCHEMAS", 2)
    topic = kafka_topics()
    for schema_id in (1, 2, 3):
        registry(schema_id, USER)
    produce(kafka_url, topic, [encoded(USER, {"n": 0}, schema_id) for schema_id in (1, 2, 1, 3, 1, 2)])
    assert len(values(kafka_url, topic, **avro(httpserver))) == 6
    asked = [request.path.rsplit("/", 1)[1] for request, _ in httpserver.log]
    assert asked == ["1", "2", "3", "2"]


def test_the_registry_gets_its_own_user_and_is_retried_after_an_error(
    kafka_url: str, kafka_topics: Topics, httpserver: HTTPServer
) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, [encoded(USER, {"n": 1}, 5)])
    path = "/apis/registry/v2/ids/globalIds/5"
    headers = {"Authorization": "Basic " + base64.b64encode(b"reader:s3cret").decode()}
    httpserver.expect_ordered_request(path, headers=headers).respond_with_data("", status=503)
    httpserver.expect_ordered_request(path, headers=headers).respond_with_json(USER)
    login = {"schema_registry_username": "reader", "schema_registry_password": "s3cret"}
    retries = {"http": {"retries": {"backoff_factor": 0}}}
    assert values(kafka_url, topic, **avro(httpserver, **login), **retries) == [{"n": 1}]


@pytest.mark.parametrize("status", [401, 500])
def test_a_registry_that_does_not_answer_ends_the_run_and_skips_nothing(
    kafka_url: str, kafka_topics: Topics, httpserver: HTTPServer, status: int
) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, [encoded(USER, {"n": 1}, 5)])
    httpserver.expect_request(re.compile(".*")).respond_with_handler(lambda _: Response(status=status))
    retries = {"http": {"retries": {"total": 1, "backoff_factor": 0}}}
    block = config(kafka_url, topic, skip_message_on_decode_error=True, **avro(httpserver), **retries)
    with opened(block) as source, pytest.raises(SourceFetchError, match=f"schema registry: GET .* HTTP {status}"):
        source.get({})


BAD = {
    "no magic byte": b'{"secret":1}',
    "short": b"\0\0\0",
    "short id of 8 bytes": b"\0\0\0\0\0\0\1",
    "unknown schema": b"\0\0\0\1\x94secret",
    "cut off": b"\0\0\0\0\1",
    "left over": b"\0\0\0\0\1\x02secret",
    "too long a number": b"\0\0\0\0\1" + b"\xff" * 20,
    "other schema": b"\0\0\0\0\2secret",
}

UNUSABLE: Parts = {"type": "record", "name": "R", "fields": [{"name": "x", "type": "elsewhere.Type"}]}


@pytest.mark.parametrize("bad", BAD.values(), ids=list(BAD))
def test_a_message_that_cannot_be_decoded_is_refused_alone(
    kafka_url: str, kafka_topics: Topics, httpserver: HTTPServer, registry: Any, bad: bytes
) -> None:
    topic = kafka_topics()
    registry(1, USER)
    registry(2, UNUSABLE)
    produce(kafka_url, topic, [encoded(USER, {"n": 1}, 1), bad, encoded(USER, {"n": 3}, 1)], key=b"k")
    with opened(config(kafka_url, topic, **avro(httpserver))) as source:
        page = source.get({})
    with pytest.raises(RecordError, match=f"^message at offset 1 of topic '{topic}', partition 0: ") as caught:
        page_to_frame(page.records, utc_now())
    assert "secret" not in str(caught.value)
    frame = page_to_frame(page.records, utc_now(), refuse=True)
    assert [json.loads(data)["value"]["n"] for data in frame.filter(frame["reason"].is_null())["data"]] == [1, 3]
    (letter,) = frame.filter(frame["reason"].is_not_null()).to_dicts()
    data = json.loads(letter["data"])
    assert base64.b64decode(data["value_base64"]) == bad
    assert (data["topic"], data["partition"], data["offset"], data["keys"]) == (topic, 0, 1, "k")
    assert (letter["stage"], letter["id"]) == ("source", "partition_0_offset_1")


def test_messages_that_cannot_be_decoded_may_be_skipped_and_are_counted(
    kafka_url: str, kafka_topics: Topics, httpserver: HTTPServer, registry: Any
) -> None:
    topic = kafka_topics()
    registry(1, USER)
    registry(2, UNUSABLE)
    warnings: list[str] = []
    logger.add(warnings.append, level="WARNING", format="{message}")
    produce(kafka_url, topic, [*BAD.values(), encoded(USER, {"n": 1}, 1)], headers={"h": b"secret"})
    found = values(kafka_url, topic, skip_message_on_decode_error=True, **avro(httpserver))
    assert found == [{"n": 1}]
    assert [text for text in warnings if f"{len(BAD)} messages with a value that cannot be decoded skipped" in text]
    assert "secret" not in "".join(warnings)


def test_a_schema_that_is_registered_later_is_found(
    kafka_url: str, kafka_topics: Topics, httpserver: HTTPServer, registry: Any
) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, [encoded(USER, {"n": n}, 9) for n in range(2)])
    block = config(kafka_url, topic, batch_size=1, skip_message_on_decode_error=True, **avro(httpserver))
    unknown = {"error_code": 404, "detail": "ArtifactNotFoundException: No artifact with ID '9'"}
    httpserver.expect_oneshot_request("/apis/registry/v2/ids/globalIds/9").respond_with_json(unknown, status=404)
    with opened(block) as source:
        first = source.get({})
        assert first.records == []
        registry(9, USER)
        assert rows(source.get(first.next_pagination))[0]["data"]["value"] == {"n": 1}


def test_keys_in_avro_are_decoded_and_others_keep_their_value(
    kafka_url: str, kafka_topics: Topics, httpserver: HTTPServer, registry: Any
) -> None:
    topic = kafka_topics()
    registry(1, USER)
    registry(2, "long")
    keys = [encoded("long", 64, 2), encoded("long", 65, 2), encoded(USER, {"n": 7}, 1)]
    others = [b"plain", b"\0\0\0\1\x94\xff", b"\0\0\0\0\2", b"\xff", b"", None]
    for key in [*keys, *others]:
        produce(kafka_url, topic, [encoded(USER, {"n": 1}, 1)], key=key)
    with opened(config(kafka_url, topic, **avro(httpserver))) as source:
        found = [row["data"] for page in read_all(source) for row in rows(page)]
    in_base64 = base64.b64encode(others[1] or b"").decode()
    expected = [64, 65, {"n": 7}, "plain", in_base64, "\0\0\0\0\x02", "/w==", "", None]
    assert [each["keys"] for each in found] == expected
    assert [row for row, each in enumerate(found) if "keys_encoding" in each] == [4, 6]
