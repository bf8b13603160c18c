"""Credentials wherever an API wants them, and in nothing that is written."""

import hmac
import json
from contextlib import closing

import pytest
import requests
from connectors.sources.rest.conftest import block, ids, opened, pages_of
from pytest_httpserver import HTTPServer
from standins.rest.server import TOKEN, Reply, by_page, by_url, items

from bizon.common.errors.errors import ConfigError
from bizon.common.secret import MASK, Secret

PAGES = {"pages": {"type": "page", "param": "page"}}


def api_key(**params):
    return {"authentication": {"type": "api_key", "params": {"token": TOKEN, **params}}}


@pytest.mark.parametrize(
    ("keys", "place", "value"),
    [
        (api_key(), "authorization", f"Bearer {TOKEN}"),
        (api_key(auth_header="X-Api-Key", auth_method=""), "x-api-key", TOKEN),
        (api_key(**{"in": "cookie", "name": "session"}), "cookie", f"session={TOKEN}"),
        (
            {"authentication": {"type": "basic", "params": {"username": "u", "password": "p"}}},
            "authorization",
            "Basic dTpw",
        ),
        ({"authentication": {"type": "cookies", "params": {"cookies": {"a": "b"}}}}, "cookie", "a=b"),
    ],
)
def test_credentials_in_headers(api, keys, place, value):
    api.routes["/items"] = lambda asked: by_page(items(3), asked)
    assert ids(block(api, PAGES, **keys)) == ["1", "2", "3"]
    assert {asked.headers.get(place) for asked in api.served} == {value}


def test_a_key_in_the_query_string_is_sent_once_and_kept_nowhere(api):
    api.routes["/items"] = lambda asked: by_url(items(5), asked, api.url)
    source = block(
        api,
        {"pages": {"type": "next_url", "next": "next"}, "params": {"q": "x&y"}},
        **api_key(**{"in": "params", "name": "key"}),
    )
    pages = pages_of(source)
    assert [asked.params["key"] for asked in api.served] == [TOKEN] * 3
    assert {asked.params["q"] for asked in api.served} == {"x&y"}
    assert TOKEN not in json.dumps([page.next_pagination for page in pages])


def test_a_key_in_params_is_masked_like_a_header_and_kept_nowhere(api):
    api.routes["/items"] = lambda asked: by_url(items(5), asked, api.url)
    endpoint = {"pages": {"type": "next_url", "next": "next"}, "params": {"api_key": TOKEN}}
    source = block(api, endpoint, defaults={"headers": {"X-Tenant": "t-12345"}})
    pages = pages_of(source)
    assert TOKEN not in json.dumps([page.next_pagination for page in pages])
    assert [asked.params["api_key"] for asked in api.served] == [TOKEN] * 3
    config = opened(source).config
    assert TOKEN not in repr(config)
    assert "t-12345" not in repr(config)
    assert isinstance(config.endpoints["items"].params["api_key"], Secret)


def test_a_token_in_a_path_is_in_no_error(api):
    api.routes["/bot*"] = lambda asked: Reply({"message": f"no such bot {TOKEN}"}, 404)
    source = block(api, {"path": "/bot{token}/items"}, **api_key(**{"in": "path"}))
    with closing(opened(source)) as opened_source:
        reachable, reason = opened_source.check_connection()
        assert not reachable
        assert TOKEN not in reason
        assert "/bot**********/items: HTTP 404" in reason
        with pytest.raises(requests.HTTPError) as caught:
            opened_source.get({})
        assert TOKEN not in f"{caught.value} {caught.value!r}"


def test_a_token_in_a_base_address(api):
    api.routes["/bot*"] = lambda asked: {"items": items(1)}
    source = {**block(api, {}, **api_key(**{"in": "path"})), "base_url": f"{api.url}/bot{{token}}"}
    assert ids(source) == ["1"]
    assert api.served[0].path == f"/bot{TOKEN}/items"


def test_a_token_in_a_base_address_is_percent_encoded(api):
    """With its signs as they were, it was another address, and in an encoding that no output masked."""
    api.routes["/bot*"] = lambda asked: {"items": items(1)}
    keys = {"authentication": {"type": "api_key", "params": {"token": "a/b?c#d:e", "in": "path"}}}
    source = {**block(api, {}, **keys), "base_url": f"{api.url}/bot{{token}}"}
    assert ids(source) == ["1"]
    assert api.served[0].path == "/bota%2Fb%3Fc%23d%3Ae/items"


@pytest.mark.parametrize("place", ["headers", "params"])
def test_a_secret_with_braces_is_masked_as_it_is_sent(api, place):
    """The configuration doubles its braces."""
    api.routes["/items"] = lambda asked: Reply({"message": "no key k{1}-of-the-api, nor k%7B1%7D-of-the-api"}, 401)
    with closing(opened(block(api, {place: {"api_key": "k{{1}}-of-the-api"}}))) as source:
        assert source.check_connection()[1].count(MASK) == 2


