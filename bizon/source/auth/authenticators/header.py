"""The base of authenticators that add one header."""

from abc import abstractmethod

from requests import PreparedRequest
from requests.auth import AuthBase


class HeaderAuthenticator(AuthBase):
    """Adds one header to every request of a session. Called by requests, on the threads that fetch."""

    @property
    @abstractmethod
    def auth_header(self) -> str:
        """Name of the header."""

    @property
    @abstractmethod
    def token(self) -> str:
        """Value of the header."""

    def get_auth_header(self) -> dict[str, str]:
        """The header as a dict, for clients other than requests."""
        return {self.auth_header: self.token}

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        r.headers.update(self.get_auth_header())
        return r
