"""Typed tables of DuckDB: types, columns that come and change, and what depends on a table."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from connectors.destinations.duckdb.kit import DuckdbTarget, block, columns, load, sql
from connectors.destinations.table_cases import TableCases
from connectors.destinations.table_kit import FULL_REFRESH, INCREMENTAL, MODES, STREAM, page, pipeline

from bizon.common.errors.errors import DestinationConnectionError, DestinationError, RowsRejectedError
from bizon.source.config import SourceSyncModes

WIDE = 123456789012345678901234567890


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "items.duckdb"


class TestTables(TableCases):
    @pytest.fixture
    def target(self, database: Path) -> DuckdbTarget:
        return DuckdbTarget(database)


@pytest.mark.parametrize("mode", MODES)
def test_values_have_the_types_of_their_columns(database: Path, mode: SourceSyncModes) -> None:
    record = {
        "yes": True,
        "whole": 2**63 - 1,
        "wide": WIDE,
        "part": -0.1,
        "moment": "0001-01-01T00:00:00.000001+00:00",
        "local": "2024-06-01T12:00:00+02:00",
        "day": "9999-12-31",
        "text": "Zoë \u2603",
        "object": {"a": [1, {"b": None}]},
        "list": [],
        "nothing": None,
    }
    load(database, mode, page(record))
    assert columns(database) == {
        "yes": "BOOLEAN",
        "whole": "BIGINT",
        "wide": "DECIMAL(38,0)",
        "part": "DOUBLE",
        "moment": "TIMESTAMP WITH TIME ZONE",
        "local": "TIMESTAMP WITH TIME ZONE",
        "day": "DATE",
        "text": "VARCHAR",
        "object": "JSON",
        "list": "JSON",
    }
    found = sql(
        database,
        "SELECT yes, whole, wide, part, epoch_us(moment), local AT TIME ZONE 'UTC', day, text, object, list FROM items",
    )
    assert found == [
        (
            True,
            2**63 - 1,
            Decimal(WIDE),
            -0.1,
            -62_135_596_799_999_999,
            datetime(2024, 6, 1, 10),
            date(9999, 12, 31),
            "Zoë \u2603",
            '{"a":[1,{"b":null}]}',
            "[]",
        )
    ]


@pytest.mark.parametrize("mode", MODES)
def test_new_keys_become_columns_and_numbers_widen(database: Path, mode: SourceSyncModes) -> None:
    load(database, mode, page({"id": 1, "n": 1}), page({"id": 2, "n": WIDE, "new": "x"}), page({"id": 3, "n": 3}))
    assert columns(database) == {"id": "BIGINT", "n": "DECIMAL(38,0)", "new": "VARCHAR"}
    rows = [(1, Decimal(1), None), (2, Decimal(WIDE), "x"), (3, Decimal(3), None)]
    assert sql(database, "SELECT id, n, new FROM items ORDER BY id") == rows


@pytest.mark.parametrize("mode", MODES)
def test_a_value_of_another_type_is_rescued(database: Path, mode: SourceSyncModes) -> None:
    load(database, mode, page({"id": 1}), page({"id": "two"}))
    found = sql(database, "SELECT id, _bizon_rescued FROM items ORDER BY id NULLS LAST")
    assert found == [(1, None), (None, '{"id":"two"}')]


@pytest.mark.parametrize("mode", MODES)
def test_rescued_values_are_counted_by_key_once_they_are_written(database: Path, mode: SourceSyncModes) -> None:
    with pipeline(block(database), mode) as into:
        job = into.job()
        job.start()
        job.commit(0, page({"id": 1, "a": {"b": 1}, "A": 5}))
        job.commit(1, page({"id": "two"}, {"id": 3}), page({"id": "four"}))
        assert job.destination.tally.counts == {"items": {"A": 1, "id": 2}}  # type: ignore[attr-defined]
        assert job.destination.rescued() == 2


def test_freeze_keeps_the_columns_and_rescues_new_keys(database: Path) -> None:
    load(database, INCREMENTAL, page({"id": 1, "n": 1}), page({"id": 2, "n": WIDE, "new": "x"}), schema_mode="freeze")
    assert columns(database) == {"id": "BIGINT", "n": "BIGINT"}
    assert sql(database, "SELECT n, _bizon_rescued FROM items WHERE id = 2") == [(None, f'{{"n":{WIDE},"new":"x"}}')]


def test_strict_refuses_records_that_do_not_fit(database: Path) -> None:
    with pipeline(block(database, schema_mode="strict"), INCREMENTAL) as into:
        job = into.job()
        job.start()
        job.commit(0, page({"id": 1}))
        with pytest.raises(RowsRejectedError, match=r"record '2' does not fit its table in 'new'") as refused:
            job.write(1, page({"id": 3}, {"id": 2, "new": "x"}))
        assert list(refused.value.reasons) == [1]
        job.commit(1, page({"id": 3}))
        job.end()
    assert sql(database, "SELECT id FROM items ORDER BY id") == [(1,), (3,)]


def test_declared_columns_win_and_exist_before_the_first_record(database: Path) -> None:
    declared = [{"destination_id": "items", "record_schema": [{"name": "price", "type": "decimal(10, 2)"}]}]
    load(database, FULL_REFRESH, [], record_schemas=declared)
    assert columns(database) == {"price": "DECIMAL(10,2)"}
    load(database, FULL_REFRESH, page({"price": 1.5, "n": 1}), page({"price": 1.234}), record_schemas=declared)
    assert columns(database) == {"price": "DECIMAL(10,2)", "n": "BIGINT"}
    found = sql(database, "SELECT price, _bizon_rescued FROM items ORDER BY price NULLS LAST")
    assert found == [(Decimal("1.50"), None), (None, '{"price":1.234}')]


def test_objects_are_flattened_and_names_become_snake_case(database: Path) -> None:
    load(database, FULL_REFRESH, page({"OrderId": 1, "shipTo": {"zipCode": "1", "deep": {"a": 1}}}), flatten=1)
    assert columns(database) == {"OrderId": "BIGINT", "shipTo_zipCode": "VARCHAR", "shipTo_deep": "JSON"}
    other = {"flatten": 1, "naming": "snake_case", "destination_id": "snakes"}
    load(database, FULL_REFRESH, page({"OrderId": 1, "shipTo": {"zipCode": "1"}}), **other)
    assert columns(database, "snakes") == {"order_id": "BIGINT", "ship_to_zip_code": "VARCHAR"}


def test_in_sync_mode_stream_a_retyped_column_takes_values_that_fit(database: Path) -> None:
    with pipeline(block(database), STREAM) as into:
        job = into.job()
        job.start()
        job.commit(0, page({"id": 1, "n": 1}))
        sql(database, "ALTER TABLE items ALTER COLUMN n TYPE VARCHAR")
        job.commit(1, page({"id": 2, "n": 2}))
    assert sql(database, "SELECT n, _bizon_rescued FROM items ORDER BY id") == [("1", None), (None, '{"n":2}')]


def test_a_column_of_a_type_that_bizon_does_not_write_is_left_alone(database: Path) -> None:
    load(database, INCREMENTAL, page({"id": 1}))
    sql(database, "ALTER TABLE items ADD COLUMN theirs INTEGER DEFAULT 7")
    load(database, INCREMENTAL, page({"id": 2, "theirs": 5}))
    load(database, FULL_REFRESH, page({"id": 3, "theirs": 6}))
    assert sql(database, "SELECT id, theirs, _bizon_rescued FROM items") == [(3, 7, '{"theirs":6}')]


DEPENDENTS = {
    "view": ("CREATE VIEW seen AS SELECT id FROM items", "SELECT id FROM seen"),
    "index": ("CREATE INDEX by_id ON items (id)", "SELECT index_name FROM duckdb_indexes()"),
    "comment": ("COMMENT ON TABLE items IS 'ours'", "SELECT comment FROM duckdb_tables() WHERE table_name = 'items'"),
    "default": (
        "ALTER TABLE items ALTER COLUMN id SET DEFAULT 9",
        "SELECT column_default FROM duckdb_columns() WHERE table_name = 'items' AND column_name = 'id'",
    ),
}


@pytest.mark.parametrize(("create", "query"), DEPENDENTS.values(), ids=DEPENDENTS)
def test_a_full_refresh_keeps_what_depends_on_the_table(database: Path, create: str, query: str) -> None:
    load(database, FULL_REFRESH, page({"id": 1}))
    sql(database, create)
    before = sql(database, query)
    assert before
    load(database, FULL_REFRESH, page({"id": 1, "new": 2}))
    assert sql(database, query) == before
    assert sql(database, "SELECT id, new FROM items") == [(1, 2)]


def test_rows_that_are_gone_from_staging_are_not_published_unless_nothing_is_verified(database: Path) -> None:
    for verify, published in (("counts", False), ("none", True)):
        with pipeline(block(database, verify=verify), FULL_REFRESH) as into:
            job = into.job()
            job.start()
            job.commit(0, page({"id": 1}, {"id": 2}))
            query = "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'items_temp%'"
            sql(database, f"DELETE FROM {sql(database, query)[0][0]} WHERE id = 1")
            if not published:
                with pytest.raises(DestinationError, match="has 1 rows of them"):
                    job.publish()
            else:
                job.publish()
    assert sql(database, "SELECT id FROM items") == [(2,)]


@pytest.fixture
def six_columns(database: Path) -> Iterator[None]:
    load(database, FULL_REFRESH, page({"id": 1}), unnest=False)
    return


@pytest.mark.usefixtures("six_columns")
def test_a_table_with_other_columns_is_refused(database: Path) -> None:
    with pytest.raises(
        DestinationConnectionError, match="has no column _bizon_id: bizon did not create it, or `unnest`"
    ):
        load(database, FULL_REFRESH, page({"id": 1}))
    assert sql(database, "SELECT source_record_id FROM items") == [("1",)]


def test_the_tables_are_in_their_schema(database: Path) -> None:
    load(database, FULL_REFRESH, page({"id": 1}), schema='raw "data"')
    assert sql(database, 'SELECT id FROM "raw ""data""".items') == [(1,)]


