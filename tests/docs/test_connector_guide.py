"""A reader follows ai-connector-guide.md: fills the placeholders, and swaps in the pieces that the tables choose."""

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest
from docs.connector_guide_code import CHOICES, FILLED, PAGE, piece, write_source
from docs.reading import IDS, Reader
from docs.standin import USERS, Api
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bizon.common.errors.errors import SourceFetchError
from bizon.source.models import SourceIncrementalState

PAGING = {
    "": "cursor",
    "page": "page",
    "offset": "offset",
    "total": "offset",
    "link": "link",
    "scroll": "scroll",
    "body": "cursor",
    "objects": "cursor",
}
KEY = {"type": "api_key", "params": {"token": "s3cret"}}
ACCOUNT = {"type": "basic", "params": {"username": "ann", "password": "s3cret"}}


@pytest.fixture
def api(httpserver: HTTPServer) -> Api:
    return Api(httpserver)


@pytest.fixture
def reader(tmp_path, api):
    """A reader of the template with the pieces of some choices."""
    return lambda *choices, **keys: Reader(write_source(tmp_path, *filter(None, choices)), api.url, **keys)


def since(last_run: str, until: str | None = None, **state: Any) -> SourceIncrementalState:
    end = None if until is None else datetime.fromisoformat(until)
    return SourceIncrementalState(last_run=datetime.fromisoformat(last_run), run_started_at=end, state=state)


@pytest.mark.parametrize(("choice", "style"), PAGING.items())
def test_every_style_of_paging_reads_each_record_once(reader, api, choice, style):
    api.paging = style
    assert reader(choice).ids() == IDS


def test_a_list_that_ends_before_its_total_is_an_error(reader, httpserver: HTTPServer):
    httpserver.clear()
    httpserver.expect_request("/v1/users").respond_with_json({"items": [], "total": 5})
    with pytest.raises(SourceFetchError, match="the list ends after 0 of 5 records"):
        reader("total").ids()


def test_a_link_in_a_header_is_followed(reader, api):
    api.paging = "header"
    assert reader("link").ids() == IDS


def test_a_link_to_another_address_is_not_followed(reader, httpserver: HTTPServer):
    httpserver.clear()
    httpserver.expect_request("/v1/users").respond_with_json({"items": [], "next": "http://127.0.0.1:9/v1/users"})
    with pytest.raises(SourceFetchError, match="the next link leads to another address"):
        reader("link").ids()


@pytest.mark.parametrize(
    ("choice", "account", "admits"),
    [
        ("", KEY, lambda request: request.headers.get("Authorization") == "Bearer s3cret"),
        ("header", KEY, lambda request: request.headers.get("X-Api-Key") == "s3cret"),
        ("query", KEY, lambda request: request.args.get("api_key") == "s3cret"),
        ("basic", ACCOUNT, lambda request: request.authorization and request.authorization.password == "s3cret"),
    ],
)
def test_every_kind_of_credentials_is_sent_and_a_wrong_one_refused(reader, api, choice, account, admits):
    api.admits = lambda request: bool(admits(request))
    assert reader(choice, authentication=account).ids() == IDS
    wrong = {**account, "params": {name: "wrong" for name in account["params"]}}
    reachable, reason = reader(choice, authentication=wrong).source().check_connection()
    assert not reachable
    assert "HTTP 401 Unauthorized: no such account" in reason
    assert "wrong" not in reason


def test_a_token_of_oauth_is_fetched_and_sent(reader, api, httpserver: HTTPServer):
    def token(request: Request) -> Response:
        granted = parse_qs(request.get_data(as_text=True))["grant_type"] == ["client_credentials"]
        return Response('{"access_token": "s3cret", "expires_in": 600}' if granted else "{}", 200 if granted else 400)

    httpserver.expect_request("/token").respond_with_handler(token)
    params = {
        "token_refresh_endpoint": httpserver.url_for("/token"),
        "client_id": "c",
        "client_secret": "s",
        "grant_type": "client_credentials",
    }
    assert reader("oauth", authentication={"type": "oauth", "params": params}).ids() == IDS


@pytest.mark.parametrize(("choice", "asks"), [("filter", True), ("own", False)])
def test_a_filter_brings_the_records_that_changed(reader, api, choice, asks):
    assert reader(choice).ids(since("2024-05-04T00:00:00Z")) == ["4", "5"]
    assert ("updated_after" in api.requests[0]) is asks
    assert reader(choice).ids(since("2024-05-02T00:00:00Z", "2024-05-04T00:00:00Z")) == ["2", "3"]


