"""Every snippet of adding-sources.md, added to the source of the page, against the API that the page describes."""

import json
import re
import sys
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from docs.guide_code import module_with, signed_module, write_custom
from docs.reading import IDS, Reader
from docs.standin import SIZE, USERS, Api, signed_by
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bizon.common.errors.errors import SourceFetchError
from bizon.source.config import HttpConfig
from bizon.source.discover import load_custom_source
from bizon.source.models import SourceIncrementalState


@pytest.fixture
def api(httpserver: HTTPServer) -> Api:
    return Api(httpserver)


@pytest.fixture
def reader(tmp_path, source_guide, api):
    """A reader of the guide's source with one of its snippets."""
    return lambda name, **keys: Reader(write_custom(tmp_path, source_guide, name), api.url, **keys)


def since(day: int, **state: Any) -> SourceIncrementalState:
    return SourceIncrementalState(last_run=datetime(2024, 5, day, tzinfo=UTC), state=state)


@pytest.mark.parametrize("name", ["Posted", "Graph", "Counted", "Limited", "Patient", "Filtered", "Tokens"])
def test_a_variant_reads_every_record_once(reader, name):
    assert reader(name).ids() == IDS


def test_a_test_of_your_own_builds_a_source_and_asks_it_for_one_page(tmp_path, source_guide, httpserver: HTTPServer):
    source = load_custom_source(write_custom(tmp_path, source_guide, "Tokens"))
    names = {"MyApiSource": source, "MyApiSourceConfig": source.get_config_class(), "TOKEN": "any-token"}
    names |= {"SourceIncrementalState": SourceIncrementalState, "datetime": datetime, "UTC": UTC}
    exec(source_guide.block("python", "def test_the_token_of"), names)
    names["test_the_token_of_the_last_run_is_sent"](httpserver)
    ((request, _),) = httpserver.log
    assert request.args["sync_token"] == "t1"


def test_a_query_that_failed_is_an_error_even_if_it_brought_data(reader, api):
    api._graph = lambda variables: {"data": {"users": {"nodes": []}}, "errors": [{"message": "the index is gone"}]}
    with pytest.raises(SourceFetchError, match="the query failed; the API says: the index is gone"):
        reader("Graph").ids()


def test_a_rate_limit_in_the_body_delays_the_next_request(reader, api):
    api.limits = [{"error": {"code": "rate_limited", "retry_after": 0.001}}] * 2
    assert reader("Limited").ids() == IDS


def test_another_error_in_the_body_is_an_error(reader, api):
    api.limits = [{"error": {"code": "internal", "message": "the index is gone"}}]
    with pytest.raises(SourceFetchError, match="the list was refused; the API says: the index is gone"):
        reader("Limited").ids()


def test_a_limit_that_does_not_end_is_an_error_with_the_text_of_the_guide(reader, api, source_guide):
    limit = {"error": {"code": "rate_limited", "message": "slow down"}}
    api.limits = [limit] * 20
    with pytest.raises(SourceFetchError, match="the API still asks to wait after 3 attempts; the API says: slow down"):
        reader("Limited", http={"retries": {"total": 2, "backoff_factor": 0.001}}).ids()
    text = " ".join(source_guide.text.split())
    assert f"the API still asks to wait after {HttpConfig().retries.total + 1} attempts" in text


def test_a_pause_that_an_answer_asks_for_comes_before_each_request_and_is_bounded(
    tmp_path, source_guide, api, httpserver: HTTPServer, monkeypatch
):
    """One for the total as well, and one after an answer that is an error."""
    source = Reader(
        write_custom(tmp_path, source_guide, "AskedPauses", "Paused"), api.url, http={"retries": {"retry_after_max": 7}}
    ).source()
    module, pauses = sys.modules[type(source).__module__], []
    monkeypatch.setattr(module, "rest", lambda seconds: pauses.append(round(seconds)))
    monkeypatch.setattr(module, "monotonic", lambda: 0.0)
    httpserver.expect_request("/v1/total", method="HEAD").respond_with_data(headers={"Backoff": "5"})
    httpserver.expect_request("/v1/closed").respond_with_data(status=404, headers={"Backoff": "600"})
    source.session.head(f"{api.url}/total")
    with pytest.raises(requests.HTTPError):
        source.session.get(f"{api.url}/closed")
    assert len(source.get({}).records) == SIZE
    assert pauses == [0, 5, 7]


@pytest.mark.parametrize(
    ("account", "sent"),
    [
        ({"type": "bearer", "params": {"token": "s3cret"}}, "Bearer s3cret"),
        ({"type": "basic", "params": {"username": "ann", "password": "s3cret"}}, "Basic YW5uOnMzY3JldA=="),
    ],
)
def test_an_api_that_takes_two_kinds_gets_the_one_of_the_user(tmp_path, source_guide, api, account, sent):
    text = module_with(source_guide, "EitherKind")
    narrowed = re.search(r"with `(Literal.+)` as .*\n`(.+)` as the one of `params`", source_guide.text)
    assert narrowed is not None
    text = text.replace("Literal[AuthType.API_KEY, AuthType.BEARER]", narrowed[1])
    text = text.replace("params: TokenAuthParams", f"params: {narrowed[2]}")
    file = tmp_path / "either.py"
    file.write_text(text, encoding="utf-8")
    api.admits = lambda request: request.headers.get("Authorization") == sent
    assert Reader(file, api.url, authentication=account).ids() == IDS


def test_the_total_comes_from_the_api(reader):
    assert reader("Counted").source().get_total_records_count() == len(USERS)


