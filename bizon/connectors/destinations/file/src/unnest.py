"""From JSON text to typed columns.

Values are decoded by Polars, in columns; its reader refuses a value that is not of the declared type. Two things are
done in Python: columns of type json, because no reader of columns keeps a nested value's numbers and key order exact,
and records that hold an integer beyond 128 bits, which the reader cannot parse.
"""

from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

import polars as pl
from loguru import logger

from bizon.common.errors.errors import RowsRejectedError
from bizon.common.exact_json import loads_exact
from bizon.common.frames import UTC_MICROSECONDS, encode_data
from bizon.connectors.destinations.file.src.config import ColumnType, column_type
from bizon.destination.config import RecordSchemaConfig

_Kinds = dict[str, ColumnType]
_TYPES: dict[ColumnType, pl.DataType] = {
    ColumnType.STRING: pl.String(),
    ColumnType.INTEGER: pl.Int64(),
    ColumnType.FLOAT: pl.Float64(),
    ColumnType.BOOLEAN: pl.Boolean(),
    ColumnType.DATE: pl.Date(),
    ColumnType.DATETIME: UTC_MICROSECONDS,
    ColumnType.JSON: pl.String(),
}
_READ_AS_TEXT = (ColumnType.DATE, ColumnType.DATETIME)
_OFFSET = r"T.*([+-]\d\d:?\d\d)$"
_MISFITS_NAMED = 1_000  # per write; the next try finds more
_RECORDS_SEARCHED = 1_000  # per write, for keys that the schema does not know


class MisfitError(ValueError):
    """What is to be unnested has no schema, or is no JSON object."""


