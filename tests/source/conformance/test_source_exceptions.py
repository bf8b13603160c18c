"""Behaviours that a source cannot have, because of its class, its declarations or those in a claim."""

import json
from typing import Any, ClassVar

import pytest
from items_api import SOURCE_FILE, ItemsApi, items_block
from pytest_httpserver import HTTPServer
from source.conformance import broken_promises
from werkzeug import Request, Response

from bizon.connectors.sources.dummy.src.source import DummySource
from bizon.engine.engine import load_config_dict
from bizon.source.discover import load_custom_source
from bizon.source.models import SourceIteration, SourceRecord
from bizon.testing.source import SourceConformance
from bizon.testing.source_behaviours import SourceBehaviours
from bizon.testing.source_report import Status, verdicts
from bizon.testing.source_rules import ruled_out
from bizon.testing.source_subject import BehaviourError, NotApplicable, Subject

Items: Any = load_custom_source(SOURCE_FILE)


class Numbered(Items):
    """Pages by their number, to an empty one."""

    def get(self, pagination=None):
        number = pagination["page"] if pagination else 0
        page = self.fetch(cursor=str(3 * number))
        records = [SourceRecord(id=item["id"], data=item) for item in page["items"]]
        return SourceIteration(records=records, next_pagination={"page": number + 1} if records else {})


class OnePage(Items):
    def get(self, pagination=None):
        return SourceIteration(records=super().get(pagination).records, next_pagination={})


class StopsAtTheSecondLink(Items):
    """The place of the next page is a link in a header."""

    def get(self, pagination=None):
        answer = self.session.get(pagination["url"] if pagination else f"{self.config.base_url}/linked?page=0")
        records = [SourceRecord(id=item["id"], data=item) for item in answer.json()]
        following = answer.links.get("next")
        return SourceIteration(
            records=records, next_pagination={"url": following["url"]} if following and not pagination else {}
        )


@pytest.fixture
def block(httpserver: HTTPServer) -> dict[str, Any]:
    return items_block(ItemsApi(httpserver))


def subject_of(kind: Any, block: dict[str, Any]) -> Subject:
    return Subject(load_config_dict({"name": "pipe", "source": block, "destination": {"name": "logger"}}, kind))


@pytest.mark.parametrize("kind", [Items, Numbered])
def test_a_source_that_reads_to_the_end_has_no_page_left(block, kind) -> None:
    SourceBehaviours().test_nothing_follows_the_last_page(subject_of(kind, block))


def test_a_link_in_a_header_tells_where_the_next_page_is(httpserver: HTTPServer, block) -> None:
    def answer(request: Request) -> Response:
        page = int(request.args["page"])
        link = f'<{httpserver.url_for("/v1/linked")}?page={page + 1}>; rel="next"'
        body = json.dumps([{"id": f"item-{page}"}])
        return Response(body, headers={"Link": link} if page < 3 else {}, content_type="application/json")

    httpserver.expect_request("/v1/linked").respond_with_handler(answer)
    with pytest.raises(BehaviourError, match=r"ends with page 1, .*page=2.* returns 'item-2', which the stream lacks"):
        SourceBehaviours().test_nothing_follows_the_last_page(subject_of(StopsAtTheSecondLink, block))


def test_one_page_tells_nothing_about_a_next_one(block) -> None:
    with pytest.raises(NotApplicable, match="the stream has one page"):
        SourceBehaviours().test_nothing_follows_the_last_page(subject_of(OnePage, block))


def test_a_stream_that_comes_whole_is_declared(block) -> None:
    found = {
        each.behaviour: each for each in verdicts(subject_of(broken_promises.FetchesEverythingAndDeclaresIt, block))
    }
    assert [each for each in found.values() if each.status is Status.FAILED] == []
    assert found["an incremental run finds exactly what changed"].status is Status.OK
    nothing_new = found["an incremental run without changes finds nothing"]
    assert (nothing_new.status, nothing_new.text) == (
        Status.NOT_APPLICABLE,
        "the source declares 'items' in unfiltered_streams",
    )


def test_the_class_tells_which_behaviours_it_cannot_have() -> None:
    behaviour = SourceBehaviours.test_a_503_is_survived
    assert ruled_out(behaviour, DummySource) == "the source declares fetches_over_http = False"
    assert ruled_out(behaviour, Items) is None


class Claims(SourceConformance):
    not_applicable: ClassVar = {
        "nothing_follows_the_last_page": "the stream has one page",
        "paging_ends": "it is too long",
        "no_output_shows_a_secret": "the stream has one page",
    }


def test_a_declared_exception_passes_while_it_is_true(block) -> None:
    Claims().test_nothing_follows_the_last_page(subject_of(OnePage, block))


def test_a_declared_exception_that_is_not_one_fails(block) -> None:
    with pytest.raises(BehaviourError, match="the behaviour applies"):
        Claims().test_paging_ends(subject_of(Items, block))


def test_a_declared_exception_with_another_reason_fails(httpserver: HTTPServer) -> None:
    dummy = {"name": "dummy", "stream": "plants"}
    subject = subject_of(DummySource, {**dummy, "authentication": {"type": "api_key", "params": {"token": ""}}})
    with pytest.raises(BehaviourError, match="because the configuration holds no secret"):
        Claims().test_no_output_shows_a_secret(subject)


def test_an_exception_for_no_behaviour_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Wrong\.not_applicable: there is no behaviour paging_ended"):
        type("Wrong", (SourceConformance,), {"not_applicable": {"paging_ended": "why"}})