def test_a_file_that_is_not_a_database_is_named(database: Path) -> None:
    database.write_bytes(b"no database" * 1000)
    with pytest.raises(DestinationConnectionError, match=r"items\.duckdb: .*not a valid DuckDB database"):
        load(database, FULL_REFRESH, page({"id": 1}))


def test_nothing_of_the_driver_needs_pyarrow() -> None:
    with pytest.raises(ImportError):
        __import__("pyarrow")
    assert duckdb.__version__


def test_a_look_creates_nothing(database: Path, tmp_path: Path) -> None:
    looked = block(tmp_path / "new" / "items.duckdb")
    with pipeline(looked, FULL_REFRESH) as into:
        destination = into.open("look")
        destination.only_looks = True
        assert destination.check_connection() is True
    assert list(tmp_path.iterdir()) == []
    load(database, FULL_REFRESH, page({"id": 1}))
    before = database.read_bytes()
    with pipeline(block(database, destination_id="other"), FULL_REFRESH) as into:
        destination = into.open("look")
        destination.only_looks = True
        assert destination.check_connection() is True
    assert database.read_bytes() == before


def test_a_look_names_a_file_that_is_not_a_database(database: Path) -> None:
    database.write_bytes(b"no database" * 1000)
    with pipeline(block(database), FULL_REFRESH) as into:
        destination = into.open("look")
        destination.only_looks = True
        with pytest.raises(DestinationConnectionError, match="not a valid DuckDB database"):
            destination.check_connection()
