"""From the keys of a record to the names of columns. Pure and deterministic: a key has the same name in every run."""

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

RESERVED = ("_bizon_", "_source_")
"""The beginnings of the names of our own columns, in any case."""
_HASH_DIGITS = 10
_SHORTEST_LIMIT = 16
_LAST_OF_CAPITALS = re.compile(r"(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z0-9])(?=[A-Z])")
_NOT_IN_A_NAME = re.compile(r"\W+")
_SHORTENED = re.compile(rf"_[0-9a-f]{{{_HASH_DIGITS}}}$")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_]")
_UNUSABLE = re.compile("[\0\ud800-\udfff]")


class NameRefusedError(ValueError):
    """A key has no name as a column. The message says why, without naming the key."""


@dataclass(frozen=True)
class NameRules:
    """The names that an engine takes. ``longest`` counts in ``unit``; None: any length. ``snake_case``: letters,
    digits and underscores, in lower case; without it a key keeps its spelling, since the connector quotes names.
    ``plain``: the engine takes ASCII letters, digits and underscores, and no digit first. ``reserved``: beginnings that
    it refuses, in any case."""

    longest: int | None = None
    unit: Literal["bytes", "characters"] = "bytes"
    snake_case: bool = False
    plain: bool = False
    reserved: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.longest is not None and self.longest < _SHORTEST_LIMIT:
            raise ValueError(f"names of at most {self.longest} {self.unit} are too short: at least {_SHORTEST_LIMIT}")

    def name(self, path: tuple[str, ...]) -> str:
        """The name of the column for the value under these keys. A name that is too long, or has characters that the
        engine refuses, ends with a hash of the whole name. Raises NameRefusedError for an empty or reserved name, and
        for one with NUL or half a surrogate pair."""
        whole = "_".join(map(_snake_case, path) if self.snake_case else path)
        if not whole or not path[-1]:
            raise NameRefusedError("an empty key cannot name a column")
        if any(map(_UNUSABLE.search, path)):
            raise NameRefusedError("NUL and half a surrogate pair cannot be part of a name")
        if folded(whole).startswith(RESERVED) or folded(path[0]).startswith(RESERVED):
            raise NameRefusedError(f"names that begin with {' or '.join(RESERVED)} are reserved")
        name = self._plain(whole) if self.plain else whole
        if folded(name).startswith(self.reserved):
            raise NameRefusedError("the engine keeps names with this beginning for itself")
        return self._shortened(name, whole)

    def compared(self, key: str) -> str | None:
        """The name of the column of a key, in the form in which names are compared; None when it can have none."""
        try:
            return folded(self.name((key,)))
        except NameRefusedError:
            return None

    def key(self, name: str, flatten: int = 0) -> str | None:
        """The only key whose column has this name; None when more than one key may have it. ``flatten``: levels of
        objects whose keys are joined by an underscore."""
        if self.snake_case or (flatten and "_" in name) or (self.longest is not None and _SHORTENED.search(name)):
            return None
        try:
            return name if self.name((name,)) == name else None
        except NameRefusedError:
            return None

    def _shortened(self, name: str, whole: str) -> str:
        """The name, with a hash of the whole one unless it is that."""
        fits = self.longest is None or self._length(name) <= self.longest
        if fits and name == whole:
            return name
        room = None if self.longest is None else self.longest - _HASH_DIGITS - 1
        if self.unit == "bytes":
            kept = name.encode()[:room].decode(errors="ignore")  # not half a character
        else:
            kept = name[:room]
        return f"{kept}_{sha256(whole.encode()).hexdigest()[:_HASH_DIGITS]}"

    def _plain(self, name: str) -> str:
        plain = _NOT_PLAIN.sub("_", name)
        return f"_{plain}" if plain[:1].isdigit() else plain

    def _length(self, name: str) -> int:
        return len(name.encode()) if self.unit == "bytes" else len(name)


def folded(name: str) -> str:
    """The form in which two names are compared: engines that ignore case see one column in two such names."""
    return name.casefold()


def _snake_case(key: str) -> str:
    words = _LAST_OF_CAPITALS.sub("_", key)
    name = _NOT_IN_A_NAME.sub("_", words).lower().strip("_") if words.strip("_") else ""
    leading = "_" if key.startswith("_") or name[:1].isdigit() else ""
    return f"{leading}{name}" if name else ""
