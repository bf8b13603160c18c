"""How the JSON text of objects becomes records: their ids, and the fields of their path."""

from typing import TYPE_CHECKING, Any

import polars as pl

from bizon.connectors.sources.files.src.exact_values import id_of
from bizon.connectors.sources.files.src.json_rows import Rows
from bizon.connectors.sources.files.src.quick_ids import quick_ids

if TYPE_CHECKING:
    from bizon.connectors.sources.files.src.path_columns import PathColumns


class LineShape:
    """The same for all objects of one file. ``path``: of the file."""

    def __init__(self, path: str, id_fields: tuple[str, ...], added: "PathColumns") -> None:
        self.path = path
        self._id_fields = id_fields
        self._added = added

    def rows(self, lines: pl.Series, numbers: pl.Series, text: bytes) -> Rows | None:
        """The records of lines with these row numbers; None when some line needs a closer look. ``text``: the lines as
        UTF-8, perhaps with blank ones between them."""
        ids = quick_ids(lines, numbers, text, self.path, self._id_fields)
        if ids is None or self._added.may_clash(text):
            return None
        return Rows(self._added.to_lines(lines), ids, {})

    def record(self, text: str, value: Any, number: int) -> tuple[str, str]:
        """Text and id of one record. Raises ValueError when the value is none."""
        if not isinstance(value, dict):
            raise ValueError("it is not a JSON object")  # noqa: TRY004 - a fault of the file, like the others
        self._added.check(value)
        return self._added.to_line(text), id_of(value, self._id_fields) if self._id_fields else self.numbered(number)

    def numbered(self, number: int) -> str:
        """The id of a row by its number."""
        return f"{self.path}#{number}"