def test_a_policy_of_the_source_keeps_what_the_user_configured(reader):
    policy = reader("Patient").source().get_retry_policy()
    assert (policy.total, policy.retry_after_max, policy.status_forcelist[-1]) == (2, 600, 529)


def test_the_source_waits_for_a_report_and_its_failure_is_an_error(reader, httpserver: HTTPServer):
    source = reader("Reports").source()
    httpserver.expect_request("/v1/reports/1").respond_with_json({"status": "done"})
    httpserver.expect_request("/v1/reports/2").respond_with_json({"status": "failed", "message": "no such table"})
    assert source._report("1") == {"status": "done"}
    with pytest.raises(SourceFetchError, match="the report is failed; the API says: no such table"):
        source._report("2")


def test_an_object_that_only_the_account_knows_is_read_by_name(reader, api, httpserver: HTTPServer):
    httpserver.expect_request("/v1/objects").respond_with_json({"items": [{"name": "users"}, {"name": "forms"}]})
    assert reader("Objects", stream="objects", object_name="users").ids() == IDS
    reachable, reason = reader("Objects", stream="objects", object_name="tables").source().check_connection()
    assert not reachable
    assert reason == "there is no object 'tables'; there are users, forms"


@pytest.mark.parametrize(("name", "asks"), [("Filtered", True), ("FilteredHere", False)])
def test_a_window_brings_what_changed_in_it(reader, api, name, asks):
    assert reader(name).ids(since(4)) == ["4", "5"]
    assert ("updated_after" in api.requests[0]) is asks
    ended = since(2).model_copy(update={"run_started_at": datetime(2024, 5, 4, tzinfo=UTC)})
    assert reader(name).ids(ended) == ["2", "3"]


def test_a_token_brings_what_changed_since_the_last_page_of_the_last_run(reader, api):
    tokens = reader("Tokens")
    assert tokens.ids() == IDS
    assert tokens.next_states == [{"token": "5"}]
    api.items += [{**USERS[0], "id": 6}]
    assert tokens.ids(since(1, **tokens.next_states[-1])) == ["6"]
    assert tokens.next_states[-1] == {"token": "6"}


def test_a_deletion_is_a_record_with_the_id_of_the_deleted_object(reader, api):
    api.deleted = [{"id": 3, "deleted_at": "2024-06-01T00:00:00+00:00"}]
    tombstones = reader("Tombstones")
    assert tombstones.ids() == IDS  # the first run asks for none
    source = tombstones.source()
    page = source._fetch_page(updated_after="2024-05-05")
    gone = source._iteration(page, page.list_at("items")).records[-1]
    assert (gone.id, gone.data, gone.timestamp.month) == ("3", {"id": 3, "deleted": True}, 6)


def test_a_signed_request_is_admitted_and_signed_again_for_a_retry(tmp_path, source_guide, api):
    api.admits = signed_by("key-1", "s3cret-of-the-account")
    file = tmp_path / "signed.py"
    file.write_text(signed_module(source_guide), encoding="utf-8")
    account = {"type": "basic", "params": {"username": "key-1", "password": "s3cret-of-the-account"}}
    signed = Reader(file, api.url, authentication=account)
    assert signed.ids() == IDS
    signer = signed.source().get_authenticator()
    request = requests.Request("GET", f"{api.url}/users", params={"b": "2", "a": "1"}).prepare()
    times = []
    for sign in (signer, signer.sign_again):
        sign(request)
        times.append(int(request.headers["X-Timestamp"]))
    assert times[0] < times[1]
    assert not signer.renew(request)
    wrong = {**account, "params": {"username": "key-1", "password": "wrong"}}
    reachable, reason = Reader(file, api.url, authentication=wrong).source().check_connection()
    assert not reachable
    assert "HTTP 401 Unauthorized: no such account" in reason


def test_the_position_of_a_page_is_in_the_body_of_the_request(reader, api):
    reader("Posted").ids()
    assert [request.get("cursor") for request in api.requests] == [None, str(SIZE), str(2 * SIZE)]
    assert all(request["sort"] == ["id"] for request in api.requests)


def test_numbered_pages_are_asked_for_ahead_and_come_in_order(reader, api):
    api.paging = "page"
    assert reader("Numbered").ids() == IDS
    with closing(reader("Numbered", at_once=2).source()) as source:
        first = source.get({})
        second = source.get(first.next_pagination)
        assert [record.id for record in (*first.records, *second.records)] == IDS[: 2 * SIZE]
        assert list(source._ahead._waiting) == [3, 4, 5]


def test_children_are_read_parent_by_parent_and_each_page_says_where_it_stands(reader, httpserver: HTTPServer):
    httpserver.clear()
    answers = {
        ("/v1/users", None): {"items": [{"id": 1}, {"id": 2}], "next_cursor": "p2"},
        ("/v1/users", "p2"): {"items": [], "next_cursor": "p3"},
        ("/v1/users", "p3"): {"items": [{"id": 3}]},
        ("/v1/users/1/orders", None): {"items": [{"id": "a"}], "next_cursor": "o2"},
        ("/v1/users/1/orders", "o2"): {"items": [{"id": "b"}]},
        ("/v1/users/2/orders", None): {"items": []},
        ("/v1/users/3/orders", None): {"items": [{"id": "c"}]},
    }

    def answer(request: Request) -> Response:
        return Response(json.dumps(answers[request.path, request.args.get("cursor")]), content_type="application/json")

    httpserver.expect_request(re.compile("/v1/users")).respond_with_handler(answer)
    assert reader("Children", stream="orders").ids() == ["a", "b", "c"]
