"""``write_mode: merge`` into a Postgres table."""

from typing import Any

import pytest
from connectors.destinations.postgres.kit import FULL_REFRESH, INCREMENTAL, MODES, STREAM, block, page, pipeline
from connectors.destinations.postgres.kit import load as load_with
from postgres import Place

from bizon.common.errors.errors import DestinationError, FinalizeError, RowsRejectedError
from bizon.source.config import SourceSyncModes

INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = %s AND tablename = 'items'"
STAGED = [FULL_REFRESH, INCREMENTAL]


def load(place: Place, mode: SourceSyncModes, *pages: list[Any], **more: Any) -> None:
    load_with(place, mode, *pages, write_mode="merge", **more)


def indexes(place: Place) -> list[str]:
    """The columns that each index of the table covers."""
    return [text.partition("USING btree ")[2] for (text,) in place.rows(INDEXES, place.schema)]


@pytest.mark.parametrize("mode", MODES)
def test_a_row_replaces_the_one_with_its_key_unless_that_is_newer(postgres: Place, mode: SourceSyncModes) -> None:
    more = {"primary_key": ["id"], "version": "v"}
    load(postgres, mode, page({"id": 1, "v": 2, "t": "b"}, {"id": 2, "v": 1, "t": "x"}), **more)
    late = page({"id": 1, "v": 3, "t": "c"}, {"id": 1, "v": 1, "t": "late"}, {"id": 2, "v": 0, "t": "late"})
    load(postgres, mode, late, page({"id": 3, "v": None, "t": "y"}), **more)
    second = (2, 0, "late") if mode is FULL_REFRESH else (2, 1, "x")
    assert postgres.rows("SELECT id, v, t FROM items ORDER BY id") == [(1, 3, "c"), second, (3, None, "y")]
    assert indexes(postgres) == ["(id)"]


@pytest.mark.parametrize("mode", MODES)
def test_without_a_key_the_id_of_the_record_counts_and_the_last_row_wins(
    postgres: Place, mode: SourceSyncModes
) -> None:
    twice = page({"id": 1, "t": "a"}, {"id": 1, "t": "b"})
    load(postgres, mode, twice, page({"id": 1, "t": "c"}, {"id": 2, "t": "d"}))
    assert postgres.rows("SELECT id, t FROM items ORDER BY id") == [(1, "c"), (2, "d")]
    assert indexes(postgres) == ["(_source_record_id)"]


@pytest.mark.parametrize("mode", MODES)
def test_rewriting_a_batch_changes_nothing(postgres: Place, mode: SourceSyncModes) -> None:
    with pipeline(block(postgres, write_mode="merge"), mode) as into:
        job = into.job()
        job.start()
        job.write(0, page({"id": 1, "t": "a"}))
        job.write(0, page({"id": 1, "t": "a"}))  # the answer was lost
        job.start()
        job.commit(0, page({"id": 1, "t": "a"}), page({"id": 1, "t": "b"}))
        job.end()
    assert postgres.rows("SELECT id, t FROM items") == [(1, "b")]


@pytest.mark.parametrize("mode", MODES)
def test_a_row_without_its_key_is_refused(postgres: Place, mode: SourceSyncModes) -> None:
    with pipeline(block(postgres, write_mode="merge", primary_key=["a", "b"]), mode) as into:
        job = into.job()
        job.start()
        with pytest.raises(RowsRejectedError, match="record '1' has no value for 'b' of `primary_key`") as refused:
            job.write(0, page({"a": 1, "b": 1}, {"a": 1}, {"a": 2, "b": None}, {"b": 1}))
        assert sorted(refused.value.reasons) == [1, 2, 3]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("deletes", ["flag", "remove"])
def test_a_deleted_record_is_flagged_or_removed(postgres: Place, mode: SourceSyncModes, deletes: str) -> None:
    first = page({"id": 1, "t": "a"}, {"id": 2, "t": "b", "gone": False})
    load(postgres, mode, first, page({"id": 1, "gone": True}), deletes=deletes, deleted_field="gone")
    if deletes == "remove":
        assert postgres.rows("SELECT id, t FROM items") == [(2, "b")]
    else:
        found = postgres.rows("SELECT id, t, _bizon_deleted FROM items ORDER BY id")
        assert found == [(1, "a", True), (2, "b", False)]


def test_a_row_that_is_replaced_keeps_the_columns_and_the_references_of_others(postgres: Place) -> None:
    load(postgres, INCREMENTAL, page({"id": 1, "t": "a"}), primary_key=["id"])
    postgres.rows("ALTER TABLE items ADD COLUMN theirs varchar(9)")
    postgres.rows("UPDATE items SET theirs = 'x'")
    postgres.rows("CREATE TABLE refers (id bigint REFERENCES items (id))")
    postgres.rows("INSERT INTO refers VALUES (1)")
    load(postgres, INCREMENTAL, page({"id": 1, "t": "b"}), primary_key=["id"])
    assert postgres.rows("SELECT t, theirs FROM items") == [("b", "x")]


@pytest.mark.parametrize("mode", MODES)
def test_a_key_that_cannot_be_compared_is_named(postgres: Place, mode: SourceSyncModes) -> None:
    with pytest.raises(DestinationError, match="column 'id' is json, and its values cannot be compared"):
        load(postgres, mode, page({"id": {"a": 1}}), primary_key=["id"])


def test_an_index_that_the_table_has_already_serves(postgres: Place) -> None:
    load_with(postgres, INCREMENTAL, page({"id": 1, "o": 1}))
    postgres.rows("CREATE UNIQUE INDEX ours ON items (o, id) INCLUDE (_bizon_id)")
    load(postgres, INCREMENTAL, page({"id": 1, "o": 1, "t": "new"}), primary_key=["id", "o"])
    assert indexes(postgres) == ["(o, id) INCLUDE (_bizon_id)"]
    assert postgres.rows("SELECT id, o, t FROM items") == [(1, 1, "new")]


@pytest.mark.parametrize("mode", [INCREMENTAL, STREAM])
def test_another_primary_key_gets_an_index_that_replaces_the_old_one(postgres: Place, mode: SourceSyncModes) -> None:
    load(postgres, mode, page({"id": 1, "o": 1}), primary_key=["id"])
    load(postgres, mode, page({"id": 1, "o": 2}), primary_key=["id", "o"])
    assert postgres.rows("SELECT id, o FROM items ORDER BY o") == [(1, 1), (1, 2)]
    assert indexes(postgres) == ["(id, o)"]


def test_a_table_that_has_a_key_twice_cannot_be_merged_and_is_left_as_it_is(postgres: Place) -> None:
    load_with(postgres, INCREMENTAL, page({"id": 1}, {"id": 1}))
    with pytest.raises(FinalizeError, match=r"could not create unique index .* Key \(id\)=\(1\) is duplicated"):
        load(postgres, INCREMENTAL, page({"id": 1, "t": "new"}), primary_key=["id"])
    assert postgres.rows("SELECT id FROM items") == [(1,), (1,)]
