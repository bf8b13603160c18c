"""Headers and cookies that the simple authenticators add to a request."""

import pytest
from requests import Request

from bizon.source.auth.authenticators.basic import BasicHttpAuthParams
from bizon.source.auth.authenticators.cookies import CookiesAuthParams
from bizon.source.auth.authenticators.token import TokenAuthParams
from bizon.source.auth.builder import AuthBuilder


def headers_with(auth, **request) -> dict[str, str]:
    return dict(Request("GET", "http://host/", auth=auth, **request).prepare().headers)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"token": "t"}, {"Authorization": "Bearer t"}),
        ({"token": "t", "auth_method": ""}, {"Authorization": "t"}),
        ({"token": "t", "auth_method": "Token", "auth_header": "X-Api-Key"}, {"X-Api-Key": "Token t"}),
    ],
)
def test_token(params, expected):
    assert headers_with(AuthBuilder.token(params=TokenAuthParams(**params))) == expected


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"username": "me", "password": "pw"}, {"Authorization": "Basic bWU6cHc="}),
        ({"username": "key"}, {"Authorization": "Basic a2V5Og=="}),
        ({"username": "é", "password": "ü"}, {"Authorization": "Basic w6k6w7w="}),
        ({"username": "me", "password": "pw", "auth_header": "X-Auth"}, {"X-Auth": "Basic bWU6cHc="}),
    ],
)
def test_basic(params, expected):
    assert headers_with(AuthBuilder.basic(params=BasicHttpAuthParams(**params))) == expected


def test_cookies_and_headers():
    params = CookiesAuthParams(cookies={"a": "1", "b": "x=y"}, headers={"X-CSRF": "z"})
    assert headers_with(AuthBuilder.cookies(params=params)) == {"Cookie": "a=1; b=x=y", "X-CSRF": "z"}


def test_a_cookie_set_by_the_server_replaces_the_configured_one():
    auth = AuthBuilder.cookies(CookiesAuthParams(cookies={"sid": "old", "b": "2"}))
    assert headers_with(auth, cookies={"sid": "new"}) == {"Cookie": "sid=new; b=2"}


def test_no_cookies_add_no_cookie_header():
    assert headers_with(AuthBuilder.cookies(CookiesAuthParams(cookies={}, headers={"X-A": "1"}))) == {"X-A": "1"}
