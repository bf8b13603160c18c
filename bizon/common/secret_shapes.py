"""The usual shapes of secrets: the names of the fields and parameters that hold them, and how they look in a text."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

_NAMES = (
    r"(?:client_secret|password|passwd|secret|access_token|refresh_token|id_token|auth_token|api_?key|x-api-key|token"
    r"|signature|sig)"
)
_FIELDS = (  # of a pagination, where page and continuation tokens are not secrets
    rf"(?:{_NAMES}|[a-z_-]*(?:secret|password|signature|credential|(?:access|auth|security|refresh|session)[_-]?token)"
    r"|(?:[a-z]+[_-]?)?(?:api|access|auth|subscription|private|client)[_-]?key(?:[_-]?id)?)"
)
_PARAMETERS = rf"(?:{_FIELDS}|key|auth|jwt|code|pwd|hmac)"  # of a query string
_QUOTED = r"""(?:(?!\2)[^\\]|\\.)*"""  # the text after an opening quote, which is group 2
SHAPES = (  # a part that the lower-case text must contain, and the pattern: group 1 stays, the rest is masked
    # a header, in a printed dict or as text: Authorization: Bearer abc
    ("authorization", rf"""(?i)(authorization["']?\s*[:=]\s*b?(["'])){_QUOTED}"""),
    ("authorization", r"""(?i)(authorization["']?\s*[:=]\s*)digest\s[^\n]+"""),
    ("authorization", r"""(?i)(authorization["']?\s*[:=]\s*)(?!b?["'])(?:[a-z]+[ \t]+)?[^\s"',}\]]+"""),
    ("cookie", rf"""(?i)(\b(?:set-)?cookie["']?\s*[:=]\s*b?(["'])){_QUOTED}"""),
    ("cookie", r"""(?i)(\b(?:set-)?cookie:\s*)(?!b?["'])[^\n]+"""),
    ("x-", r"""(?i)(\bx-(?:api-key|auth-token|access-token|amz-security-token):\s*)[^\s"',}\]]+"""),
    ("bearer", r"\b((?:Bearer|BEARER)\s+)[\w.~+/=-]+"),
    ("bearer", r"\b(bearer\s+)(?=[\w.~+/=-]*\d)[\w.~+/=-]{8,}"),
    ("basic", r"\b(Basic\s+)(?=[\w+/=-]*[A-Z0-9+/=])[\w+/=-]{6,}"),
    # URLs: webhooks, user:password@, ?token=
    ("://hooks.", r"""(?i)(https?://hooks\.[^\s/"'<>]+/)[^\s"'<>]+"""),
    (
        "webhook",
        r"""(?i)(https?://[^\s/"'<>]{1,255}/(?:[^\s"'<>]{0,255}/)?webhooks?[^\s/"'<>]{0,255}/)[^\s"'<>]+""",
    ),
    ("://", r"""(?i)\b([a-z][a-z0-9+.-]{0,30}://[^\s/:@"'<>]*:)[^\s/"'<>]+(?=@)"""),
    ("=", rf"""(?i)([?&;]{_PARAMETERS}=)[^\s&;"'#<>\\]+"""),
    (
        "%3d",  # in a URL inside a parameter
        rf"""(?i)(%(?:3f|26|3b){_PARAMETERS}%3d)(?:(?!%26|%23|%3b)[^\s&"'#<>])+""",
    ),
    # a field of a printed dict or of JSON
    *((quote, rf"""(?i)(["']{_FIELDS}["']\s*:\s*(["'])){_QUOTED}""") for quote in ('"', "'")),
)
"""Shapes of secrets. A pattern is compiled once a text may match it: a short run has few such log lines."""


def named_secrets(value: Any) -> Iterator[str]:
    """Every text of a JSON value under a key like ``api_key`` or ``password``, depth first."""
    items = value.items() if isinstance(value, dict) else ((None, item) for item in value)
    for key, item in items:
        if isinstance(item, dict | list):
            yield from named_secrets(item)
        elif isinstance(item, str) and is_secret_field(str(key)):
            yield item


def is_secret_field(key: str) -> bool:
    """Whether a field of this name holds a secret: ``api_key``, ``password`` and the like."""
    return compiled(rf"(?i){_FIELDS}").fullmatch(key) is not None


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern, compiled once."""
    return re.compile(pattern)
