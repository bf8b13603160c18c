"""From JSON text to the values of declared columns.

This is the one place where a record meets its columns: any fault here refuses that record, and nothing else.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import repeat
from typing import TYPE_CHECKING, Any

import orjson
import polars as pl

from bizon.common.errors.errors import RowsRejectedError
from bizon.common.safe_log import logger
from bizon.destination import unnest_frames as frames
from bizon.destination.declared import Keys, MisfitError, kind_of
from bizon.destination.unnest_values import converter, misfit

if TYPE_CHECKING:
    from bizon.destination.declared import DeclaredColumn, Reading

_RECORDS_SEARCHED = 1_000  # per frame, for keys without a column, where records are not read one by one
_KEYS_NAMED = 100  # in the warning


class Unnester:
    """The declared columns of one table or file, in order.

    A missing key becomes null; a key without a column is dropped, with one warning per run. The methods raise
    RowsRejectedError, with record and column of every record that does not fit.
    """

    def __init__(self, table: str, columns: "Sequence[DeclaredColumn]", reading: "Reading") -> None:
        self._table = table
        self._reading = reading
        self._columns = {column.name: column for column in columns}
        self._convert = {column.name: converter(column, reading) for column in columns}
        self._decoded = {column.name: column.type for column in columns if column.type.kind in frames.DECODED}
        self._keys = Keys(self._convert, any_case=reading.any_case)
        self._has_warned = False
        self.types = {column.name: column.type for column in columns}
        self.schema = frames.schema_of(self.types)
        """The columns of ``frame``."""

    def columns(self, frame: pl.DataFrame) -> dict[str, list[Any]]:
        """The values of the records of a destination frame, see ``unnest_values.converter``."""
        faults: dict[int, str] = {}
        columns = self._read(frame["source_data"], frame["source_record_id"], self._convert, faults)
        self._warn()
        if faults:
            raise RowsRejectedError(faults)
        return columns

    def rows(self, frame: pl.DataFrame) -> list[dict[str, Any]]:
        """The same values by record."""
        columns = self.columns(frame)
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The typed rows of a destination frame, for a ``Reading`` by columns. The types are scalars and JSON.

        Polars decodes the scalars of all records at once. Python reads JSON, the records whose text Polars would write
        in its own way, and every record of a frame with one that Polars refuses.
        """
        texts, ids = frame["source_data"], frame["source_record_id"]
        self._search(texts.head(_RECORDS_SEARCHED))
        faults: dict[int, str] = {}
        others = [name for name in self._convert if name not in self._decoded]
        columns: dict[str, Any] = self._read(texts, ids, others, faults, careful=False) if others else {}
        decoded = frames.decode(texts, self._decoded)
        if decoded is None:
            decoded = self._one_by_one(texts, ids, range(texts.len()), faults)
        elif rows := frames.perhaps_not_as_sent(decoded, texts, self._decoded):
            decoded = frames.with_rows(
                decoded, rows, self._one_by_one(texts.gather(rows), ids.gather(rows), rows, faults)
            )
        if faults:
            raise RowsRejectedError(dict(sorted(faults.items())))
        columns.update(decoded.to_dict())
        return pl.DataFrame({name: columns[name] for name in self.schema}, schema=self.schema)

    def _read(
        self, texts: pl.Series, ids: pl.Series, names: Iterable[str], faults: dict[int, str], careful: bool = True
    ) -> dict[str, list[Any]]:
        """The values of some columns; None for a record at fault, whose reason is added by position. Not ``careful``: a
        record is read with care only where its text asks for it."""
        columns: dict[str, list[Any]] = {name: [] for name in names}
        steps = [(name, self._convert[name], values.append) for name, values in columns.items()]
        loads, by_column = self._reading.json.loads, self._keys.by_column if self._reading.any_case else None
        cares = repeat(True, texts.len()) if careful else frames.need_care(texts)
        for position, (text, care) in enumerate(zip(texts, cares, strict=True)):
            try:
                record = loads(text, careful=care)
                if record.__class__ is not dict:
                    raise MisfitError(None, f"is not a JSON object but {kind_of(record)}")  # noqa: TRY301 - no call per record
                if by_column is not None:
                    record = by_column(record)
                for name, convert, add in steps:
                    add(convert(record.get(name)))
            except Exception as error:  # noqa: BLE001 - one record must not stop the others
                faults[position] = self._reason(error, ids[position])
                for values in columns.values():
                    values[position:] = [None]
        return columns

    def _one_by_one(
        self, texts: pl.Series, ids: pl.Series, numbers: Sequence[int], faults: dict[int, str]
    ) -> pl.DataFrame:
        """The columns that Polars decodes, of records that are read one by one. ``numbers``: of their rows."""
        found: dict[int, str] = {}
        frame, misfits = frames.of_values(self._read(texts, ids, self._decoded, found), self._decoded)
        for position, name in misfits:
            found.setdefault(position, self._reason(misfit(name, self._columns[name], ""), ids[position]))
        for position, reason in found.items():
            faults.setdefault(numbers[position], reason)
        return frame

    def _reason(self, error: Exception, record: str) -> str:
        named, first = f"record '{record}'", self._reading.column_first
        whole = f"{named} of '{self._table}'"
        if isinstance(error, ValueError) and not isinstance(error, MisfitError):
            error = MisfitError(None, f"is not valid JSON: {error}")  # columns raise MisfitError alone
        if not isinstance(error, MisfitError):
            return f"{whole} does not fit its columns: {type(error).__name__}"
        if error.column is None:
            return f"{whole}{'' if first else ':'} {error}"
        if first:
            return f"column '{error.column}' of '{self._table}' {error.why(named)}"
        return f"{whole}: column '{error.column}' {error.why('the record')}"

    def _search(self, texts: pl.Series) -> None:
        """Look for keys without a column, until there is something to warn of."""
        for text in () if self._has_warned else texts:
            with suppress(ValueError):
                record = orjson.loads(text)
                if isinstance(record, dict):
                    self._keys.by_column(record)
        self._warn()

    def _warn(self) -> None:
        if self._has_warned or not self._keys.strangers:
            return
        self._has_warned = True
        names = sorted(self._keys.strangers)
        more = f" and {len(names) - _KEYS_NAMED} more" if len(names) > _KEYS_NAMED else ""
        shown = ", ".join(names[:_KEYS_NAMED])
        logger.warning(f"keys that `record_schemas` of '{self._table}' does not have are dropped: {shown}{more}")
