"""Credentials of requests, also outside of the headers: in the query string, or in a cookie."""

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from requests import PreparedRequest
from requests.auth import AuthBase

from bizon.common.errors.errors import ConfigError
from bizon.discovery.files import Kind, classes_in_file
from bizon.source.auth.builder import AuthBuilder

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.auth_config import RestAuthConfig, SigningConfig


_SIGNER = Kind("signer", "requests.auth.AuthBase")


def authenticator_of(authentication: "RestAuthConfig | None", signing: "SigningConfig | None") -> AuthBase | None:
    """Adds the credentials to requests; None where there are none, or where they are part of URLs. Raises
    ConfigError for a file that cannot be used."""
    if signing is not None:
        return _signer_of(signing)
    if authentication is None:
        return None
    place, name, token = authentication.place
    if place != "header":
        placed = {"params": QueryToken, "cookie": CookieToken}.get(place)
        return None if placed is None else placed(name, token)
    params: Any = authentication.params
    authenticator: AuthBase = AuthBuilder.oauth2(params) if authentication.type == "oauth" else params.authenticator()
    return authenticator


def _signer_of(signing: "SigningConfig") -> AuthBase:
    signer: Any = classes_in_file(signing.file, AuthBase, _SIGNER)[0]
    try:
        made: AuthBase = signer(**signing.params)
    except TypeError:
        names = ", ".join(signing.params) or "none"
        text = f"{signing.file}: {signer.__name__} cannot be made with the arguments of `signing.params`: {names}"
        raise ConfigError(text, key=("source", "signing", "params")) from None
    return made


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
