"""Destinations whose table can be looked at: its columns, its rows, and queries. Nothing is created or changed."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bizon.common.errors.errors import DestinationError

_SIX = ("bizon_id", "bizon_extracted_at", "bizon_loaded_at", "source_record_id", "source_timestamp", "source_data")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")


class NoTableError(DestinationError):
    """There is nothing to look at yet."""

    def __init__(self, place: str) -> None:
        super().__init__(f"there is nothing to show: {place} does not exist; a run of the pipeline creates it")


class NotReadError(DestinationError):
    """The target cannot be read, or its engine refuses a query: an unknown column, or a statement that would write."""


class Exact(str):
    """A value as JSON text, exactly as it is stored: a number with all its digits, an object or an array."""

    __slots__ = ()


Cell = str | bool | None
"""A value: text, ``Exact``, true, false or null. Moments, dates and bytes are text as the engine writes it."""


class Field(NamedTuple):
    """A column. ``type``: as the engine names it."""

    name: str
    type: str


class Answer(NamedTuple):
    """Rows with a value for each column. Two columns of a query may have the same name."""

    columns: Sequence[Field]
    rows: Sequence[Sequence[Cell]]


class TableReader(ABC):
    """The table of one pipeline, open for reading. Raises NotReadError, in one line, for what the engine refuses.

    ``table``: the name that a query uses for it.
    """

    table: str

    @abstractmethod
    def columns(self) -> Sequence[Field]:
        """Its columns, in order."""

    @abstractmethod
    def count(self) -> int:
        """Its rows."""

    @abstractmethod
    def rows(self, limit: int) -> Answer:
        """Some of its rows, at most ``limit``, in no promised order. The others are not fetched."""

    @abstractmethod
    def query(self, sql: str, limit: int) -> Answer:
        """The first rows that a statement returns. The engine refuses one that would change anything."""


def number(text: str) -> Cell:
    """A number as an engine writes it; NaN and infinities are text."""
    return Exact(text) if _NUMBER.fullmatch(text) else text


def as_query(sql: str) -> str:
    """A statement where only a query may stand, so that an engine refuses every other one before it runs."""
    return f"SELECT * FROM (\n{sql.strip().rstrip(';')}\n) AS q"


def is_ours(column: str) -> bool:
    """Whether a column is one of bizon, in a table of any kind."""
    name = column.lower()
    return name.startswith("_bizon_") or name.removeprefix("_") in _SIX


def cells(read: Sequence[Callable[[str], Cell]], texts: Sequence[str | None]) -> list[Cell]:
    """A row whose values an engine has written as text. ``read``: a function for each column."""
    return [None if text is None else make(text) for make, text in zip(read, texts, strict=True)]
