"""``write_mode: merge`` into a DuckDB file."""

from pathlib import Path
from typing import Any

import pytest
from connectors.destinations.duckdb.kit import FULL_REFRESH, INCREMENTAL, MODES, block, page, pipeline, sql
from connectors.destinations.duckdb.kit import load as load_with

from bizon.common.errors.errors import DestinationError, RowsRejectedError
from bizon.source.config import SourceSyncModes


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "items.duckdb"


def load(database: Path, mode: SourceSyncModes, *pages: list[Any], **settings: Any) -> None:
    load_with(database, mode, *pages, write_mode="merge", **settings)


@pytest.mark.parametrize("mode", MODES)
def test_a_row_replaces_the_one_with_its_key_unless_that_is_newer(database: Path, mode: SourceSyncModes) -> None:
    settings = {"primary_key": ["id"], "version": "v"}
    load(database, mode, page({"id": 1, "v": 2, "t": "b"}, {"id": 2, "v": 1, "t": "x"}), **settings)
    late = page({"id": 1, "v": 3, "t": "c"}, {"id": 1, "v": 1, "t": "late"})
    load(database, mode, late, page({"id": 3, "v": None, "t": "y"}), **settings)
    rows = [(1, 3, "c"), (3, None, "y")] if mode is FULL_REFRESH else [(1, 3, "c"), (2, 1, "x"), (3, None, "y")]
    assert sql(database, "SELECT id, v, t FROM items ORDER BY id") == rows


@pytest.mark.parametrize("mode", MODES)
def test_without_a_key_the_id_of_the_record_counts_and_the_last_row_wins(database: Path, mode: SourceSyncModes) -> None:
    load(database, mode, page({"id": 1, "t": "a"}, {"id": 1, "t": "b"}), page({"id": 1, "t": "c"}, {"id": 2, "t": "d"}))
    assert sql(database, "SELECT id, t FROM items ORDER BY id") == [(1, "c"), (2, "d")]


@pytest.mark.parametrize("mode", MODES)
def test_rewriting_a_batch_changes_nothing(database: Path, mode: SourceSyncModes) -> None:
    with pipeline(block(database, write_mode="merge"), mode) as into:
        job = into.job()
        job.start()
        job.write(0, page({"id": 1, "t": "a"}))
        job.write(0, page({"id": 1, "t": "a"}))  # the answer was lost
        job.start()
        job.commit(0, page({"id": 1, "t": "a"}), page({"id": 1, "t": "b"}))
        job.end()
    assert sql(database, "SELECT id, t FROM items") == [(1, "b")]


@pytest.mark.parametrize("mode", MODES)
def test_a_row_without_its_key_is_refused(database: Path, mode: SourceSyncModes) -> None:
    with pipeline(block(database, write_mode="merge", primary_key=["a", "b"]), mode) as into:
        job = into.job()
        job.start()
        with pytest.raises(RowsRejectedError, match="record '1' has no value for 'b' of `primary_key`") as refused:
            job.write(0, page({"a": 1, "b": 1}, {"a": 1}, {"a": 2, "b": None}, {"b": 1}))
        assert sorted(refused.value.reasons) == [1, 2, 3]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("deletes", ["flag", "remove"])
def test_a_deleted_record_is_flagged_or_removed(database: Path, mode: SourceSyncModes, deletes: str) -> None:
    first = page({"id": 1, "t": "a"}, {"id": 2, "t": "b", "gone": False})
    load(database, mode, first, page({"id": 1, "gone": True}), deletes=deletes, deleted_field="gone")
    if deletes == "remove":
        assert sql(database, "SELECT id, t FROM items") == [(2, "b")]
    else:
        found = sql(database, "SELECT id, t, coalesce(_bizon_deleted, false) FROM items ORDER BY id")
        assert [row[::2] for row in found] == [(1, True), (2, False)]


def test_a_row_that_is_replaced_keeps_the_columns_of_others(database: Path) -> None:
    load(database, INCREMENTAL, page({"id": 1, "t": "a"}))
    sql(database, "ALTER TABLE items ADD COLUMN theirs INTEGER")
    sql(database, "UPDATE items SET theirs = 7")
    load(database, INCREMENTAL, page({"id": 1, "t": "b"}))
    assert sql(database, "SELECT t, theirs FROM items") == [("b", 7)]


@pytest.mark.parametrize("mode", MODES)
def test_a_key_that_cannot_be_compared_is_named(database: Path, mode: SourceSyncModes) -> None:
    with pytest.raises(DestinationError, match="column 'id' is json, and its values cannot be compared"):
        load(database, mode, page({"id": {"a": 1}}), primary_key=["id"])
