"""The names of an engine's types, and the values of an engine that stores them as text."""

from datetime import UTC, date, datetime, time
from decimal import Decimal

import polars as pl
import pytest

from bizon.connectors.destinations.duckdb.src.destination import DuckdbDestination
from bizon.connectors.destinations.postgres.src.types import TYPES
from bizon.destination.column_types import INT64, ColumnType, Kind, decimal
from bizon.destination.sql_target import SQLITE
from bizon.destination.type_names import TypeNames

KINDS = [ColumnType(kind) for kind in Kind if kind is not Kind.DECIMAL] + [decimal(38, 9), decimal(20)]


@pytest.mark.parametrize("names", [TYPES, DuckdbDestination.types], ids=["postgres", "duckdb"])
@pytest.mark.parametrize("column", KINDS, ids=str)
def test_a_column_has_the_type_that_it_was_created_with(names: TypeNames, column: ColumnType) -> None:
    assert names.column(names.sql(column)) == column


def test_case_and_spaces_do_not_count() -> None:
    names = TypeNames(int64="BIGINT", decimal="DECIMAL({},{})")
    assert names.column("bigint") == INT64
    assert names.column("decimal(10, 2)") == decimal(10, 2)


@pytest.mark.parametrize("name", ["inet", "numeric(3,5)", "numeric(5,-2)", "bigint[]", ""])
def test_a_type_without_a_name_takes_no_values(name: str) -> None:
    assert TypeNames().column(name) is None


def test_a_column_of_somebody_else_has_a_type_that_holds_its_values() -> None:
    assert TYPES.column("smallint") == decimal(4)


def test_values_that_are_stored_as_text_come_back_as_they_were() -> None:
    row = (datetime(1, 1, 1, tzinfo=UTC), date(9999, 12, 31), time(23, 59, 59, 999_999), Decimal("-1.50"), True, 0.5)
    kinds = [pl.Datetime("us", "UTC"), pl.Date(), pl.Time(), pl.Decimal(38, 2), pl.Boolean(), pl.Float64()]
    schema = dict(zip("abcdef", kinds, strict=True))
    frame = pl.DataFrame([row, (None,) * 6], schema=schema, orient="row")
    stored = [*SQLITE.values(frame)]
    assert {type(value) for value in stored[0]} == {str, bool, float}
    assert SQLITE.frame(stored, schema).equals(frame)  # a time had lost its fraction