def test_a_question_of_objects_holds_the_filter_and_the_fixed_parts(reader, api):
    source = reader("objects").source()
    assert len(source._page({}, gte="2024-05-04").list_at("items")) == 2
    assert api.requests[-1]["updated_after"] == "2024-05-04"


def test_a_record_without_its_time_is_not_left_out(reader, api):
    api._page = lambda place: Response('{"items": [{"id": 1}]}', content_type="application/json")
    with pytest.raises(KeyError):
        reader("own").ids(since("2024-05-04T00:00:00Z"))


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("style", ["page", "offset"])
def test_a_change_between_two_numbered_pages_loses_no_other_record(reader, api, style, number):
    def change(place: dict[str, str]) -> None:
        if len(api.requests) == 2:
            api.items[number]["updated_at"] = "2024-06-02T10:00:00+00:00"

    api.paging, api.before_page = style, change
    found = reader(style, "numbered").ids(since("2024-05-01T00:00:00Z", "2024-06-01T00:00:00Z"))
    assert set(found) >= {*IDS} - {IDS[number]}


@pytest.mark.parametrize("number", range(5))
def test_pages_in_the_order_of_the_id_lose_no_record_when_one_changes(tmp_path, api, number):
    def change(place: dict[str, str]) -> None:
        if len(api.requests) == 2:
            api.items[number]["updated_at"] = "2024-06-02T10:00:00+00:00"

    api.paging, api.before_page = "offset", change
    file = write_source(tmp_path, "offset", "numbered")
    file.write_text(file.read_text().replace('order="-updated_at,id"', 'order="id"'))
    found = Reader(file, api.url).ids(since("2024-05-01T00:00:00Z", "2024-06-01T00:00:00Z"))
    assert set(found) >= {*IDS} - {IDS[number]}


def test_numbered_pages_leave_out_what_changed_after_the_window(reader, api):
    api.paging = "offset"
    assert sorted(reader("offset", "numbered").ids(since("2024-05-02T00:00:00Z", "2024-05-04T00:00:00Z"))) == ["2", "3"]


def test_windows_ask_day_by_day_and_meet(reader, api):
    windows = reader("windows")
    assert windows.ids(since("2024-05-02T10:00:00Z", "2024-05-05T09:00:00Z")) == ["2", "3", "4"]
    asked = [(request["updated_after"], request["updated_before"]) for request in api.requests]
    assert [before for _, before in asked[:-1]] == [after for after, _ in asked[1:]]
    assert asked[-1][1] == datetime(2024, 5, 5, 9, tzinfo=UTC).isoformat()


def test_a_window_with_several_pages_stays_on_its_day(reader, api):
    api.items = [{**USERS[0], "id": number} for number in range(1, 6)]
    assert reader("windows").ids(since("2024-05-01T00:00:00Z", "2024-05-03T00:00:00Z")) == IDS
    assert len({request["updated_after"] for request in api.requests[:3]}) == 1


def test_a_token_continues_where_the_last_run_ended(reader, api):
    tokens = reader("token")
    assert tokens.ids() == IDS
    api.items.append({**USERS[0], "id": 6})
    assert tokens.ids(since("2024-05-01T00:00:00Z", **tokens.next_states[-1])) == ["6"]


def test_a_window_of_the_past_uses_the_filter_and_the_next_run_the_token(reader, api):
    both = reader("both")
    assert both.ids() == IDS
    token = both.next_states.pop()
    assert both.ids(since("2024-05-02T00:00:00Z", "2024-05-04T00:00:00Z")) == ["2", "3"]
    assert both.next_states == []
    api.items.append({**USERS[0], "id": 6})
    assert both.ids(since("2024-05-04T00:00:00Z", **token)) == ["6"]


def test_every_placeholder_is_explained_and_every_choice_has_its_code():
    used = set(re.findall(r"\{\{(\w+)\}\}", "".join([*PAGE.blocks("python"), *PAGE.blocks("yaml")])))
    explained = set(re.findall(r"\{\{(\w+)\}\}", "".join(re.findall(r"^\| (.*?) \|", PAGE.text, re.MULTILINE))))
    assert used == set(FILLED)
    assert used <= explained
    assert all(piece(choice) for choice in CHOICES.values())
    assert len(PAGE.blocks("python")) == len(CHOICES) + 1
