"""Keeps secrets out of text that people see: known secrets by their value, others by their usual shapes."""

import traceback
from collections.abc import Iterable
from typing import Any

from bizon.common.secret import MASK, iter_secrets, registry
from bizon.common.secret_forms import forms_of
from bizon.common.secret_shapes import SHAPES, compiled, is_secret_field

MOST_SHOWN = 2_000
"""The most characters of an error that are shown and stored; an API may answer with megabytes."""

_SCANNED = 16_000  # characters of a text that is shortened in any case
_MOST_TRACEBACK = 20_000
_REST = 50  # characters; room for the note that says how many more there are


class Scrubber:
    """Replaces secrets in a text by ``**********``. May be called from any thread.

    Looks for ``secrets`` and for all secrets in the registry of this process at the time of the call, in every encoding
    of ``secret_forms.py``, and for shapes of secrets. Ignores secrets of fewer than 4 characters. ``patterns=False``
    ignores shapes.
    """

    def __init__(self, secrets: Iterable[str] = (), *, patterns: bool = True) -> None:
        self._own = frozenset(str.__str__(secret) for secret in secrets)
        self._shapes = SHAPES if patterns else ()
        self._known: tuple[int, tuple[str, ...]] = (-1, ())

    @classmethod
    def of_config(cls, config: Any, more: Iterable[str] = (), *, patterns: bool = True) -> "Scrubber":
        """A scrubber of the secrets inside a configuration, and of ``more``."""
        return cls((*more, *iter_secrets(config)), patterns=patterns)

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        for form in self._forms():
            if form in text:
                text = text.replace(form, MASK)
        lowered, may_be_folded = text.lower(), not text.isascii()  # a pattern also matches K with the Kelvin sign
        for sign, pattern in self._shapes:
            if may_be_folded or sign in lowered:
                text = compiled(pattern).sub(rf"\g<1>{MASK}", text)
        return text

    def brief(self, text: str) -> str:
        """The text of an error without secrets, in at most 2,000 characters."""
        return self._cut(text, MOST_SHOWN)

    def lines(self, text: str) -> str:
        """A message of many lines without secrets; no line has more than 2,000 characters."""
        return "\n".join(map(self.brief, text.split("\n")))

    def value(self, value: Any) -> Any:
        """A copy of a JSON value in which every text is scrubbed, and texts under keys like ``api_key`` are masked."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {self(str(key)): self._field(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value

    def traceback_of(self, error: BaseException) -> str:
        """The traceback of an error as the interpreter would print it, without secrets and variables."""
        parts = [self.brief(part) for part in traceback.format_exception(error)]
        return self._cut("".join(parts).rstrip("\n"), _MOST_TRACEBACK)

    def _field(self, key: str, value: Any) -> Any:
        return MASK if isinstance(value, str) and value and is_secret_field(key) else self.value(value)

    def _cut(self, text: str, most: int) -> str:
        forms = self._forms()
        longest = len(forms[0]) if forms else 0
        scanned = text[: _SCANNED + most + longest]
        shown = self(scanned)
        if longest and len(scanned) < len(text):
            shown = shown[:-longest]  # the cut may split a secret
        if len(scanned) == len(text) and len(shown) <= most:
            return shown
        kept = shown[: most - _REST]
        return f"{kept}... ({len(text) - len(scanned) + len(shown) - len(kept):,} more characters)"

    def _forms(self) -> tuple[str, ...]:
        version, forms = self._known
        if version != registry.version:
            version = registry.version
            forms = forms_of(self._own | registry.values())
            self._known = (version, forms)
        return forms
