"""Keeps the secrets of the configuration out of checkpoints. An API may repeat one in the name of its next page; the
checkpoint has the key of the configuration in its place, and the request gets the secret back."""

import re
from collections.abc import Callable
from typing import Any

from bizon.common.errors.errors import SourceError
from bizon.common.secret import Secret, is_maskable, placed_texts, registry
from bizon.common.secret_forms import credentials_in, encodings


def _as_sent(text: str) -> str:
    return text.replace("{{", "{").replace("}}", "}")


def _credentials(text: str) -> str:
    return next(iter(credentials_in(text)), text)


_READINGS: dict[str, Callable[[str], str]] = {
    "": str,
    "sent ": _as_sent,
    "credentials ": _credentials,
    "sent credentials ": lambda text: _credentials(_as_sent(text)),
}
"""The secret in a text: all of it, perhaps with braces that the text doubles, or the part after ``Bearer``. Checkpoints
have these names, before the names of encodings."""
_LONGEST_FIRST = sorted(_READINGS, key=len, reverse=True)
_PART = re.compile(r"part (\d+) (\d+) ")


class Hidden:
    """The secrets of one ``source`` block: those that its keys declare, and values of variables that may be secrets.
    Used on the thread that fetches."""

    def __init__(self, config: Any) -> None:
        known = registry.values()
        self._texts: dict[str, str] = {}
        self._forms: dict[str, tuple[str, str]] = {}
        for key, text in placed_texts(config):
            self._texts[key] = plain = str.__str__(text)
            readings = [*_READINGS] if isinstance(text, Secret) or plain in known else []
            parts = [_part_of(plain, value) for value in known if value in plain and value != plain]
            readings += [part + reading for part in parts for reading in ("", "sent ")]
            for reading in readings:
                for encoding, form in _forms(_read(plain, reading)).items():
                    self._forms.setdefault(form, (key, f"{reading}{encoding}"))
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
        part = _PART.match(encoding)
        start = part.end() if part else 0
        reading = encoding[:start] + next(each for each in _LONGEST_FIRST if encoding.startswith(each, start))
        return encodings(_read(self._texts[key], reading))[encoding.removeprefix(reading)]


def _forms(text: str) -> dict[str, str]:
    """The forms in which an API may repeat a text, by their names in checkpoints."""
    return {name: form for name, form in encodings(text).items() if is_maskable(form)} if is_maskable(text) else {}


def _part_of(text: str, value: str) -> str:
    """The reading that finds the value of a variable in the middle of a text, also after it has become another one."""
    start = text.index(value)
    return f"part {start} {len(text) - start - len(value)} "


def _read(text: str, reading: str) -> str:
    part = _PART.match(reading)
    if part:
        text, reading = text[int(part[1]) : len(text) - int(part[2])], reading[part.end() :]
    return _READINGS[reading](text)
