"""Answers with status 200: pages, and everything that only looks like one."""

from itertools import count
from threading import Event

import pytest
import requests
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bizon.common.errors.errors import SourceFetchError, StoppedError
from bizon.common.waiting import ends_with, within
from bizon.source.config import HttpRetriesConfig
from bizon.source.pages import Page
from bizon.source.session import Session

LIMIT = {"error": {"code": "rate_limited", "message": "slow down, key SECRET-123"}}
PAGE = {"items": [{"id": 1}], "next": None}


def session_with(**retries: object) -> Session:
    return Session(retries=HttpRetriesConfig(**{"total": 3, "backoff_factor": 0, **retries}))


@pytest.fixture
def session():
    with session_with() as session:
        yield session


def limited(page: Page) -> float | None:
    return 0 if "error" in page else None


def page_of(httpserver: HTTPServer, session: Session, answer: object) -> Page:
    httpserver.expect_request("/items").respond_with_json(answer)
    return session.page("GET", httpserver.url_for("/items"), params={"page": 1})


def test_a_page_is_the_object_of_the_answer(httpserver, session):
    page = page_of(httpserver, session, PAGE)
    assert page == PAGE
    assert page.list_at("items") == [{"id": 1}]
    assert page.response.status_code == 200


def test_a_list_may_be_deeper_or_the_whole_answer(httpserver, session):
    assert page_of(httpserver, session, {"data": {"users": {"nodes": [{"id": 1}]}}}).list_at(
        "data", "users", "nodes"
    ) == [{"id": 1}]
    httpserver.clear()
    assert page_of(httpserver, session, [{"id": 1}]).list_at() == [{"id": 1}]


@pytest.mark.parametrize(
    ("answer", "path", "reason"),
    [
        ({"results": []}, ["items"], "expected a list at 'items', found null or no such key; it has the keys results"),
        ({"items": None}, ["items"], "expected a list at 'items', found null or no such key; it has the keys items"),
        ({"items": {"id": 1}}, ["items"], "expected a list at 'items', found an object"),
        ({"data": None}, ["data", "nodes"], "expected a list at 'data.nodes', found null"),
        ({"items": [{"id": 1}, 7]}, ["items"], "the list at 'items' holds a number, not only objects"),
        ({"items": []}, [], "expected a list in the answer, found an object"),
        ({}, ["items"], "expected a list at 'items', found null or no such key; it has no keys"),
    ],
)
def test_a_missing_list_is_an_error_and_never_an_empty_page(httpserver, session, answer, path, reason):
    page = page_of(httpserver, session, answer)
    with pytest.raises(SourceFetchError) as error:
        page.list_at(*path)
    assert f"/items: HTTP 200: {reason}" in str(error.value)


@pytest.mark.parametrize("answer", [None, "maintenance", 3, True])
def test_an_answer_that_is_neither_object_nor_list_is_an_error(httpserver, session, answer):
    with pytest.raises(SourceFetchError, match="not an object or a list"):
        page_of(httpserver, session, answer)


def test_a_body_that_is_not_json_is_an_error_with_its_path(httpserver, session):
    httpserver.expect_request("/items").respond_with_data("<html>busy</html>", content_type="text/html")
    with pytest.raises(requests.JSONDecodeError, match="/items: HTTP 200, text/html"):
        session.page("GET", httpserver.url_for("/items"))


def test_the_error_shows_the_message_of_the_api_and_no_credentials(httpserver, session):
    session.headers["Authorization"] = "Bearer SECRET-123"
    page = page_of(httpserver, session, LIMIT)
    with pytest.raises(SourceFetchError) as error:
        page.list_at("items")
    assert "the API says: slow down, key **********" in str(error.value)
    assert "page=1" not in str(error.value)


def test_a_rate_limit_in_the_body_delays_the_retry_as_long_as_the_api_asks(httpserver):
    waits = []
    for answer in (LIMIT, LIMIT, PAGE):
        httpserver.expect_ordered_request("/items", method="POST").respond_with_json(answer)
    with session_with(retry_after_max=0.02) as session:
        page = session.page("POST", httpserver.url_for("/items"), json={}, limited=lambda p: noted(waits, p))
    assert page == PAGE
    assert waits == [3600.0, 3600.0, None]


def noted(waits: list[float | None], page: Page) -> float | None:
    waits.append(3600.0 if "error" in page else None)
    return waits[-1]


@pytest.mark.parametrize(("retries", "requests_sent"), [({"total": 2}, 3), ({"allowed_methods": ("POST",)}, 1)])
def test_a_limit_that_does_not_end_is_an_error_after_the_retries_of_the_configuration(
    httpserver, retries, requests_sent
):
    httpserver.expect_request("/items").respond_with_json(LIMIT)
    with session_with(**retries) as session, pytest.raises(SourceFetchError, match="still asks to wait after"):
        session.page("GET", httpserver.url_for("/items"), limited=limited)
    assert len(httpserver.log) == requests_sent


def test_the_check_of_a_connection_does_not_wait_for_a_long_limit(httpserver, session):
    httpserver.expect_request("/items").respond_with_json(LIMIT)
    with within(10), pytest.raises(SourceFetchError, match="still asks to wait after 1 attempts"):
        session.page("GET", httpserver.url_for("/items"), limited=lambda page: 60)


def test_the_wait_for_a_limit_ends_with_the_run(httpserver):
    stop, sent = Event(), count(1)

    def answer(_request: Request) -> Response:
        next(sent)
        stop.set()  # while the answer is on its way: the run must end before the next attempt
        return Response('{"error": {}}', content_type="application/json")

    httpserver.expect_request("/items").respond_with_handler(answer)
    with ends_with(stop), session_with(retry_after_max=3600) as session, pytest.raises(StoppedError):
        session.page("GET", httpserver.url_for("/items"), limited=lambda page: 3600)
    assert next(sent) == 2
