"""The HTTP session of a source: time-outs, retries, and errors without secrets."""

import os
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import islice

import pytest
import requests
from loguru import logger
from pytest_httpserver import HTTPServer
from requests.auth import AuthBase
from urllib3.response import HTTPResponse
from werkzeug import Response

from bizon.source import retries
from bizon.source.auth.authenticators.cookies import CookiesAuthParams
from bizon.source.auth.authenticators.token import TokenAuthParams
from bizon.source.auth.builder import AuthBuilder
from bizon.source.config import HttpConfig, HttpRetriesConfig
from bizon.source.session import CappedRetry, Session

AT_ONCE = HttpRetriesConfig(total=3, backoff_factor=0, retry_after_max=0.01)
NEVER = HttpRetriesConfig(total=0)


@pytest.fixture
def session():
    with Session(retries=AT_ONCE, timeout=(1, 1)) as session:
        yield session


@pytest.fixture
def log():
    lines: list[str] = []
    sink = logger.add(lines.append, level="TRACE", format="{message}")
    yield lines
    logger.remove(sink)


@pytest.fixture
def silent_server():
    """Accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.mark.lesson("F-36")
def test_429_with_retry_after_is_retried_on_plain_http(session, httpserver: HTTPServer):
    """``http://`` addresses were never retried at all."""
    httpserver.expect_ordered_request("/items").respond_with_data(status=429, headers={"Retry-After": "3600"})
    httpserver.expect_ordered_request("/items").respond_with_json({"ok": True})
    assert session.get(httpserver.url_for("/items")).json() == {"ok": True}
    assert len(httpserver.log) == 2


@pytest.mark.lesson("F-36")
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_server_errors_are_retried(session, httpserver: HTTPServer, status):
    """A plain 500, 502 or 504 failed at once."""
    httpserver.expect_ordered_request("/items").respond_with_data(status=status)
    httpserver.expect_ordered_request("/items").respond_with_data("fine")
    assert session.get(httpserver.url_for("/items")).text == "fine"


def test_an_exhausted_status_surfaces_as_an_http_error_with_the_answer(session, httpserver: HTTPServer):
    httpserver.expect_request("/items").respond_with_data("broken", status=500)
    with pytest.raises(requests.HTTPError, match="HTTP 500 Internal Server Error") as caught:
        session.get(httpserver.url_for("/items"))
    assert caught.value.response.status_code == 500
    assert len(httpserver.log) == 1 + AT_ONCE.total


def test_a_client_error_is_not_retried(session, httpserver: HTTPServer):
    httpserver.expect_request("/items").respond_with_data(status=404)
    with pytest.raises(requests.HTTPError):
        session.get(httpserver.url_for("/items"))
    assert len(httpserver.log) == 1


def test_a_prepared_request_raises_too(session, httpserver: HTTPServer):
    httpserver.expect_request("/items").respond_with_data(status=418)
    with pytest.raises(requests.HTTPError, match="418"):
        session.send(session.prepare_request(requests.Request("GET", httpserver.url_for("/items"))))


def test_the_answer_of_an_error_can_still_be_read(session, httpserver: HTTPServer):
    httpserver.expect_request("/items").respond_with_json({"message": "no such field"}, status=400)
    with pytest.raises(requests.HTTPError) as caught:
        session.get(httpserver.url_for("/items"))
    assert caught.value.response.json() == {"message": "no such field"}


def test_a_status_without_a_name_is_reported_by_number(session, httpserver: HTTPServer):
    httpserver.expect_request("/items").respond_with_data(status=499)
    with pytest.raises(requests.HTTPError, match="HTTP 499 unknown status"):
        session.get(httpserver.url_for("/items"))


def test_raise_for_status_false_hands_the_answer_over(httpserver: HTTPServer):
    httpserver.expect_request("/items").respond_with_data(status=404)
    assert Session(retries=NEVER, raise_for_status=False).get(httpserver.url_for("/items")).status_code == 404


def test_a_method_that_is_not_allowed_is_not_retried(session, httpserver: HTTPServer):
    httpserver.expect_request("/items").respond_with_data(status=503, headers={"Retry-After": "1"})
    with pytest.raises(requests.HTTPError):
        session.delete(httpserver.url_for("/items"))
    assert len(httpserver.log) == 1


def test_no_allowed_method_means_no_retry(httpserver: HTTPServer):
    session = Session(retries=HttpRetriesConfig(total=3, backoff_factor=0, allowed_methods=()))
    httpserver.expect_request("/items").respond_with_data(status=503)
    with pytest.raises(requests.HTTPError):
        session.get(httpserver.url_for("/items"))
    assert len(httpserver.log) == 1


def test_only_listed_statuses_are_retried_even_with_retry_after(httpserver: HTTPServer):
    session = Session(retries=HttpRetriesConfig(total=3, backoff_factor=0, status_forcelist=(500,)))
    httpserver.expect_request("/items").respond_with_data(status=429, headers={"Retry-After": "1"})
    with pytest.raises(requests.HTTPError):
        session.get(httpserver.url_for("/items"))
    assert len(httpserver.log) == 1