class Unnester:
    """Columns of one file, in schema order.

    A missing key becomes null; a key the schema does not have is dropped, with one warning per run if it is seen among
    the first 1,000 records of a write. string: text of the value, an object or array as JSON. integer: 64 bits.
    float: any number. boolean: true, false. date: ``2024-12-31``. datetime: RFC 3339, in UTC when it has no offset;
    or a date. json: the value as JSON text. Numbers in quotes are no numbers.
    """

    def __init__(self, schema: RecordSchemaConfig) -> None:
        self._table = schema.destination_id
        self._types = {column.name: column_type(column.type) for column in schema.record_schema}
        self.schema = pl.Schema({name: _TYPES[kind] for name, kind in self._types.items()})
        self._warned = False

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The typed rows of a destination frame, in its order.

        Raises RowsRejectedError, which names column and record of the rows that do not fit, the first of them at least.
        """
        texts, ids = frame["source_data"], frame["source_record_id"]
        self._warn_of_unknown_keys(texts, ids)
        columns = self._json_columns(texts, ids)
        scalars: _Kinds = {name: kind for name, kind in self._types.items() if kind is not ColumnType.JSON}
        decoded = _decode(texts, scalars)
        if decoded is None:
            texts = pl.Series([self._project(text, key, scalars) for text, key in zip(texts, ids, strict=True)])
            decoded = _decode(texts, scalars)
        if decoded is None:
            raise RowsRejectedError(dict(islice(self._misfits(texts, ids, scalars), _MISFITS_NAMED)))
        columns.update(decoded.to_dict())
        return pl.DataFrame({name: columns[name] for name in self.schema}, schema=self.schema)

    def _json_columns(self, texts: pl.Series, ids: pl.Series) -> dict[str, pl.Series]:
        names = [name for name, kind in self._types.items() if kind is ColumnType.JSON]
        if not names:
            return {}
        records = [self._load(text, key) for text, key in zip(texts, ids, strict=True)]
        return {name: pl.Series([_as_json(record.get(name)) for record in records], dtype=pl.String) for name in names}

    def _project(self, text: str, record_id: str, names: _Kinds) -> str:
        """The record again with only the columns that Polars is to read, and huge integers of text columns as text."""
        record = self._load(text, record_id)
        kept = {name: record[name] for name in names if name in record}
        for name, value in kept.items():
            if names[name] is ColumnType.STRING and isinstance(value, int) and not isinstance(value, bool):
                kept[name] = str(value)
            elif names[name] is ColumnType.FLOAT and isinstance(value, int | Decimal):
                kept[name] = _as_float(value)
        return encode_data(kept).decode()

    def _load(self, text: str, record_id: str) -> dict[str, Any]:
        try:
            record = loads_exact(text)
        except ValueError as error:
            raise MisfitError(f"record '{record_id}' of '{self._table}' is no JSON: {error}") from error
        if not isinstance(record, dict):
            raise MisfitError(f"record '{record_id}' of '{self._table}' is {_kind(record)}, not an object")
        return record

    def _misfits(self, texts: pl.Series, ids: pl.Series, types: _Kinds, first: int = 0) -> Iterator[tuple[int, str]]:
        """Position and reason of the records that cannot be decoded, in order, by halving."""
        if _decode(texts, types) is not None:
            return
        if texts.len() == 1:
            yield first, self._reason(texts[0], ids[0], types)
            return
        half = texts.len() // 2
        yield from self._misfits(texts[:half], ids[:half], types, first)
        yield from self._misfits(texts[half:], ids[half:], types, first + half)

    def _reason(self, text: str, record_id: str, types: _Kinds) -> str:
        for name, value in self._load(text, record_id).items():
            alone = pl.Series([encode_data({name: value}).decode()])
            if name in types and _decode(alone, {name: types[name]}) is None:
                return (
                    f"column '{name}' of '{self._table}' is {types[name]}, record '{record_id}' has {_kind(value)} "
                    f"that does not fit"
                )
        return f"record '{record_id}' of '{self._table}' cannot be decoded"

    def _warn_of_unknown_keys(self, texts: pl.Series, ids: pl.Series) -> None:
        if self._warned:
            return
        unknown: dict[str, None] = {}
        for text, record_id in zip(texts.head(_RECORDS_SEARCHED), ids.head(_RECORDS_SEARCHED), strict=True):
            unknown.update(dict.fromkeys(key for key in self._load(text, record_id) if key not in self._types))
        if unknown:
            self._warned = True
            logger.warning(
                f"keys that `record_schemas` of '{self._table}' does not have are dropped: {', '.join(unknown)}"
            )


def _decode(texts: pl.Series, types: _Kinds) -> pl.DataFrame | None:
    """Typed columns of records; None when a value does not fit its type, or is missing altogether."""
    if not types or not texts.len():
        return pl.DataFrame(schema={name: _TYPES[kind] for name, kind in types.items()})
    if texts.str.contains("\n", literal=True).any():
        return None  # is not one line per record
    read = {name: pl.String() if kind in _READ_AS_TEXT else _TYPES[kind] for name, kind in types.items()}
    try:
        raw = pl.read_ndjson(str(texts.str.join("\n")[0]).encode(), schema=read)
    except pl.exceptions.PolarsError:
        return None
    if raw.height != texts.len():
        return None
    decoded = raw.with_columns(
        _parsed(pl.col(name), kind).alias(name) for name, kind in types.items() if kind in _READ_AS_TEXT
    )
    return decoded if decoded.null_count().equals(raw.null_count()) else None


def _parsed(text: pl.Expr, kind: ColumnType) -> pl.Expr:
    day = text.str.to_date("%Y-%m-%d", strict=False)
    if kind is ColumnType.DATE:
        return day
    normal = text.str.replace(" ", "T", literal=True).str.replace("[Zz]$", "+00:00")
    moment = pl.when(normal.str.contains(_OFFSET)).then(normal).otherwise(normal + "+00:00")
    parsed = moment.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", time_zone="UTC", strict=False)
    return pl.coalesce(parsed, day.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))


def _as_json(value: Any) -> str | None:
    return None if value is None else encode_data(value).decode()


def _as_float(value: int | Decimal) -> Any:
    try:
        return float(value)
    except OverflowError:
        return str(value)  # is no number, so that the reader refuses it


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    names = {str: "a string", int: "an integer", float: "a number", Decimal: "a number", list: "an array"}
    return names.get(type(value), "null" if value is None else "an object")
