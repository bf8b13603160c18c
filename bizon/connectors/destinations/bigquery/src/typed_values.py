"""Typed rows in the forms that BigQuery takes: lines for load jobs, JSON for insertAll, numbers for Storage Write."""

from typing import TYPE_CHECKING, NamedTuple

import orjson
import polars as pl

from bizon.destination.column_types import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.cloud.bigquery import SchemaField

    from bizon.destination.column_types import ColumnType

_MOMENT = "%Y-%m-%dT%H:%M:%S%.6fZ"
_LINE_ENDS = "[\n\r]"  # in JSON they are only between tokens


class TypedRows(NamedTuple):
    """``frame``: the rows, with the columns of the table; ``kinds``, ``fields``: their types. ``id``: the column with
    the id of each row. ``grows``: the table needed new or wider columns for them."""

    frame: pl.DataFrame
    kinds: "Mapping[str, ColumnType]"
    fields: "Sequence[SchemaField]"
    id: str
    grows: bool

    def limited_to(self, rows: pl.DataFrame) -> "TypedRows":
        """These rows of the batch only, as the destination has received them."""
        if rows.height == self.frame.height:
            return self
        return self._replace(frame=self.frame.filter(pl.col(self.id).is_in(rows["bizon_id"].implode())))


def lines(rows: TypedRows) -> bytes:
    """JSON lines, as load jobs take them: columns of type JSON hold their value, columns without a value are omitted.
    Whole numbers are in quotes, since BigQuery reads those exactly."""
    text, members = as_text(rows), []
    for name, dtype in text.schema.items():
        key = f",{orjson.dumps(name).decode()}:"
        if rows.kinds[name].kind is Kind.JSON:
            value = pl.col(name).str.replace_all(_LINE_ENDS, " ")
        elif dtype == pl.String:
            encoded = pl.struct(pl.col(name).alias("v")).struct.json_encode()
            value = pl.when(pl.col(name).is_not_null()).then(encoded.str.slice(5).str.head(-1))
        else:
            value = pl.col(name).cast(pl.String)
        members.append(pl.concat_str(pl.lit(key), value))
    line = pl.concat_str(pl.lit("{"), pl.concat_str(members, ignore_nulls=True).str.slice(1), pl.lit("}\n"))
    return b"".join(text.select(line.cast(pl.Binary)).to_series())


def as_text(rows: TypedRows) -> pl.DataFrame:
    """Everything as text, but floats and booleans."""
    return rows.frame.select(_text(name, rows.kinds[name]) for name in rows.frame.columns)


def as_wire(rows: TypedRows) -> pl.DataFrame:
    """Moments as microseconds and dates as days since 1970; decimals, times and JSON are text."""
    return rows.frame.select(_wire(name, rows.kinds[name]) for name in rows.frame.columns)


def _text(name: str, kind: "ColumnType") -> pl.Expr:
    column = pl.col(name)
    match kind.kind:
        case Kind.TIMESTAMP:  # formatted once per run of equal values: all rows of a page tend to have the same
            return column.rle().struct.field("value").dt.strftime(_MOMENT).gather(column.rle_id()).alias(name)
        case Kind.BYTES:
            return column.bin.encode("base64")
        case Kind.INT64 | Kind.DATE:
            return column.cast(pl.String)
        case Kind.DECIMAL | Kind.TIME:
            return _wire(name, kind)
        case _:
            return column


def _wire(name: str, kind: "ColumnType") -> pl.Expr:
    column = pl.col(name)
    match kind.kind:
        case Kind.TIMESTAMP:
            return column.dt.epoch("us")
        case Kind.DATE:
            return column.cast(pl.Int32)
        case Kind.TIME:
            return column.dt.strftime("%H:%M:%S%.6f")
        case Kind.DECIMAL:
            text = column.cast(pl.String)
            if kind.scale:
                text = text.str.strip_chars_end("0").str.strip_chars_end(".")
            return text
        case _:
            return column
