"""Keeping secrets out of text that people see: the known ones by value, others by their usual shapes."""

import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from bizon.common.secret import MASK

_MIN_SECRET = 4  # characters; a shorter secret would blot out ordinary words and protects nothing
_NAMES = (
    r"(?:client_secret|password|passwd|secret|access_token|refresh_token|id_token|auth_token|api_?key|x-api-key|token"
    r"|signature|sig)"
)
_QUOTED = r"""(?:(?!\2)[^\\]|\\.)*"""  # what follows an opening quote, which is group 2
_KEPT_BEFORE = (  # group 1 stays, the rest of the match is masked
    # a header, in a printed dict or as text: Authorization: Bearer abc
    rf"""(?i)(authorization["']?\s*[:=]\s*b?(["'])){_QUOTED}""",
    r"""(?i)(authorization["']?\s*[:=]\s*)digest\s[^\n]+""",
    r"""(?i)(authorization["']?\s*[:=]\s*)(?!b?["'])(?:[a-z]+[ \t]+)?[^\s"',}\]]+""",
    r"\b((?:Bearer|BEARER)\s+)[\w.~+/=-]+",
    r"\b(bearer\s+)(?=[\w.~+/=-]*\d)[\w.~+/=-]{8,}",
    r"\b(Basic\s+)(?=[\w+/=-]*[A-Z0-9+/=])[\w+/=-]{6,}",
    # URLs: webhooks, user:password@, ?token=
    r"""(?i)(https?://hooks\.[^\s/"'<>]+/)[^\s"'<>]+""",
    r"""(?i)(https?://[^\s/"'<>]+/(?:[^\s"'<>]*/)?webhooks?[^\s/"'<>]*/)[^\s"'<>]+""",
    r"""(?i)\b([a-z][a-z0-9+.-]*://[^\s/:@"'<>]*:)[^\s/"'<>]+(?=@)""",
    rf"""(?i)([?&]{_NAMES}=)[^\s&"'#<>]+""",
    # a field of a printed dict or of JSON
    rf"""(?i)(["']{_NAMES}["']\s*:\s*(["'])){_QUOTED}""",
)
_PATTERNS = tuple(re.compile(pattern) for pattern in _KEPT_BEFORE)


class Scrubber:
    """Replaces secrets in a text by ``**********``. Immutable; may be called from any thread.

    ``secrets`` of fewer than 4 characters are ignored. ``patterns=False`` looks for these values only.
    """

    def __init__(self, secrets: Iterable[str] = (), *, patterns: bool = True) -> None:
        forms = {form for secret in secrets if len(secret) >= _MIN_SECRET for form in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if forms else None
        self._patterns = _PATTERNS if patterns else ()

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        for pattern in self._patterns:
            text = pattern.sub(rf"\g<1>{MASK}", text)
        return text


def _forms(secret: str) -> Iterator[str]:
    """A secret as it stands, and as it looks inside a URL, JSON or a ``repr``."""
    yield str(secret)
    yield quote(secret)
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield str.__repr__(secret)[1:-1]
