"""The table of a pipeline in Postgres, as ``bizon show`` and ``bizon schema`` read it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from connectors.destinations.postgres.kit import block, load, rows_of
from connectors.destinations.table_kit import FULL_REFRESH, INCREMENTAL, page, pipeline
from destinations import open_destination
from postgres import Place

from bizon.common.errors.errors import DestinationConnectionError, DestinationError
from bizon.destination.column_receipts import changes_of
from bizon.destination.readable import Exact, NoTableError, NotReadError, TableReader

WIDE = 123456789012345678901234567890
RECORDS: list[dict[str, Any]] = [
    {"id": 1, "wide": WIDE, "part": 2e300, "yes": True, "at": "2024-01-01T00:00:00.5+01:00", "object": {"a": 1.10}},
    {"id": 2, "wide": 1, "part": 0.5, "yes": False, "text": "100% \\ 'q'"},
]


@contextmanager
def opened(place: Place, **more: Any) -> Iterator[TableReader]:
    with open_destination(block(place, **more)) as destination, destination.reading() as reader:
        yield reader


@pytest.fixture
def reader(postgres: Place) -> Iterator[TableReader]:
    load(postgres, FULL_REFRESH, page(*RECORDS))
    with opened(postgres) as reader:
        yield reader


def test_values_are_as_they_are_stored(reader: TableReader) -> None:
    answer = reader.rows(20)
    first, second = (dict(zip([field.name for field in answer.columns], row, strict=True)) for row in answer.rows)
    assert reader.count() == 2
    assert (first["wide"], first["part"], first["yes"], first["at"]) == (
        str(WIDE),
        "2e+300",
        True,
        "2023-12-31 23:00:00.5+00",
    )
    assert isinstance(first["wide"], Exact)
    assert json.loads(str(first["object"])) == {"a": 1.1}
    assert (second["yes"], second["text"], second["object"]) == (False, "100% \\ 'q'", None)
    assert {field.name: field.type for field in reader.columns()}["wide"] == "numeric(38,0)"


def test_only_the_rows_that_are_wanted_come(reader: TableReader) -> None:
    assert reader.query("SELECT generate_series(1, 1000000000) AS n", 2).rows == [["1"], ["2"]]
    assert reader.query("SELECT 'NaN'::float8 AS x, 5 % 3 AS y, ARRAY[1, 2] AS z", 1).rows == [["NaN", "2", "{1,2}"]]
    assert Decimal(str(reader.query("SELECT sum(wide) FROM items", 1).rows[0][0])) == WIDE + 1


@pytest.mark.matrix(share=2)
@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM items",
        "WITH gone AS (DELETE FROM items RETURNING *) SELECT * FROM gone",
        "DROP TABLE items",
        "CREATE TABLE more AS SELECT * FROM items",
        "COMMIT; DELETE FROM items",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "DO $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM items; END $$",
        "SET TRANSACTION READ WRITE",
        "COPY items TO STDOUT",
        "SELECT nope FROM items",
        "",
    ],
)
def test_a_statement_that_would_write_is_refused(postgres: Place, sql: str) -> None:
    load(postgres, FULL_REFRESH, page(*RECORDS))
    before = rows_of(postgres)
    with pytest.raises(DestinationError) as refused, opened(postgres) as reader:
        reader.query(sql, 20)
    assert len(str(refused.value).splitlines()) == 1
    assert rows_of(postgres) == before
    assert len(before) == 2


def test_a_table_that_does_not_exist_is_not_created(postgres: Place) -> None:
    with pytest.raises(NoTableError, match="does not exist"), opened(postgres):
        pass
    assert postgres.rows("SELECT 1 FROM pg_namespace WHERE nspname = %s", postgres.schema) == []


def test_an_unreachable_server_is_an_error_of_the_connection(postgres: Place) -> None:
    with pytest.raises(DestinationConnectionError), opened(postgres, port=1):
        pass


def test_receipts_name_the_columns_that_a_job_adds_and_widens(postgres: Place) -> None:
    load(postgres, INCREMENTAL, page({"id": 1, "n": 1}))
    with pipeline(block(postgres), INCREMENTAL) as into:
        into.has_history = True
        job = into.job()
        job.run(page({"id": 2, "n": WIDE}), page({"id": 3, "more": "x"}), page({"id": 4}))
        committed = job.resume_point().committed
    assert changes_of(committed) == ({"more": "text"}, {"n": ("int64", "decimal(38, 0)")})
    assert [batch.receipt is None for batch in committed] == [False, False, True]


@pytest.mark.parametrize("sql", ["SET search_path = elsewhere", "-- nothing", ";", "SELECT 1; SELECT 2"])
def test_anything_but_one_query_is_named(reader: TableReader, sql: str) -> None:
    with pytest.raises(
        NotReadError, match=r"the SQL is not a query, or is more than one: (syntax error|cannot insert)"
    ):
        reader.query(sql, 1)
    assert reader.count() == 2


def test_a_file_of_the_server_is_not_written(postgres: Place, reader: TableReader) -> None:
    """A transaction that is read-only lets COPY write one, if the role may."""
    file = f"bizon_test_{uuid4().hex}"
    with pytest.raises(NotReadError, match=r"not a query.*syntax error at or near"):
        reader.query(f"COPY items TO '/tmp/{file}'", 1)
    with pytest.raises(NotReadError, match="more than one: cannot insert multiple commands"):
        reader.query(f"SELECT 1) AS q; COPY items TO '/tmp/{file}'; SELECT * FROM (SELECT 2", 1)
    assert postgres.rows("SELECT pg_stat_file(%s, true)", f"/tmp/{file}") == [(None,)]


def test_a_function_that_writes_is_rolled_back(postgres: Place, reader: TableReader) -> None:
    """Servers before 16 let a transaction that is read-only create a large object."""
    number = 4_000_000_000 + int(uuid4().hex[:7], 16)
    with suppress(psycopg.errors.ReadOnlySqlTransaction):
        reader.query(f"SELECT lo_create({number})", 1)
    assert postgres.rows("SELECT 1 FROM pg_largeobject_metadata WHERE oid = %s::bigint::oid", number) == []


def test_a_query_names_types_as_the_table_does(reader: TableReader) -> None:
    """`bizon show` said int8 where `bizon schema show` said bigint."""
    assert reader.rows(1).columns == reader.columns()
    cast = reader.query("SELECT 'x'::varchar(3) AS a, now()::timestamptz(0) AS b, ARRAY[1] AS c, NULL AS d", 1)
    kinds = ["character varying(3)", "timestamp(0) with time zone", "integer[]", "text"]
    assert [field.type for field in cast.columns] == kinds
