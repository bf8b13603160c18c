"""Fixed cookies, for sites without an API key."""

from pydantic import Field
from requests import PreparedRequest
from requests.auth import AuthBase

from bizon.common.secret import SecretText
from bizon.config.strict import StrictModel


class CookiesAuthParams(StrictModel):
    """Keys of ``authentication.params`` for ``cookies``."""

    cookies: dict[str, SecretText] = Field(description="Cookies, name: value.")
    headers: dict[str, SecretText] = Field(default={}, description="Further headers, name: value.")

    def authenticator(self) -> "CookiesAuthenticator":
        """The authenticator that adds them to requests. Nothing is sent."""
        return CookiesAuthenticator(self)


class CookiesAuthenticator(AuthBase):
    """Adds the cookies and headers to every request of a session. Called by requests, on the thread that fetches.

    A cookie of the same name that the server has set replaces the configured one.
    """

    def __init__(self, params: CookiesAuthParams) -> None:
        self._params = params

    def get_auth_header(self) -> dict[str, str]:
        """Cookies and headers as one dict of headers, for clients other than requests."""
        return {**_cookie_header(self._params.cookies), **self._params.headers}

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        present = dict(pair.split("=", 1) for pair in r.headers.get("Cookie", "").split("; ") if "=" in pair)
        r.headers.update(self.get_auth_header())
        r.headers.update(_cookie_header({**self._params.cookies, **present}))
        return r


def _cookie_header(cookies: dict[str, str]) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} if cookies else {}
