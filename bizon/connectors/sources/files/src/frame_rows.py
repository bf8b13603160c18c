"""The rows of a frame as records of a file."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.files.src.exact_values import joined_id
from bizon.connectors.sources.files.src.json_rows import NO_ROWS, Rows, row_ids
from bizon.rows.json_text import column_without_json, rows_as_json

if TYPE_CHECKING:
    from bizon.connectors.sources.files.src.path_columns import PathColumns


class FrameShape:
    """How the rows of one file become records: their ids and the columns of its path."""

    def __init__(self, path: str, id_fields: Sequence[str], added: "PathColumns") -> None:
        self.path = path
        self._id_fields = id_fields
        self._added = added

    def check(self, columns: Sequence[str]) -> None:
        """Raise SourceFetchError unless the columns of a file have the id, and none that the path adds."""
        missing = [field for field in self._id_fields if field not in columns]
        if missing:
            raise SourceFetchError(
                f"file {self.path} has no column '{missing[0]}' of source.id, it has: {', '.join(columns) or 'none'}"
            )
        try:
            self._added.check(columns)
        except ValueError as error:
            raise SourceFetchError(f"file {self.path} cannot be read: {error}") from None

    def rows(
        self,
        frame: pl.DataFrame,
        before: int,
        faults: Mapping[int, str] | None = None,
        inputs: Mapping[int, str] | None = None,
    ) -> Rows:
        """The rows of a frame. ``before``: the rows of the file before them. ``faults`` and ``inputs``: the reason and
        the object for each row that is not a record."""
        if not frame.height:
            return NO_ROWS
        reasons = dict(faults or {})
        without = column_without_json(frame)
        if without is not None:
            raise SourceFetchError(f"file {self.path}: column '{without[0]}' is {without[1]}, which JSON cannot hold")
        texts, beyond = rows_as_json(self._added.to_frame(frame))
        numbered = row_ids(self.path, before + 1, frame.height)
        ids = self._ids(frame) if self._id_fields else numbered
        for row, name in beyond.items():
            reasons.setdefault(row, f"{self._place(before, row)} has a moment in '{name}' beyond the calendar")
        for row in (ids.is_null() | (ids == "")).arg_true():
            reasons.setdefault(row, f"{self._place(before, row)} has no '{self._id_fields[0]}' to identify it by")
        if reasons:
            rows = pl.Series(list(reasons), dtype=pl.UInt32)
            ids = ids.scatter(rows, numbered[rows])
        if inputs:
            texts = texts.scatter(list(inputs), list(inputs.values()))
        return Rows(texts, ids, reasons)

    def _ids(self, frame: pl.DataFrame) -> pl.Series:
        found = [frame[field].cast(pl.String) for field in self._id_fields]
        if len(found) == 1:
            return found[0]
        rows = zip(*found, strict=True)
        return pl.Series([None if not all(row) else joined_id(row) for row in rows], dtype=pl.String)

    def _place(self, before: int, row: int) -> str:
        return f"{self.path}, row {before + row + 1}"
