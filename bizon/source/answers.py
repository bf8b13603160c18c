"""Messages of an API, for errors that people see: on one line, short, and without the credentials of the request."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from requests import PreparedRequest

from bizon.common.scrub import Scrubber
from bizon.common.secret import MASK

EXCERPT = 100
"""The number of characters shown of an unexpected body."""

_LONGEST_MESSAGE = 300  # characters
_LOOKED_AT = 10_000  # characters of a body; it is masked before it is shortened, so that no part of a secret remains
_DEEPEST = 4  # objects within objects
_KEYS = (
    "message",
    "error_description",
    "error_message",
    "errormessage",
    "detail",
    "details",
    "description",
    "msg",
    "reason",
    "title",
    "error",
    "errors",
    "fault",
)
_HARMLESS = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    }
)
_CREDENTIAL = re.compile(r"key|token|secret|sig|auth|pass|pwd|code|credential", re.IGNORECASE)
_SHORTEST, _LONG = 6, 24  # characters from which a value is masked, and from which it is under any name


class SafeText(str):
    """An error text without secrets, which names its request."""

    __slots__ = ()


def message_in(answer: Any, depth: int = 0) -> str:
    """The readable message in a decoded JSON answer, under any key that APIs use; empty when there is none."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, list):
        return message_in(answer[0], depth + 1) if answer and depth < _DEEPEST else ""
    if isinstance(answer, dict) and depth < _DEEPEST:
        fields = {str(key).lower(): value for key, value in answer.items()}
        found = (message_in(fields[key], depth + 1) for key in _KEYS if key in fields)
        return next(filter(None, found), "")
    return ""


def shown(text: str, request: PreparedRequest | None, limit: int = _LONGEST_MESSAGE) -> str:
    """A text of the API on one line, masked, and shortened to ``limit`` characters. Known secrets are masked first, as
    a whole: without one of its parts, the rest of a secret would no longer be found."""
    text = Scrubber()(text[:_LOOKED_AT])
    for value in sorted(_carried(request), key=len, reverse=True):
        text = text.replace(value, MASK)
    line = " ".join(text.split())
    line = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
    return line if len(line) <= limit else f"{line[:limit]}..."


def _carried(request: PreparedRequest | None) -> Iterator[str]:
    """Values of a request that authenticate it, or might."""
    if request is None:
        return
    for name, header in request.headers.items():
        if name.lower() not in _HARMLESS:
            text = header.decode("latin-1") if isinstance(header, bytes) else str(header)
            yield from (part for part in re.split(r"[\s;,=]+", text) if len(part) >= _SHORTEST)
    for name, value in parse_qsl(urlsplit(request.url or "").query):
        if len(value) >= _LONG or (len(value) >= _SHORTEST and _CREDENTIAL.search(name)):
            yield value
