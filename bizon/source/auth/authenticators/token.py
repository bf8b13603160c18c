"""A fixed token in a header."""

from pydantic import Field

from bizon.common.secret import SecretText
from bizon.config.strict import StrictModel
from bizon.source.auth.authenticators.header import HeaderAuthenticator


class TokenAuthParams(StrictModel):
    """Keys of ``authentication.params`` for ``api_key`` and ``bearer``."""

    token: SecretText = Field(description="The token.")
    auth_method: str = Field(default="Bearer", description='Word before the token; "" sends the bare token.')
    auth_header: str = Field(default="Authorization", description="Header that carries the token.")

    def authenticator(self) -> "TokenAuthenticator":
        """The authenticator that adds them to requests. Nothing is sent."""
        return TokenAuthenticator(self)


class TokenAuthenticator(HeaderAuthenticator):
    """Adds the token to every request of a session. Called by requests, on the thread that fetches."""

    def __init__(self, params: TokenAuthParams) -> None:
        self._params = params

    @property
    def auth_header(self) -> str:
        """Name of the header."""
        return self._params.auth_header

    @property
    def token(self) -> str:
        """Value of the header: method and token, or the bare token when the method is empty."""
        return f"{self._params.auth_method} {self._params.token}".strip()
