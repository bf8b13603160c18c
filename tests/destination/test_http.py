"""HTTP for destinations: which errors may pass, and what they say."""

import pytest
import requests
from pytest_httpserver import HTTPServer

from bizon.common.errors.errors import DestinationWriteError
from bizon.destination.http import http_session, sending
from bizon.source.config import HttpConfig

NO_RETRIES = HttpConfig(retries={"total": 0})


@pytest.mark.parametrize(("status", "passes"), [(400, False), (404, False), (408, True), (429, True), (503, True)])
def test_an_answer_tells_whether_another_try_may_help(httpserver: HTTPServer, status: int, passes: bool) -> None:
    httpserver.expect_request("/rows").respond_with_data("", status=status)
    with (
        http_session(NO_RETRIES) as session,
        pytest.raises(DestinationWriteError, match=f"ledger: POST .*/rows: HTTP {status}") as failed,
        sending("ledger"),
    ):
        session.post(httpserver.url_for("/rows?token=secret"), json={})
    assert failed.value.retryable is passes
    assert "secret" not in str(failed.value)


def test_an_endpoint_that_is_unreachable_is_worth_another_try() -> None:
    with http_session(NO_RETRIES) as session, pytest.raises(DestinationWriteError) as failed, sending("ledger"):
        session.post("http://127.0.0.1:1/rows", json={})
    assert failed.value.retryable


def test_a_refused_caller_is_sent_to_the_configuration_of_the_destination(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/rows").respond_with_data("", status=403)
    with (
        http_session(NO_RETRIES) as session,
        pytest.raises(requests.HTTPError, match=r"check the credentials in destination\.config"),
    ):
        session.post(httpserver.url_for("/rows"), json={})
