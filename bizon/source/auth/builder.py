"""Authenticators by name, for ``AbstractSource.get_authenticator``."""

from typing import TYPE_CHECKING

from bizon.source.auth.authenticators.oauth import Oauth2Authenticator, Oauth2AuthParams
from bizon.source.config import HttpRetriesConfig
from bizon.source.session import Session

if TYPE_CHECKING:
    from bizon.source.auth.authenticators.basic import BasicHttpAuthenticator, BasicHttpAuthParams
    from bizon.source.auth.authenticators.cookies import CookiesAuthenticator, CookiesAuthParams
    from bizon.source.auth.authenticators.token import TokenAuthenticator, TokenAuthParams

_TOKEN_RETRIES = HttpRetriesConfig(total=6, allowed_methods=("POST",))  # about two minutes in all


class AuthBuilder:
    """Builds an authenticator from the ``params`` of a configuration. No method sends a request."""

    @staticmethod
    def oauth2(params: Oauth2AuthParams, session: Session | None = None) -> Oauth2Authenticator:
        """An access token that is renewed when it expires. ``session`` sends the requests for tokens."""
        return Oauth2Authenticator(params, session=session or Session(retries=_TOKEN_RETRIES))

    @staticmethod
    def basic(params: "BasicHttpAuthParams") -> "BasicHttpAuthenticator":
        """User name and password."""
        return params.authenticator()

    @staticmethod
    def token(params: "TokenAuthParams") -> "TokenAuthenticator":
        """A fixed token."""
        return params.authenticator()

    @staticmethod
    def cookies(params: "CookiesAuthParams") -> "CookiesAuthenticator":
        """Cookies and further headers."""
        return params.authenticator()
