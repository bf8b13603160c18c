"""The meaning of a schema registry's answers: a wrong URL does not make a bad message. The registry is a stand-in."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from connectors.sources.kafka.kafka_kit import config, opened, produce
from connectors.sources.kafka.test_kafka_avro import USER, avro, encoded
from pytest_httpserver import HTTPServer

from bizon.common.clock import utc_now
from bizon.common.errors.errors import SourceConnectionError
from bizon.rows.frames import RecordError
from bizon.rows.pages import page_to_frame

Topics = Callable[..., str]

NOT_FOUND = {  # answers of registries, by what is missing
    "confluent, path": {"error_code": 404, "message": "HTTP 404 Not Found"},
    "apicurio, path": {"error_code": 404, "message": "RESTEASY003210", "name": "NotFoundException"},
    "nothing": None,
}


@pytest.mark.parametrize("kind", ["apicurio", "confluent"])
@pytest.mark.parametrize("body", NOT_FOUND.values(), ids=list(NOT_FOUND))
def test_a_404_for_the_path_does_not_make_a_bad_message(
    kafka_url: str, kafka_topics: Topics, httpserver: HTTPServer, kind: str, body: Any
) -> None:
    """With a wrong URL, the source used to skip every message and commit its offset."""
    topic = kafka_topics()
    produce(kafka_url, topic, [encoded(USER, {"n": 1}, 5)])
    httpserver.expect_request(re.compile(".*")).respond_with_json(body, status=404)
    block = config(kafka_url, topic, skip_message_on_decode_error=True, **avro(httpserver, kind))
    path = "/schemas/ids/5" if kind == "confluent" else "/apis/registry/v2/ids/globalIds/5"
    with (
        opened(block) as source,
        pytest.raises(SourceConnectionError, match=re.escape(f"at the path {path}: ")) as caught,
    ):
        source.get({})
    assert "authentication.schema_registry_url" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "content", "body"),
    [
        ("apicurio", "text/html", "<html>"),
        ("confluent", "text/html", "<html>"),
        ("confluent", "application/json", "{}"),
    ],
)
def test_an_answer_of_another_server_does_not_make_a_bad_message(
    kafka_url: str, kafka_topics: Topics, httpserver: HTTPServer, kind: str, content: str, body: str
) -> None:
    """The console of a registry, or a login page, answers any path with 200."""
    topic = kafka_topics()
    produce(kafka_url, topic, [encoded(USER, {"n": 1}, 5)])
    httpserver.expect_request(re.compile(".*")).respond_with_data(body, content_type=content)
    block = config(kafka_url, topic, skip_message_on_decode_error=True, **avro(httpserver, kind))
    with (
        opened(block) as source,
        pytest.raises(SourceConnectionError, match="the answer does not come from a registry"),
    ):
        source.get({})


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("confluent", {"error_code": 40403, "message": "Schema not found"}),
        ("apicurio", {"error_code": 404, "name": "ArtifactNotFoundException"}),
        ("apicurio", {"error_code": 404, "detail": "io.apicurio.registry.storage.ArtifactNotFoundException: No"}),
    ],
)
def test_a_404_for_the_schema_makes_a_bad_message(
    kafka_url: str, kafka_topics: Topics, httpserver: HTTPServer, kind: str, body: Any
) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, [encoded(USER, {"n": 1}, 5)])
    httpserver.expect_request(re.compile(".*")).respond_with_json(body, status=404)
    with opened(config(kafka_url, topic, **avro(httpserver, kind))) as source:
        page = source.get({})
    with pytest.raises(RecordError, match="the registry has no schema 5"):
        page_to_frame(page.records, utc_now())
