"""Snippets of adding-sources.md for APIs that log in, and for GraphQL APIs, against stand-ins of their own."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from docs.guide_code import write_custom
from docs.reading import IDS, Reader
from docs.standin import Api
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bizon.common.errors.errors import SourceFetchError


@pytest.fixture
def api(httpserver: HTTPServer) -> Api:
    return Api(httpserver)


@pytest.fixture
def reader(tmp_path, source_guide, api):
    """A reader of the guide's source with some of its snippets."""
    return lambda *names: Reader(write_custom(tmp_path, source_guide, *names), api.url)


class Logins:
    """Sessions that serve one request each."""

    def __init__(self, api: Api, httpserver: HTTPServer) -> None:
        self.count, self.open = 0, ""
        self.answer: dict[str, Any] | None = None
        api.admits = self.admits
        httpserver.expect_request("/v1/login", method="POST").respond_with_handler(self.log_in)

    def log_in(self, request: Request) -> Response:
        assert request.json == {"key": "s3cret"}
        assert "X-Session" not in request.headers
        self.count += 1
        self.open = f"session-{self.count}"
        return Response(json.dumps(self.answer or {"session": self.open}), content_type="application/json")

    def admits(self, request: Request) -> bool:
        admitted = request.headers["X-Session"] == self.open
        self.open = ""
        return admitted


def test_a_session_that_expires_is_renewed(reader, api, httpserver: HTTPServer):
    logins = Logins(api, httpserver)
    source = reader("LoginSession", "LoggedIn").source()
    pages = [source.get({}), source.get({"cursor": "2"}), source.get({"cursor": "4"})]
    assert [record.id for page in pages for record in page.records] == IDS
    assert logins.count == 3


def test_a_login_without_a_session_says_so(reader, api, httpserver: HTTPServer):
    Logins(api, httpserver).answer = {"message": "the account is closed"}
    reachable, reason = reader("LoginSession", "LoggedIn").source().check_connection()
    assert not reachable
    assert "/v1/login: HTTP 200: the login returned no session; the API says: the account is closed" in reason


def test_a_login_that_is_not_json_names_its_own_path(reader, api, httpserver: HTTPServer):
    Logins(api, httpserver)
    httpserver.clear()
    httpserver.expect_request("/v1/login").respond_with_data("<html>", content_type="text/html")
    reachable, reason = reader("LoginSession", "LoggedIn").source().check_connection()
    assert not reachable
    assert reason.startswith("POST")
    assert "/v1/login: HTTP 200, text/html: the body is not valid JSON" in reason


def test_a_rate_limit_with_a_reset_time_delays_the_next_request(reader, api):
    real, asked = api._graph, []

    def graph(variables: dict[str, Any]) -> dict[str, Any]:
        asked.append(variables)
        reset = (datetime.now(UTC) + timedelta(milliseconds=5)).isoformat()
        error = {"message": "slow down", "extensions": {"code": "RATE_LIMITED", "resetAt": reset}}
        return {"data": None, "errors": [error]} if len(asked) == 1 else real(variables)

    api._graph = graph
    assert reader("Graph").ids() == IDS


def test_a_list_inside_a_node_is_read_to_its_end(reader, api):
    def graph(variables: dict[str, Any]) -> dict[str, Any]:
        start = int(variables["after"])
        ending = {"hasNextPage": start < 3, "endCursor": str(start + 1)}
        return {"data": {"user": {"orders": {"nodes": [{"id": start}], "pageInfo": ending}}}}

    api._graph = graph
    source = reader("Graph", "NestedGraph").source()
    first = {"nodes": [{"id": 0}], "pageInfo": {"hasNextPage": True, "endCursor": "1"}}
    whole = source._with_all_orders({"id": 7, "orders": first})
    assert whole == {"id": 7, "orders": [{"id": number} for number in range(4)]}


def test_a_list_inside_a_node_that_does_not_move_is_an_error(reader, api):
    ending = {"hasNextPage": True, "endCursor": "1"}
    api._graph = lambda _: {"data": {"user": {"orders": {"nodes": [], "pageInfo": ending}}}}
    source = reader("Graph", "NestedGraph").source()
    with pytest.raises(SourceFetchError, match="the cursor of the orders does not move"):
        source._with_all_orders({"id": 7, "orders": {"nodes": [], "pageInfo": ending}})
