"""From a JSON value to the value of a column, for each BigQuery type.

A value that a column cannot hold exactly is refused: a number in quotes is not a number, 1.5 is not an integer, a
number is not a moment, and a decimal with more digits than its type has is not rounded.
"""

from typing import Any

from bizon.connectors.destinations.bigquery.src.column_config import BigQueryColumn, ColumnMode, ColumnType
from bizon.connectors.destinations.bigquery.src.keys import Keys
from bizon.connectors.destinations.bigquery.src.misfits import MisfitError, misfit
from bizon.connectors.destinations.bigquery.src.scalars import SCALARS, Convert, kind_of


def converter(column: BigQueryColumn, path: str = "") -> Convert:
    """Returns a function from the value in a record to the value of the column: text, int, float, bool, bytes, date,
    time, datetime (aware for TIMESTAMP, else naive), Decimal, dict, list; None for no value. It raises MisfitError."""
    here = f"{path}.{column.name}" if path else column.name
    scalar = _record(column, here) if column.type is ColumnType.RECORD else SCALARS[column.type]
    described = f"is {column.type}"

    def one(value: Any) -> Any:
        try:
            return scalar(value)
        except MisfitError:
            raise
        except Exception:  # noqa: BLE001 - whatever a value does to its conversion, it does not fit
            raise misfit(here, f"{described}, the record has {kind_of(value)} that does not fit") from None

    if column.mode is ColumnMode.REPEATED:
        return _repeated(one, here)
    if column.mode is ColumnMode.REQUIRED and column.default_value_expression is None:
        return _required(one, here)
    return lambda value: None if value is None else one(value)


def _repeated(one: Convert, path: str) -> Convert:
    def convert(value: Any) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise misfit(path, f"is REPEATED, the record has {kind_of(value)}, not an array")
        if None in value:
            raise misfit(path, "is REPEATED, and BigQuery keeps no null in an array")
        return [one(item) for item in value]

    return convert


def _required(one: Convert, path: str) -> Convert:
    def convert(value: Any) -> Any:
        if value is None:
            raise misfit(path, "is REQUIRED, the record has none")
        return one(value)

    return convert


def _record(column: BigQueryColumn, path: str) -> Convert:
    inner = {field.name: converter(field, path) for field in column.fields or ()}
    keys = Keys(inner, f"{path}.")

    def convert(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise TypeError
        named = keys.by_column(value)
        return {name: of(named.get(name)) for name, of in inner.items()}

    return convert
