"""Access tokens: when and how they are fetched, and failures to fetch them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from pytest_httpserver import HTTPServer
from requests import Request

from bizon.common.errors.errors import SourceConnectionError
from bizon.source.auth.authenticators.oauth import Oauth2Authenticator, Oauth2AuthParams
from bizon.source.auth.builder import AuthBuilder
from bizon.source.config import HttpRetriesConfig
from bizon.source.session import Session

START = datetime(2030, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(httpserver: HTTPServer, clock: Clock):
    def make(**params) -> Oauth2Authenticator:
        defaults = {
            "token_refresh_endpoint": httpserver.url_for("/token"),
            "client_id": "id",
            "client_secret": "s3cr3t-client",
            "refresh_token": "s3cr3t-refresh",
        }
        session = Session(retries=HttpRetriesConfig(total=2, backoff_factor=0), timeout=(1, 1))
        return Oauth2Authenticator(Oauth2AuthParams(**{**defaults, **params}), session=session, clock=clock)

    return make


def answer(httpserver: HTTPServer, *bodies: object) -> None:
    for body in bodies:
        httpserver.expect_ordered_request("/token", method="POST").respond_with_json(body)


def tokens(number: int, lifetime: object = 3600) -> list[dict]:
    return [{"access_token": f"t{i}", "expires_in": lifetime} for i in range(1, number + 1)]


def test_nothing_is_fetched_before_the_first_request(make, httpserver: HTTPServer):
    make()
    assert httpserver.log == []


def test_a_request_carries_the_token(make, httpserver: HTTPServer):
    answer(httpserver, *tokens(1))
    prepared = Request("GET", "http://host/", auth=make()).prepare()
    assert prepared.headers["Authorization"] == "Bearer t1"


def test_the_refresh_is_a_form_with_the_standard_fields(make, httpserver: HTTPServer):
    answer(httpserver, *tokens(1))
    extra = {"audience": "api", "client_id": "other"}
    _ = make(scopes=["read", "write"], refresh_request_body=extra).access_token
    request = httpserver.log[0][0]
    assert request.form.to_dict() == {
        "grant_type": "refresh_token",
        "client_id": "id",
        "client_secret": "s3cr3t-client",
        "refresh_token": "s3cr3t-refresh",
        "scope": "read,write",
        "audience": "api",
    }


def test_client_credentials_send_no_refresh_token(make, httpserver: HTTPServer):
    answer(httpserver, *tokens(1))
    _ = make(grant_type="client_credentials", refresh_token=None).access_token
    form = httpserver.log[0][0].form
    assert form["grant_type"] == "client_credentials"
    assert "refresh_token" not in form


@pytest.mark.parametrize(
    ("lifetime", "skew", "kept"),
    [
        (3600, None, 3540),  # 10 % would be 360 s, the cap is 60 s
        (100, None, 90),
        (100, 30, 70),
        (100, 0, 100),
        (100, 500, 50),  # a skew beyond the lifetime would refresh before every request
    ],
)
def test_a_token_is_replaced_shortly_before_it_expires(make, httpserver: HTTPServer, clock, lifetime, skew, kept):
    answer(httpserver, *tokens(2, lifetime))
    auth = make(expiry_skew_seconds=skew)
    assert auth.access_token == "t1"
    clock.advance(kept - 0.001)
    assert auth.access_token == "t1"
    clock.advance(0.001)
    assert auth.access_token == "t2"


@pytest.mark.parametrize(
    ("lifetime", "params"),
    [
        ("1000", {}),
        ("2030-01-01T00:16:40Z", {}),
        ("01/01/2030 00:16:40", {"token_expiry_date_format": "%d/%m/%Y %H:%M:%S"}),
        (None, {"token_expiry_date": "2030-01-01T00:16:40"}),
    ],
)
def test_the_lifetime_may_be_text_a_date_or_configured(make, httpserver: HTTPServer, clock, lifetime, params):
    answer(httpserver, *tokens(2, lifetime))
    auth = make(expiry_skew_seconds=0, **params)
    clock.advance(1)
    assert auth.access_token == "t1"
    clock.advance(998)
    assert auth.access_token == "t1"
    clock.advance(100)
    assert auth.access_token == "t2"


def test_a_token_without_a_lifetime_is_kept_for_the_whole_run(make, httpserver: HTTPServer, clock):
    answer(httpserver, {"access_token": "t1"})
    auth = make()
    assert auth.access_token == "t1"
    clock.advance(10 * 365 * 86_400)
    assert auth.access_token == "t1"


@pytest.mark.parametrize("path", ["data/items/0", "data.items.0", "/data/items/0/"])
def test_the_fields_may_be_inside_the_answer_and_have_other_names(make, httpserver: HTTPServer, path):
    answer(httpserver, {"data": {"items": [{"accessToken": "t1", "expiresIn": 10}]}})
    auth = make(response_field_path=path, access_token_name="accessToken", expires_in_name="expiresIn")
    assert auth.access_token == "t1"


def test_a_replaced_refresh_token_is_used_from_then_on(make, httpserver: HTTPServer, clock):
    first, second = tokens(2, 10)
    answer(httpserver, {**first, "refresh_token": "s3cr3t-rotated"}, second)
    auth = make()
    _ = auth.access_token
    clock.advance(10)
    _ = auth.access_token
    assert [r.form["refresh_token"] for r, _ in httpserver.log] == ["s3cr3t-refresh", "s3cr3t-rotated"]


def test_threads_share_one_refresh(make, httpserver: HTTPServer):
    answer(httpserver, *tokens(1))
    auth = make()
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: auth.access_token, range(32))) == {"t1"}
    assert len(httpserver.log) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_endpoint_is_retried(make, httpserver: HTTPServer, status):
    httpserver.expect_ordered_request("/token").respond_with_data(status=status)
    answer(httpserver, *tokens(1))
    assert make().access_token == "t1"


def failure(auth: Oauth2Authenticator) -> SourceConnectionError:
    with pytest.raises(SourceConnectionError) as caught:
        _ = auth.access_token
    error = caught.value
    assert "s3cr3t" not in f"{error} {error!r}"
    assert error.__suppress_context__ or error.__context__ is None
    return error


@pytest.mark.lesson("F-27")
def test_a_refusal_names_endpoint_status_and_reason_but_no_secret(make, httpserver: HTTPServer):
    """A failed refresh logged client_secret and refresh token."""
    body = {"error": "invalid_grant", "error_description": "s3cr3t-refresh is unknown"}
    httpserver.expect_request("/token").respond_with_json(body, status=400)
    endpoint = httpserver.url_for("/token").replace("http://", "http://u:s3cr3t@") + "?key=s3cr3t"
    error = failure(make(token_refresh_endpoint=endpoint))
    assert f"token endpoint localhost:{httpserver.port}/token refused" in str(error)
    assert "HTTP 400 (invalid_grant)" in str(error)
    assert not error.retryable


@pytest.mark.parametrize("body", ["<html>", '["s3cr3t"]', '{"error": "s3cr3t"}', '{"error": {"a": 1}}'])
def test_a_refusal_repeats_nothing_it_does_not_know(make, httpserver: HTTPServer, body):
    httpserver.expect_request("/token").respond_with_data(body, status=401)
    assert "HTTP 401;" in str(failure(make()))


def test_an_endpoint_that_stays_broken_may_be_tried_later(make, httpserver: HTTPServer):
    httpserver.expect_request("/token").respond_with_data("s3cr3t", status=503)
    error = failure(make())
    assert error.retryable
    assert len(httpserver.log) == 3


def test_an_endpoint_that_cannot_be_reached(make):
    assert "is unreachable: ConnectionError" in str(failure(make(token_refresh_endpoint="http://127.0.0.1:9/token")))


@pytest.mark.parametrize(
    ("body", "params", "expected"),
    [
        ({"token": "s3cr3t", "expires_in": 1}, {}, "no 'access_token' in the answer, which has expires_in, token"),
        ({"access_token": "", "expires_in": 1}, {}, "no 'access_token'"),
        ({"access_token": "s3cr3t", "expires_in": "s3cr3t"}, {}, "'expires_in' is neither a number"),
        ({"access_token": "s3cr3t", "expires_in": 1e300}, {}, "'expires_in' is neither a number"),
        ({"access_token": "s3cr3t"}, {"response_field_path": "data/token"}, "'data/token' is not in the answer"),
        (["s3cr3t"], {}, "the answer is not an object"),
        ({"data": "s3cr3t"}, {"response_field_path": "data"}, "the answer is not an object at 'data'"),
    ],
)
def test_an_answer_without_a_usable_token_says_what_is_missing(make, httpserver: HTTPServer, body, params, expected):
    answer(httpserver, body)
    assert expected in str(failure(make(**params)))


def test_an_answer_that_is_not_json(make, httpserver: HTTPServer):
    httpserver.expect_request("/token").respond_with_data("s3cr3t")
    assert "not JSON" in str(failure(make()))


def test_a_plain_session_that_does_not_raise_is_enough(httpserver: HTTPServer):
    httpserver.expect_request("/token").respond_with_data(status=403)
    url = httpserver.url_for("/token")
    params = Oauth2AuthParams(token_refresh_endpoint=url, client_id="a", client_secret="s3cr3t")
    assert "HTTP 403" in str(failure(Oauth2Authenticator(params)))


def test_the_builder_gives_a_session_that_retries_the_refresh():
    params = Oauth2AuthParams(token_refresh_endpoint="http://host/token", client_id="a", client_secret="b")
    policy = AuthBuilder.oauth2(params=params)._session.get_adapter("http://host").policy
    assert policy.total > 0
    assert "POST" in policy.allowed_methods
