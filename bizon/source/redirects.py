"""Credentials of a request that is redirected: they follow to the same host only."""

from collections.abc import Iterable
from typing import Any

import requests
from requests import PreparedRequest

_OF_THE_BODY = ("Content-Length", "Content-Type", "Cookie", "Transfer-Encoding")


def note_signer(request: PreparedRequest, signer: Any, given: Iterable[str]) -> None:
    """Note on a request who signed it, for its retries, and which headers that added to the ``given`` ones."""
    known = {name.lower() for name in (*given, *_OF_THE_BODY)}
    _note(request, signer, [name for name in request.headers if name.lower() not in known])


def rebuild_credentials(request: PreparedRequest, response: requests.Response, usual: Any, *, leaves: bool) -> None:
    """Remove the credentials from a redirected request that ``leaves`` its host, or sign it again.

    Called for each redirect, with the answer that redirects. ``usual``: the authenticator of the session.
    """
    if leaves:
        request.headers.pop("Authorization", None)
    signer: Any = getattr(response.request, "signed_by", usual)
    has_header = hasattr(signer, "get_auth_header")  # made by AuthBuilder
    names = list(signer.get_auth_header() if has_header else getattr(response.request, "signed_headers", ()))
    if leaves:
        for name in names:
            if name != "Cookie":  # requests has already set the cookies of the new host
                request.headers.pop(name, None)
        return
    sign = signer if has_header else getattr(signer, "sign_again", None)
    if sign is not None and names and all(name in response.request.headers for name in names):
        sign(request)
        _note(request, signer, names)


def _note(request: PreparedRequest, signer: Any, headers: list[str]) -> None:
    """A request travels through requests and its adapters, so the note is an attribute of it."""
    vars(request).update(signed_by=signer, signed_headers=headers)
