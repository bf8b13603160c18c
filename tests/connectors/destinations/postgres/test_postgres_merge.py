"""``write_mode: merge`` into a Postgres table."""

from typing import Any

import pytest
from connectors.destinations.postgres.kit import PostgresTarget
from connectors.destinations.postgres.kit import load as load_with
from connectors.destinations.table_cases import MergeCases
from connectors.destinations.table_kit import FULL_REFRESH, INCREMENTAL, MODES, STREAM, page
from postgres import Place

from bizon.common.errors.errors import FinalizeError
from bizon.source.config import SourceSyncModes

INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = %s AND tablename = 'items'"
STAGED = [FULL_REFRESH, INCREMENTAL]


def load(place: Place, mode: SourceSyncModes, *pages: list[Any], **more: Any) -> None:
    load_with(place, mode, *pages, write_mode="merge", **more)


def indexes(place: Place) -> list[str]:
    """The columns that each index of the table covers."""
    return [text.partition("USING btree ")[2] for (text,) in place.rows(INDEXES, place.schema)]


class TestMerge(MergeCases):
    @pytest.fixture
    def target(self, postgres: Place) -> PostgresTarget:
        return PostgresTarget(postgres)


@pytest.mark.parametrize("mode", MODES)
def test_the_key_gets_an_index(postgres: Place, mode: SourceSyncModes) -> None:
    load(postgres, mode, page({"id": 1}))
    assert indexes(postgres) == ["(_source_record_id)"]


def test_a_row_that_is_replaced_keeps_the_columns_and_the_references_of_others(postgres: Place) -> None:
    load(postgres, INCREMENTAL, page({"id": 1, "t": "a"}), primary_key=["id"])
    postgres.rows("ALTER TABLE items ADD COLUMN theirs varchar(9)")
    postgres.rows("UPDATE items SET theirs = 'x'")
    postgres.rows("CREATE TABLE refers (id bigint REFERENCES items (id))")
    postgres.rows("INSERT INTO refers VALUES (1)")
    load(postgres, INCREMENTAL, page({"id": 1, "t": "b"}), primary_key=["id"])
    assert postgres.rows("SELECT t, theirs FROM items") == [("b", "x")]


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