@pytest.mark.lesson("F-36")
def test_a_server_that_never_answers_is_a_timeout(silent_server):
    """Requests had no time-out: a dead host blocked the run forever."""
    with pytest.raises(requests.RequestException, match="Read timed out"):
        Session(retries=NEVER, timeout=(1, 0.02)).post(f"{silent_server}/items")


def test_the_timeout_also_holds_for_a_prepared_request(silent_server):
    with pytest.raises(requests.RequestException, match="Read timed out"):
        Session(retries=NEVER, timeout=(1, 0.02)).send(requests.Request("POST", silent_server).prepare())


def test_a_timeout_of_the_request_wins(silent_server):
    with pytest.raises(requests.RequestException, match="Read timed out"):
        Session(retries=NEVER).get(silent_server, timeout=0.02)


def test_timeouts_and_retries_default_to_the_configured_defaults():
    session = Session()
    for url in ("http://host/", "https://host/"):
        policy = session.get_adapter(url).policy
        assert (policy.total, policy.backoff_factor, policy.wait_max) == (10, 2.0, 120.0)
        assert policy.status_forcelist == {429, 500, 502, 503, 504, 520, 522, 524}
    assert session.timeout == HttpConfig().timeout == (10.0, 60.0)


def test_a_refused_connection_is_retried_and_then_a_connection_error(session, closed_port, log):
    with pytest.raises(requests.exceptions.ConnectionError, match="refused"):
        session.get(f"{closed_port}/items")
    assert len([line for line in log if "retrying in" in line]) == AT_ONCE.total


def test_a_cut_connection_is_retried(session, httpserver: HTTPServer):
    answers = iter([Response(status=200, headers={"Content-Length": "0"}), Response("fine")])

    def cut_then_answer(request):
        answer = next(answers)
        if answer.headers["Content-Length"] == "0":
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return answer

    httpserver.expect_request("/items").respond_with_handler(cut_then_answer)
    assert session.get(httpserver.url_for("/items")).text == "fine"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("3600", 30),
        (format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True), 30),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("soon", None),
    ],
    ids=["seconds", "seconds above the cap", "a date above the cap", "a date in the past", "nonsense"],
)
def test_retry_after_in_both_forms_is_honoured_up_to_the_cap(header, seconds):
    policy = CappedRetry.from_config(HttpRetriesConfig(retry_after_max=30))
    assert policy.get_retry_after(HTTPResponse(headers={"Retry-After": header}, status=429)) == seconds


def test_the_cap_of_retry_after_survives_a_retry():
    policy = CappedRetry.from_config(HttpRetriesConfig(retry_after_max=30)).increment("GET", "/", error=OSError())
    assert policy.get_retry_after(HTTPResponse(headers={"Retry-After": "99"}, status=429)) == 30


def test_the_back_off_doubles_from_the_first_retry_up_to_the_cap(monkeypatch):
    policy = CappedRetry.from_config(HttpRetriesConfig(backoff_factor=2, retry_after_max=10))
    waits: list[float] = []
    monkeypatch.setattr(retries, "pause", lambda wait, _sign: waits.append(wait))
    for _ in islice(policy.attempts(None), 5):
        pass
    assert waits == [2, 4, 8, 10]