def test_client_credentials_are_exchanged_for_a_token(api, httpserver: HTTPServer):
    httpserver.expect_request("/token").respond_with_json({"access_token": "the-access-token", "expires_in": 3600})
    api.routes["/items"] = lambda asked: by_page(items(3), asked)
    api.admits = lambda asked: asked.headers.get("authorization") == "Bearer the-access-token"
    params = {
        "token_refresh_endpoint": httpserver.url_for("/token"),
        "client_id": "id",
        "client_secret": "secret-of-the-client",
        "grant_type": "client_credentials",
    }
    source = block(api, PAGES, authentication={"type": "oauth", "params": params})
    assert ids(source, restarts=False) == ["1", "2", "3"]
    form = httpserver.log[0][0].form
    assert (form["grant_type"], form["client_secret"]) == ("client_credentials", "secret-of-the-client")
    assert len(httpserver.log) == 1


def test_a_redirect_to_another_host_gets_no_key(api, httpserver: HTTPServer):
    httpserver.expect_request("/items").respond_with_json({"items": items(1)})
    target = httpserver.url_for("/items").replace("localhost", "127.0.0.1")
    api.routes["/items"] = lambda asked: Reply({}, 302, {"Location": target})
    assert ids(block(api, {}, **api_key(**{"in": "params", "name": "key"}))) == ["1"]
    assert TOKEN not in httpserver.log[0][0].url


@pytest.mark.parametrize("params", [{"in": "params"}, {"in": "header", "name": "x"}, {"in": "body"}, {"name": "x"}])
def test_a_place_needs_its_name(api, params):
    with pytest.raises(ConfigError):
        opened(block(api, {}, **api_key(**params)))


SIGNER = """
import hmac

from requests.auth import AuthBase


class Signed(AuthBase):
    def __init__(self, key, secret):
        self.key, self.secret = key, secret

    def __call__(self, request):
        text = f"{request.method} {request.path_url}".encode()
        request.headers["X-Signature"] = f"{self.key}:{hmac.new(self.secret.encode(), text, 'sha256').hexdigest()}"
        return request
"""


def test_a_file_signs_requests(api, tmp_path):
    file = tmp_path / "signer.py"
    file.write_text(SIGNER)
    api.routes["/items"] = lambda asked: by_page(items(3), asked)
    signing = {"file": str(file), "params": {"key": "k1", "secret": "the-signing-secret"}}
    source = block(api, PAGES, signing=signing)
    assert ids(source) == ["1", "2", "3"]
    for asked in api.served:
        text = f"GET /items?page={asked.params['page']}".encode()
        assert asked.headers["x-signature"] == f"k1:{hmac.new(b'the-signing-secret', text, 'sha256').hexdigest()}"
    assert "the-signing-secret" not in repr(opened(source).config)


@pytest.mark.parametrize(
    ("text", "params", "error"),
    [
        ("x = 1", {}, "no class in it extends requests.auth.AuthBase"),
        (SIGNER, {"key": "k"}, "Signed cannot be made with the arguments of `signing.params`: key"),
        ("def f(:", {}, "signer.py"),
    ],
)
def test_a_file_that_signs_nothing_is_a_mistake(api, tmp_path, text, params, error):
    file = tmp_path / "signer.py"
    file.write_text(text)
    with pytest.raises(ConfigError, match=error):
        opened(block(api, PAGES, signing={"file": str(file), "params": params}))


def test_links_with_a_token_in_their_path_are_followed_and_no_checkpoint_has_it(api):
    api.routes["/bot*"] = lambda asked: by_url(items(5), asked, api.url)
    endpoint = {"path": "/bot{token}/items", "pages": {"type": "next_url", "next": "next"}}
    pages = pages_of(block(api, endpoint, **api_key(**{"in": "path"})))
    assert sum(len(page.records) for page in pages) == 5
    assert {asked.path for asked in api.served} == {f"/bot{TOKEN}/items"}
    assert TOKEN not in json.dumps([page.next_pagination for page in pages])


def test_a_secret_variable_is_masked_and_kept_in_no_checkpoint(api):
    api.routes["/items"] = lambda asked: by_url(items(5), asked, api.url)
    endpoint = {"pages": {"type": "next_url", "next": "next"}, "params": {"k": "{variables.api_key}", "q": "x"}}
    source = block(api, endpoint, variables={"api_key": TOKEN})
    pages = pages_of(source)
    assert {asked.params["k"] for asked in api.served} == {TOKEN}
    assert TOKEN not in json.dumps([page.next_pagination for page in pages]) + repr(opened(source).config)
