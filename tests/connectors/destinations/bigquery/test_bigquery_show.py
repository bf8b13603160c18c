"""The table of a pipeline in BigQuery, as ``bizon show`` reads it, against the emulator."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from connectors.destinations.bigquery_streaming.test_streaming import config_of, write
from destinations import open_destination

from bizon.common.errors.errors import DestinationError
from bizon.destination.readable import Exact, NoTableError, TableReader

if TYPE_CHECKING:
    from bigquery import Warehouse

COLUMNS = [
    {"name": "n", "type": "INTEGER"},
    {"name": "wide", "type": "NUMERIC"},
    {"name": "object", "type": "JSON"},
    {"name": "yes", "type": "BOOLEAN"},
]
RECORDS = [{"n": 2**62 + 1, "wide": "123456789012345678901.5", "object": {"a": 1}, "yes": True}, {"n": 2}]


@contextmanager
def opened(warehouse: "Warehouse") -> Iterator[TableReader]:
    with open_destination(config_of(warehouse, COLUMNS), "stream") as destination:
        assert not destination.infers_columns
        with destination.reading() as reader:
            yield reader


def test_rows_columns_and_counts(warehouse: "Warehouse") -> None:
    write(config_of(warehouse, COLUMNS), RECORDS)
    with opened(warehouse) as reader:
        assert (reader.table, reader.count()) == ("items", 2)
        assert {field.name: field.type for field in reader.columns()}["wide"] == "NUMERIC"
        answer = reader.query("SELECT n, wide, yes, object FROM items ORDER BY n DESC", 2)
        assert answer.rows[0][:3] == [str(2**62 + 1), "123456789012345678901.5", True]
        assert isinstance(answer.rows[0][3], Exact)
        assert answer.rows[1] == ["2", None, None, None]
        assert len(reader.rows(1).rows) == 1


def test_only_queries_run(warehouse: "Warehouse") -> None:
    write(config_of(warehouse, COLUMNS), RECORDS)
    for sql in (
        "DELETE FROM items WHERE TRUE",
        "CREATE TABLE more AS SELECT 1 AS a",
        "SELECT 1; SELECT 2",
        "SELECT nope FROM items",
    ):
        with opened(warehouse) as reader, pytest.raises(DestinationError):
            reader.query(sql, 20)
    assert (warehouse.tables(), len(warehouse.rows("items"))) == (["items"], 2)


def test_a_table_that_does_not_exist_is_not_created(warehouse: "Warehouse") -> None:
    with pytest.raises(NoTableError, match="does not exist"), opened(warehouse):
        pass
    assert warehouse.tables() == []
