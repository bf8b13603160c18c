"""Keeps the secrets of the configuration out of checkpoints. An API may repeat one in the name of its next page; the
checkpoint has the key of the configuration in its place, and the request gets the secret back."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

from bizon.common.errors.errors import SourceError
from bizon.common.secret import Secret, is_maskable, placed_texts, registry

_ESCAPE = re.compile(r"%[0-9A-F]{2}")


def _lowered(text: str) -> str:
    return _ESCAPE.sub(lambda escape: escape.group().lower(), text)


_ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "url": lambda text: quote(text, safe=""),
    "path": quote,
    "form": quote_plus,
    "script": lambda text: quote(text, safe="!'()*~"),
    "lower url": lambda text: _lowered(quote(text, safe="")),
    "lower path": lambda text: _lowered(quote(text)),
    "lower form": lambda text: _lowered(quote_plus(text)),
    "url twice": lambda text: quote(quote(text, safe=""), safe=""),
}
"""How a text may repeat a secret. The names stand in checkpoints."""


class Hidden:
    """The secrets of one ``source`` block: those that its keys declare, and values of variables that may be secrets.
    Used on the thread that fetches."""

    def __init__(self, config: Any) -> None:
        known = registry.values()
        self._texts: dict[str, str] = {}
        self._forms: dict[str, tuple[str, str]] = {}
        for key, text in placed_texts(config):
            self._texts[key] = plain = str.__str__(text)
            if is_maskable(plain) and (isinstance(text, Secret) or plain in known):
                for encoding, encoded in _ENCODINGS.items():
                    self._forms.setdefault(encoded(plain), (key, encoding))
        longest_first = sorted(self._forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def kept(self, text: str) -> str | list[Any]:
        """The text as a checkpoint may have it: itself, or its parts, of which ``[key, encoding]`` is a secret."""
        if self._pattern is None or self._pattern.search(text) is None:
            return text
        parts: list[Any] = []
        end = 0
        for found in self._pattern.finditer(text):
            parts += [text[end : found.start()], list(self._forms[found[0]])]
            end = found.end()
        return [*parts, text[end:]]

    def sent(self, kept: str | list[Any]) -> str:
        """The text that ``kept`` was made of, with the secrets of now. Raises SourceError when one is missing."""
        if isinstance(kept, str):
            return kept
        return "".join(part if isinstance(part, str) else self._secret(*part) for part in kept)

    def _secret(self, key: str, encoding: str) -> str:
        if key not in self._texts:
            raise SourceError(
                f"the checkpoint continues at a page whose name holds the secret at source.{key}, which the "
                "configuration no longer has; put it back, or start over with --fresh"
            )
        return _ENCODINGS[encoding](self._texts[key])
