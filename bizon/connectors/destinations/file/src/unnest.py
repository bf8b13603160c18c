"""From JSON text to typed columns.

Polars decodes the values in columns; its reader refuses a value of another type than declared. Python reads three
kinds of records: all with columns of type json, because no columnar reader keeps the numbers and the key order of a
nested value exact; those with a number or an array in a text column, which the reader would format in its own way; and
every record of a write in which the reader meets one that it cannot parse.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson
import polars as pl

from bizon.common.errors.errors import RowsRejectedError
from bizon.common.safe_log import logger
from bizon.connectors.destinations.file.src.config import ColumnType, column_type, declared_type
from bizon.connectors.destinations.file.src.typed_columns import (
    COLUMN_TYPES,
    Kinds,
    decode,
    kind_of,
    perhaps_not_as_sent,
    with_rows,
)
from bizon.rows.exact_json import PERHAPS_NOT_REPRODUCED, SentNumbers

if TYPE_CHECKING:
    from bizon.destination.config import RecordSchemaConfig

_MISFITS_NAMED = 1_000  # per write; the next try finds more
_RECORDS_SEARCHED = 1_000  # per write, for keys that the schema does not know
_NOTHING = "{}"


class MisfitError(ValueError):
    """A record has no schema to unnest with, or is not a JSON object."""


class Unnester:
    """Columns of one file, in schema order.

    A missing key becomes null; a key the schema does not have is dropped, with one warning per run if it is seen among
    the first 1,000 records of a write. string: text of the value, a number as it was sent, an object or array as JSON.
    integer: 64 bits. float: any number within its range. boolean: true, false. date: ``2024-12-31``. datetime: RFC
    3339, in UTC when it has no offset, cut to microseconds; or a date. json: the value as JSON text, its numbers as
    they were sent. Numbers in quotes are not numbers. Half a surrogate pair is not text.
    """

    def __init__(self, schema: "RecordSchemaConfig") -> None:
        self._table = schema.destination_id
        self._types = {column.name: column_type(column.type) for column in schema.record_schema}
        self._scalars: Kinds = {name: kind for name, kind in self._types.items() if kind is not ColumnType.JSON}
        self.schema = pl.Schema({name: COLUMN_TYPES[kind] for name, kind in self._types.items()})
        self.noted = {name: str(declared_type(kind)) for name, kind in self._types.items()}
        self._json = SentNumbers()
        self._warned = False

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The typed rows of a destination frame, in its order.

        Raises RowsRejectedError, which names column and record of the rows that do not fit, the first of them at least.
        """
        texts, ids = frame["source_data"], frame["source_record_id"]
        self._warn_of_unknown_keys(texts.head(_RECORDS_SEARCHED))
        reasons: dict[int, str] = {}
        columns = self._json_columns(texts, ids, reasons)
        decoded = decode(texts, self._scalars)
        if decoded is None:
            decoded = self._one_by_one(texts, ids, range(texts.len()), reasons)
        elif rows := perhaps_not_as_sent(decoded, texts, self._scalars):
            exact = self._one_by_one(texts.gather(rows), ids.gather(rows), rows, reasons)
            decoded = decoded if exact is None else with_rows(decoded, rows, exact)
        if reasons or decoded is None:
            raise RowsRejectedError(reasons)
        columns.update(decoded.to_dict())
        return pl.DataFrame({name: columns[name] for name in self.schema}, schema=self.schema)

    def _json_columns(self, texts: pl.Series, ids: pl.Series, reasons: dict[int, str]) -> dict[str, pl.Series]:
        names = [name for name, kind in self._types.items() if kind is ColumnType.JSON]
        if not names:
            return {}
        found: dict[str, list[str | None]] = {name: [] for name in names}
        needs_care = texts.str.contains(PERHAPS_NOT_REPRODUCED)
        for row, (text, record_id, careful) in enumerate(zip(texts, ids, needs_care, strict=True)):
            try:
                record = self._load(text, record_id, careful=careful)
            except MisfitError as error:
                reasons[row], record = str(error), {}
            for name in names:
                value = record.get(name)
                found[name].append(None if value is None else self._json.dumps(value))
        return {name: pl.Series(values, dtype=pl.String) for name, values in found.items()}

    def _one_by_one(
        self, texts: pl.Series, ids: pl.Series, rows: Sequence[int], reasons: dict[int, str]
    ) -> pl.DataFrame | None:
        """The columns of these records, with nulls for records at fault; None when Polars refuses some of them. Faults
        are added to ``reasons``, by the number in ``rows``."""
        projected = texts.to_list()
        for position, (text, record_id) in enumerate(zip(texts, ids, strict=True)):
            try:
                projected[position] = self._project(text, record_id)
            except MisfitError as error:
                reasons.setdefault(rows[position], str(error))
                projected[position] = _NOTHING
        readable = pl.Series(projected, dtype=pl.String)
        decoded = decode(readable, self._scalars)
        if decoded is None:
            found = islice(self._misfits(readable, ids), _MISFITS_NAMED)
            reasons.update((rows[position], reason) for position, reason in found)
        return decoded

    def _project(self, text: str, record_id: str) -> str:
        """The record with only the columns that Polars reads, and with the values of text columns as text."""
        record = self._load(text, record_id)
        kept = {name: record[name] for name in self._scalars if name in record}
        for name, value in kept.items():
            if self._scalars[name] is ColumnType.STRING and value is not None and not isinstance(value, bool):
                kept[name] = value if isinstance(value, str) else self._json.dumps(value)
                if not _is_text(kept[name]):
                    raise MisfitError(self._misfit(name, record_id, "half a surrogate pair, which is not text"))
            elif self._scalars[name] is ColumnType.FLOAT and isinstance(value, int) and not isinstance(value, bool):
                kept[name] = _as_float(value)
        return self._json.dumps(kept)

    def _load(self, text: str, record_id: str, *, careful: bool = True) -> dict[str, Any]:
        try:
            record = self._json.loads(text, careful=careful)
        except ValueError as error:
            raise MisfitError(f"record '{record_id}' of '{self._table}' is not valid JSON: {error}") from error
        if not isinstance(record, dict):
            raise MisfitError(f"record '{record_id}' of '{self._table}' is {kind_of(record)}, not an object")
        return record

    def _misfits(self, texts: pl.Series, ids: pl.Series, first: int = 0) -> Iterator[tuple[int, str]]:
        """Position and reason of the records that cannot be decoded, in order, by halving."""
        if decode(texts, self._scalars) is not None:
            return
        if texts.len() == 1:
            yield first, self._reason(texts[0], ids[0])
            return
        half = texts.len() // 2
        yield from self._misfits(texts[:half], ids[:half], first)
        yield from self._misfits(texts[half:], ids[half:], first + half)

    def _reason(self, text: str, record_id: str) -> str:
        for name, value in self._load(text, record_id).items():
            if name in self._scalars:
                alone = pl.Series([self._json.dumps({name: value})])
                if decode(alone, {name: self._scalars[name]}) is None:
                    return self._misfit(name, record_id, f"{kind_of(value)} that does not fit")
        return f"record '{record_id}' of '{self._table}' cannot be decoded"

    def _misfit(self, column: str, record_id: str, what: str) -> str:
        return f"column '{column}' of '{self._table}' is {self._types[column]}, record '{record_id}' has {what}"

    def _warn_of_unknown_keys(self, texts: Sequence[str] | pl.Series) -> None:
        if self._warned:
            return
        unknown: dict[str, None] = {}
        for text in texts:
            unknown.update(dict.fromkeys(key for key in _keys_of(text) if key not in self._types))
        if unknown:
            self._warned = True
            logger.warning(
                f"keys that `record_schemas` of '{self._table}' does not have are dropped: {', '.join(unknown)}"
            )


def _keys_of(text: str) -> Iterable[str]:
    try:
        record = orjson.loads(text)
    except ValueError:
        return ()
    return record if isinstance(record, dict) else ()


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_float(value: int) -> Any:
    try:
        return float(value)
    except OverflowError:
        return str(value)  # not a number, so that the reader refuses it