@pytest.mark.parametrize("method", ["GET", "post", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_call_sends_any_method(session, httpserver: HTTPServer, method):
    """Only get and post used to work."""
    httpserver.expect_request("/items", method=method.upper()).respond_with_data("done")
    assert session.call(method, httpserver.url_for("/items")).text == "done"


def test_call_sets_the_content_type_on_its_own_request_only(session, httpserver: HTTPServer):
    httpserver.expect_request("/items").respond_with_data()
    session.call("POST", httpserver.url_for("/items"), "text/csv", data="a,b")
    session.call("POST", httpserver.url_for("/items"), headers={"content-type": "text/plain"}, data="a")
    session.get(httpserver.url_for("/items"))
    sent = [request.headers.get("Content-Type") for request, _ in httpserver.log]
    assert sent == ["text/csv", "text/plain", None]


def test_call_passes_further_arguments_on(session, httpserver: HTTPServer):
    httpserver.expect_request("/items", query_string={"page": "2"}, json={"a": 1}).respond_with_data("done")
    url = httpserver.url_for("/items")
    assert session.call("POST", url, "application/json", {"page": 2}, json={"a": 1}).text == "done"


def _everything_shown(error: BaseException) -> str:
    shown = ""
    while error is not None:
        shown += f"{error} {error!r} {error.args}"
        error = error.__cause__ or error.__context__
    return shown


@pytest.mark.lesson("F-27")
def test_a_failed_call_shows_and_logs_neither_body_header_nor_query(closed_port, log):
    """On a connection error the whole request was logged, with client_secret and the Authorization header."""
    session = Session(retries=AT_ONCE)
    session.auth = AuthBuilder.token(TokenAuthParams(token="s3cr3t-token"))
    url = closed_port.replace("http://", "http://user:s3cr3t-pass@")
    with pytest.raises(requests.exceptions.ConnectionError) as caught:
        session.call("POST", f"{url}/items?key=s3cr3t-query", json={"client_secret": "s3cr3t-body"})
    shown = _everything_shown(caught.value) + "".join(log)
    assert "s3cr3t" not in shown
    assert f"POST {closed_port}/items: ConnectionError" in shown


@pytest.mark.lesson("F-27")
def test_an_http_error_shows_the_url_without_its_query(session, httpserver: HTTPServer, log):
    httpserver.expect_request("/items").respond_with_data("s3cr3t-echo", status=503)
    with pytest.raises(requests.HTTPError) as caught:
        session.get(httpserver.url_for("/items"), params={"api_key": "s3cr3t"})
    assert str(caught.value) == f"GET {httpserver.url_for('/items')}: HTTP 503 Service Unavailable"
    assert "s3cr3t" not in _everything_shown(caught.value) + "".join(log)


@pytest.mark.lesson("F-27")
@pytest.mark.parametrize(
    "url", ["items?key=s3cr3t", "ftp://u:s3cr3t@host/?s3cr3t", "http://u:s3cr3t@/?s3cr3t", "http://u:s3cr3t?x@h/"]
)
def test_an_invalid_url_is_not_repeated(session, url):
    with pytest.raises(requests.RequestException) as caught:
        session.get(url)
    assert "s3cr3t" not in _everything_shown(caught.value)


@pytest.mark.lesson("F-27")
def test_an_invalid_header_value_is_not_repeated(session):
    """A token read from a file often ends in a newline; requests quotes it in its error."""
    with pytest.raises(requests.exceptions.InvalidHeader, match="line break") as caught:
        session.get("http://host/", headers={"X-Api-Key": "s3cr3t\n"})
    assert "s3cr3t" not in _everything_shown(caught.value)


@pytest.mark.lesson("F-27")
def test_a_custom_token_header_does_not_follow_to_another_host(session, httpserver: HTTPServer):
    session.auth = AuthBuilder.token(TokenAuthParams(token="s3cr3t", auth_method="", auth_header="X-Api-Key"))
    elsewhere = httpserver.url_for("/there").replace("localhost", "127.0.0.1")
    httpserver.expect_request("/here").respond_with_data(status=302, headers={"Location": elsewhere})
    httpserver.expect_request("/there").respond_with_data()
    session.get(httpserver.url_for("/here"))
    assert [request.headers.get("X-Api-Key") for request, _ in httpserver.log] == ["s3cr3t", None]


class SignsThePath(AuthBase):
    def __call__(self, r):
        r.headers["X-Signature"] = f"signed {r.path_url}"
        return r

    def sign_again(self, request):
        self(request)

    def renew(self, request):
        return False


def test_a_signature_does_not_follow_to_another_host_and_back(session, httpserver: HTTPServer):
    session.auth = SignsThePath()
    elsewhere = httpserver.url_for("/there").replace("localhost", "127.0.0.1")
    httpserver.expect_request("/here").respond_with_data(status=302, headers={"Location": elsewhere})
    httpserver.expect_request("/there").respond_with_data(status=302, headers={"Location": "/end"})
    httpserver.expect_request("/end").respond_with_data()
    session.get(httpserver.url_for("/here"))
    assert [request.headers.get("X-Signature") for request, _ in httpserver.log] == ["signed /here", None, None]


def test_a_redirect_on_the_same_host_is_signed_again(session, httpserver: HTTPServer):
    session.auth = SignsThePath()
    httpserver.expect_request("/here").respond_with_data(status=302, headers={"Location": "/there"})
    httpserver.expect_request("/there").respond_with_data()
    session.get(httpserver.url_for("/here"), headers={"X-Own": "1"})
    found = [(request.headers["X-Signature"], request.headers["X-Own"]) for request, _ in httpserver.log]
    assert found == [("signed /here", "1"), ("signed /there", "1")]


def test_cookies_follow_a_redirect_on_the_same_host(session, httpserver: HTTPServer):
    session.auth = AuthBuilder.cookies(CookiesAuthParams(cookies={"sid": "1"}))
    httpserver.expect_request("/here").respond_with_data(status=302, headers={"Location": "/there"})
    httpserver.expect_request("/there").respond_with_data()
    session.get(httpserver.url_for("/here"))
    assert [request.headers.get("Cookie") for request, _ in httpserver.log] == ["sid=1", "sid=1"]


def test_a_redirect_to_a_dead_host_is_reported_once(session, httpserver: HTTPServer, closed_port):
    httpserver.expect_request("/here").respond_with_data(status=302, headers={"Location": f"{closed_port}/there"})
    with pytest.raises(requests.exceptions.ConnectionError) as caught:
        session.get(httpserver.url_for("/here"))
    assert str(caught.value).count("ConnectionError") == 1


@pytest.mark.lesson("F-47")
def test_a_session_leaves_environment_and_log_sinks_alone():
    environment, sinks = dict(os.environ), set(logger._core.handlers)
    Session().close()
    assert dict(os.environ) == environment
    assert set(logger._core.handlers) == sinks
