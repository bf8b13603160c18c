"""Access tokens that expire early, refresh tokens that rotate, and token endpoints that redirect."""

import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bizon.common.errors.errors import BackendError, SourceConnectionError
from bizon.common.kept_tokens import kept_by
from bizon.source.auth.authenticators.oauth import Oauth2Authenticator, Oauth2AuthParams
from bizon.source.auth.authenticators.sealing import Seal
from bizon.source.config import HttpRetriesConfig
from bizon.source.session import Session

RETRIES = HttpRetriesConfig(total=2, backoff_factor=0)


class Shelf:
    """A keeper in memory that records its calls."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.calls: list[str] = []
        self._lock = threading.Lock()

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        with self._lock:
            yield

    def read(self, name: str) -> str | None:
        return self.kept.get(name)

    def write(self, name: str, value: str) -> None:
        self.calls.append("kept")
        self.kept[name] = value


class Provider:
    """A token endpoint whose refresh tokens can be used once, and an API that knows the newest access token."""

    def __init__(self, server: HTTPServer) -> None:
        self.refresh, self.access, self.asked = "refresh-token-0", "", list[str]()
        self.seen: list[str] = []
        self._lock = threading.Lock()
        server.expect_request("/token").respond_with_handler(self._token)
        server.expect_request("/items").respond_with_handler(self._items)

    def _token(self, request: Request) -> Response:
        with self._lock:
            given = request.form.get("refresh_token", "")
            self.asked.append(given)
            if given != self.refresh:
                return Response('{"error": "invalid_grant"}', 400)
            number = len(self.asked)
            self.refresh, self.access = f"refresh-token-{number}", f"access-{number}"
            return Response(f'{{"access_token": "{self.access}", "refresh_token": "{self.refresh}"}}')

    def _items(self, request: Request) -> Response:
        self.seen.append(request.headers["Authorization"])
        return Response("ok") if self.seen[-1] == f"Bearer {self.access}" else Response("no", 401)


@pytest.fixture
def provider(httpserver: HTTPServer) -> Provider:
    return Provider(httpserver)


Make = Callable[..., Oauth2Authenticator]


@pytest.fixture
def make(httpserver: HTTPServer) -> Make:
    def make(keeper: Shelf | None = None, **params: str) -> Oauth2Authenticator:
        url = params.pop("url", httpserver.url_for("/token"))
        given = {
            "token_refresh_endpoint": url,
            "client_id": "id",
            "client_secret": "cs",
            "refresh_token": "refresh-token-0",
            **params,
        }
        if keeper is None:
            return Oauth2Authenticator(Oauth2AuthParams(**given), session=Session(RETRIES))
        with kept_by(keeper):
            return Oauth2Authenticator(Oauth2AuthParams(**given), session=Session(RETRIES))

    return make


def _session(auth: Oauth2Authenticator, retries: HttpRetriesConfig = RETRIES) -> Session:
    session = Session(retries)
    session.auth = auth
    return session


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("total", [0, 2])
def test_a_token_that_is_revoked_early_is_replaced_once(
    make: Make, provider: Provider, httpserver: HTTPServer, method: str, total: int
) -> None:
    """The run ended with the first 401."""
    session = _session(make(), HttpRetriesConfig(total=total))
    url = httpserver.url_for("/items")
    session.request(method, url)
    provider.access = "revoked"
    provider.refresh = "refresh-token-1"
    assert session.request(method, url, data="x" if method == "POST" else None).text == "ok"
    assert provider.seen == ["Bearer access-1", "Bearer access-1", "Bearer access-2"]


def test_a_refusal_that_a_new_token_does_not_change_is_reported_after_one_refresh(
    make: Make, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/token").respond_with_json({"access_token": "a"})
    httpserver.expect_request("/items").respond_with_json({"message": "scope is missing"}, status=401)
    with pytest.raises(requests.HTTPError, match="HTTP 401 Unauthorized: scope is missing"):
        _session(make()).get(httpserver.url_for("/items"))
    assert [request.path for request, _ in httpserver.log] == ["/token", "/items", "/token", "/items"]


def test_a_token_that_expires_while_a_request_waits_is_replaced_before_the_next_try(
    make: Make, httpserver: HTTPServer
) -> None:
    httpserver.expect_ordered_request("/token").respond_with_json({"access_token": "a1", "expires_in": 0})
    httpserver.expect_ordered_request("/items").respond_with_data(status=429)
    httpserver.expect_ordered_request("/token").respond_with_json({"access_token": "a2", "expires_in": 0})
    httpserver.expect_ordered_request("/items").respond_with_data("ok")
    assert _session(make()).get(httpserver.url_for("/items")).text == "ok"
    assert httpserver.log[3][0].headers["Authorization"] == "Bearer a2"


def test_a_token_is_not_renewed_for_a_host_that_a_redirect_leads_to(make: Make, httpserver: HTTPServer) -> None:
    elsewhere = httpserver.url_for("/there").replace("localhost", "127.0.0.1")
    httpserver.expect_request("/token").respond_with_json({"access_token": "a"})
    httpserver.expect_request("/items").respond_with_data(status=302, headers={"Location": elsewhere})
    httpserver.expect_request("/there").respond_with_data(status=401)
    with pytest.raises(requests.HTTPError, match="401"):
        _session(make()).get(httpserver.url_for("/items"))
    assert [request.path for request, _ in httpserver.log] == ["/token", "/items", "/there"]
    assert "Authorization" not in httpserver.log[2][0].headers


def test_a_replaced_refresh_token_is_used_by_the_next_run(make: Make, provider: Provider) -> None:
    """The second run used the configured token, which was spent."""
    shelf = Shelf()
    assert make(shelf).access_token == "access-1"
    assert make(shelf).access_token == "access-2"
    assert provider.asked == ["refresh-token-0", "refresh-token-1"]


def test_a_replaced_refresh_token_is_kept_before_anything_is_done_with_the_answer(
    make: Make, httpserver: HTTPServer
) -> None:
    """A run that fails or is killed right after must not lose it."""
    httpserver.expect_request("/token").respond_with_json(
        {"refresh_token": "refresh-token-1", "oops": "no access token"}
    )
    shelf = Shelf()
    with pytest.raises(SourceConnectionError, match="no 'access_token'"):
        _ = make(shelf).access_token
    assert shelf.calls == ["kept"]


def test_a_state_that_cannot_keep_the_token_ends_the_run_before_the_access_token_is_used(
    make: Make, provider: Provider, httpserver: HTTPServer
) -> None:
    class Broken(Shelf):
        def write(self, name: str, value: str) -> None:
            raise BackendError("the disk is full")

    with pytest.raises(BackendError):
        _session(make(Broken())).get(httpserver.url_for("/items"))
    assert provider.seen == []


def test_a_sealed_token_reveals_nothing_and_belongs_to_one_secret_endpoint_and_client(
    make: Make, provider: Provider
) -> None:
    shelf = Shelf()
    _ = make(shelf).access_token
    ((name, kept),) = shelf.kept.items()
    assert b"refresh-token-1" not in b64decode(kept)
    assert "refresh-token-1" not in kept
    provider.refresh = "refresh-token-0"
    assert make(shelf, client_id="other").access_token == "access-2", "asked with the configured one"
    assert len(shelf.kept) == 2
    assert Seal("another", "place").opened(kept) is None
    assert name != Seal("refresh-token-0", "place").name


def test_a_new_refresh_token_in_the_configuration_replaces_the_stored_one(make: Make, provider: Provider) -> None:
    shelf = Shelf()
    _ = make(shelf).access_token
    provider.refresh = "authorised again"
    assert make(shelf, refresh_token="authorised again").access_token == "access-2"


@pytest.mark.parametrize("text", ["t", "t" * 5_000, "é😀"])
def test_a_seal_opens_what_it_closed_and_nothing_that_was_changed(text: str) -> None:
    seal = Seal("refresh-token-0", "place")
    closed = seal.closed(text)
    assert seal.opened(closed) == text
    assert seal.closed(text) != closed, "two texts do not share a stream"
    assert seal.opened(closed[:-8] + "AAAAAAA=") is None
    assert seal.opened(closed[:40]) is None
    assert seal.opened("no base64 ä") is None


def test_a_damaged_token_in_the_state_is_ignored(make: Make, provider: Provider) -> None:
    shelf = Shelf()
    shelf.kept[Seal("refresh-token-0", _place_of(make(shelf))).name] = "damaged"
    assert make(shelf).access_token == "access-1"


def _place_of(auth: Oauth2Authenticator) -> str:
    return f"{auth._place}\0id"


def test_several_sources_with_one_refresh_token_do_not_spend_it_for_each_other(make: Make, provider: Provider) -> None:
    shelf = Shelf()
    several = [make(shelf) for _ in range(6)]
    threads = [threading.Thread(target=lambda each=each: each.access_token) for each in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert provider.asked == [f"refresh-token-{n}" for n in range(6)]


def test_a_refused_token_that_was_replaced_says_so(make: Make, provider: Provider) -> None:
    shelf = Shelf()
    _ = make(shelf).access_token
    provider.refresh = "revoked"
    with pytest.raises(SourceConnectionError, match="was replaced since it was configured"):
        _ = make(shelf).access_token


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_token_endpoint_that_redirects_to_another_host_gets_nothing_sent_there(
    make: Make, httpserver: HTTPServer, status: int
) -> None:
    """With 307 the client secret and the refresh token were sent there."""
    elsewhere = httpserver.url_for("/steal?x=1").replace("localhost", "127.0.0.1")
    httpserver.expect_request("/token").respond_with_data(status=status, headers={"Location": elsewhere})
    with pytest.raises(
        SourceConnectionError, match=rf"redirects to 127\.0\.0\.1:{httpserver.port}/steal, which"
    ) as caught:
        _ = make().access_token
    assert "x=1" not in str(caught.value)
    assert [request.path for request, _ in httpserver.log] == ["/token"]


def test_a_token_endpoint_that_has_moved_on_its_host_is_followed_with_the_form(
    make: Make, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/token").respond_with_data(status=307, headers={"Location": "/new"})
    httpserver.expect_request("/new", method="POST").respond_with_json({"access_token": "a"})
    assert make().access_token == "a"
    assert httpserver.log[1][0].form["refresh_token"] == "refresh-token-0"


def test_a_token_endpoint_that_redirects_in_a_loop_is_an_error(make: Make, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/token").respond_with_data(status=307, headers={"Location": "/token"})
    with pytest.raises(SourceConnectionError, match="redirects without end"):
        _ = make().access_token


def test_netrc_adds_nothing_to_the_form(make: Make, provider: Provider, monkeypatch, tmp_path, httpserver) -> None:
    (tmp_path / "netrc").write_text("default login joe password pw\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    params = Oauth2AuthParams(
        token_refresh_endpoint=httpserver.url_for("/token"),
        client_id="id",
        client_secret="cs",
        refresh_token="refresh-token-0",
    )
    assert Oauth2Authenticator(params).access_token == "access-1"
    assert "Authorization" not in httpserver.log[0][0].headers
