"""Snippets of adding-sources.md for APIs that log in, and for GraphQL APIs, against stand-ins of their own."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from docs.guide_code import module_with, write_custom
from docs.reading import IDS, TOKEN, Reader
from docs.standin import Api, signed_by
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bizon.common.errors.errors import SourceFetchError
from bizon.engine.records import records
from bizon.source.models import SourceIteration, SourceRecord


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


def orders(first: int, total: int = 4) -> dict[str, Any]:
    """A page of one order, of an answer that has some."""
    ending = {"hasNextPage": first + 1 < total, "endCursor": str(first + 1)}
    return {"nodes": [{"id": number} for number in range(first, min(first + 1, total))], "pageInfo": ending}


def test_a_list_inside_a_node_is_read_to_its_end_and_counted(reader, api, source_guide):
    def graph(variables: dict[str, Any]) -> dict[str, Any]:
        if "id" in variables:
            return {"data": {"user": {"orders": orders(int(variables["after"]), 120)}}}
        users = [{"id": 1, "orders": orders(0, 120)}, {"id": 2, "orders": orders(0, 0)}]
        ending = {"hasNextPage": False, "endCursor": None}
        return {"data": {"users": {"nodes": users, "pageInfo": ending}}}

    api._graph = graph
    source = type(reader("Graph", "NestedGraph").source())

    class WithOrders(source):
        def get(self, pagination=None):
            page = self._ask("users", after=None)
            users = [self._with_all_orders(page, user) for user in page.list_at("data", "users", "nodes")]
            return SourceIteration(records=[SourceRecord(id=u["id"], data=u) for u in users], next_pagination={})

        def check_connection(self):
            return True, None

    block = {"name": "n", "stream": "users", "base_url": api.url, "authentication": TOKEN}
    names = {"records": records, "block": lambda _: block, "MyApiSource": WithOrders}
    exec(source_guide.block("python", "def test_each_user_has_all_orders"), names)
    names["test_each_user_has_all_orders"](api)


@pytest.mark.parametrize("period", [1, 2])
def test_a_list_inside_a_node_whose_cursors_repeat_is_an_error(reader, api, period):
    """A cycle of two used to run forever."""

    def graph(variables: dict[str, Any]) -> dict[str, Any]:
        ending = {"hasNextPage": True, "endCursor": str((int(variables["after"] or 0) + 1) % period)}
        connection = {"nodes": [], "pageInfo": ending}
        return {"data": {"user": {"orders": connection}, "users": connection}}

    api._graph = graph
    source = reader("Graph", "NestedGraph").source()
    page = source._ask("users", after=None)
    with pytest.raises(SourceFetchError, match="a cursor of the orders comes twice"):
        source._with_all_orders(page, {"id": 7, "orders": page["data"]["users"]})


@pytest.mark.parametrize("cursor", [None, ""])
def test_a_next_page_without_a_cursor_is_an_error(reader, api, cursor):
    connection = {"nodes": [], "pageInfo": {"hasNextPage": True, "endCursor": cursor}}
    api._graph = lambda _: {"data": {"users": connection}}
    source = reader("Graph", "NestedGraph").source()
    with pytest.raises(SourceFetchError, match="there is a next page, but no cursor"):
        source.get({})
    page = source._ask("users", after=None)
    with pytest.raises(SourceFetchError, match="there is a next page, but no cursor"):
        source._with_all_orders(page, {"id": 7, "orders": connection})


def test_one_signer_signs_the_login_and_everything_after_it(reader, tmp_path, source_guide, api, httpserver):
    """As the guide says for an API that wants both."""
    signatures = []

    def noted(request: Request) -> bool:
        signatures.append(int(request.headers["X-Timestamp"]))
        return signed_by("key-1", "s3cret")(request)

    api.admits = lambda request: noted(request) and request.headers["X-Session"] == "session-1"
    httpserver.expect_request("/v1/login", method="POST").respond_with_handler(
        lambda request: Response(
            '{"session": "session-1"}' if noted(request) else "{}", content_type="application/json"
        )
    )
    signed = source_guide.block("python", "class SignedRequests(").split("\n\n\n", 1)[1]
    text = module_with(source_guide, "LoginSession", "LoggedIn")
    login, header = "log_in: Callable[[], str]", '        r.headers["X-Session"] = self._session\n'
    signer = 'signer = SignedRequests("key-1", self.config.authentication.params.token)'
    changes = {
        f"{login}) -> None:\n": f"{login}, signer: AuthBase) -> None:\n        self._signer = signer\n",
        header: f"{header}        self._signer(r)\n",
        "return LoginSession(self._log_in)": f"{signer}\n"
        "        return LoginSession(lambda: self._log_in(signer), signer)",
        "def _log_in(self) -> str:": "def _log_in(self, signer) -> str:",
        "auth=lambda request: request)": "auth=signer)",
    }
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    file = tmp_path / "both.py"
    text = text.replace("\n\nclass MyApiAuth", f"\nfrom urllib.parse import urlsplit\n\n{signed}\n\nclass MyApiAuth", 1)
    file.write_text(text, encoding="utf-8")
    assert Reader(file, api.url).ids() == IDS
    assert signatures == sorted(set(signatures))
