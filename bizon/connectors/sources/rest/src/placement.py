"""Tokens outside of the headers: in the query string, or in a cookie."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from requests import PreparedRequest
from requests.auth import AuthBase


class QueryToken(AuthBase):
    """Adds a token to the query string of every request of a session. Called by requests, on the threads that fetch.

    A redirect has the query string that the server gives it: the token does not follow.
    """

    def __init__(self, name: str, token: str) -> None:
        self._name = name
        self._token = token

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        parts = urlsplit(r.url or "")
        others = [each for each in parse_qsl(parts.query, keep_blank_values=True) if each[0] != self._name]
        query = parts.query if len(others) == len(parse_qsl(parts.query, keep_blank_values=True)) else urlencode(others)
        own = urlencode({self._name: str.__str__(self._token)})
        r.url = urlunsplit(parts._replace(query=f"{query}&{own}" if query else own))
        return r


class CookieToken(AuthBase):
    """Adds a token as a cookie to every request of a session. Called by requests, on the threads that fetch."""

    def __init__(self, name: str, token: str) -> None:
        self._pair = f"{name}={token}"

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        others = r.headers.get("Cookie")
        r.headers["Cookie"] = f"{others}; {self._pair}" if others else self._pair
        return r
