"""Signatures of requests that take the detour over a local server."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from requests import PreparedRequest

if TYPE_CHECKING:
    from bizon.source.retries import Signer


class SignerOfTheOrigin:
    """The authenticator of a request that takes the detour. It sees the URL that the request was meant for: it may
    sign the host, or treat the URL of its login in another way."""

    def __init__(self, signer: "Signer", origin: str, here: str) -> None:
        self._signer = signer
        self._origin, self._here = origin, here

    def sign_again(self, request: PreparedRequest) -> None:
        with self._meant(request):
            self._signer.sign_again(request)

    def renew(self, request: PreparedRequest) -> bool:
        with self._meant(request):
            return self._signer.renew(request)

    @contextmanager
    def _meant(self, request: PreparedRequest) -> Iterator[None]:
        request.url = f"{self._origin}{(request.url or '')[len(self._here) :]}"
        try:
            yield
        finally:
            request.url = f"{self._here}{request.url[len(self._origin) :]}"
