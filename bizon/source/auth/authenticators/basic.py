"""User name and password in a header."""

from base64 import b64encode

from pydantic import Field

from bizon.common.secret import SecretText
from bizon.config.strict import StrictModel
from bizon.source.auth.authenticators.header import HeaderAuthenticator


class BasicHttpAuthParams(StrictModel):
    """Keys of ``authentication.params`` for ``basic``."""

    username: str = Field(description="User name.")
    password: SecretText = Field(default="", description="Password; empty for APIs that take a key as user name.")
    auth_method: str = Field(default="Basic", description="Word before the encoded user name and password.")
    auth_header: str = Field(default="Authorization", description="Header that carries them.")

    def authenticator(self) -> "BasicHttpAuthenticator":
        """The authenticator that adds them to requests. Nothing is sent."""
        return BasicHttpAuthenticator(self)


class BasicHttpAuthenticator(HeaderAuthenticator):
    """Adds user name and password to every request of a session. Called by requests, on the thread that fetches."""

    def __init__(self, params: BasicHttpAuthParams) -> None:
        self._params = params

    @property
    def auth_header(self) -> str:
        """Name of the header."""
        return self._params.auth_header

    @property
    def token(self) -> str:
        """Value of the header: the method and base64 of ``username:password`` in UTF-8 (RFC 7617)."""
        encoded = b64encode(f"{self._params.username}:{self._params.password}".encode()).decode()
        return f"{self._params.auth_method} {encoded}".strip()
