"""Cases of typed tables and merges that each engine has to pass, next to the rules in ``bizon.testing.tables``. A test
class of an engine inherits them, and has the fixture ``target``."""

from typing import Any

import pytest
from connectors.destinations.table_kit import FULL_REFRESH, INCREMENTAL, MODES, STREAM, Target, page

from bizon.common.errors.errors import DestinationConnectionError, DestinationError, FinalizeError, RowsRejectedError
from bizon.source.config import SourceSyncModes

WIDE = 123456789012345678901234567890
RETYPED = "column 'n' of table 'items' has another type than when the run began"
MERGED: dict[str, Any] = {"write_mode": "merge"}


@pytest.mark.matrix(share=4, pool="cases of tables")
class TableCases:
    """Somebody else changes the tables of a run, or writes next to it."""

    @pytest.mark.parametrize("mode", MODES)
    def test_a_column_dropped_during_the_run_is_recreated(self, target: Target, mode: SourceSyncModes) -> None:
        target.load(INCREMENTAL, page({"id": 0, "n": 0}))
        before = target.columns()
        with target.pipeline(mode) as into:
            into.has_history = True
            job = into.job()
            job.start()
            job.commit(0, page({"id": 1, "n": 1}))
            target.rows("ALTER TABLE items DROP COLUMN n")
            job.commit(1, page({"id": 2, "n": 2}))
            job.end()
        assert target.columns() == before
        assert target.rows("SELECT n FROM items WHERE id = 2") == [(2,)]

    @pytest.mark.parametrize("mode", [FULL_REFRESH, INCREMENTAL])
    def test_staged_rows_are_not_published_into_a_column_that_was_retyped(
        self, target: Target, mode: SourceSyncModes
    ) -> None:
        target.load(INCREMENTAL, page({"id": 0, "n": 0}))
        with target.pipeline(mode) as into:
            into.has_history = True
            job = into.job()
            job.start()
            job.commit(0, page({"id": 1, "n": 1}))
            target.rows("ALTER TABLE items ALTER COLUMN n TYPE VARCHAR")
            with pytest.raises(FinalizeError, match=RETYPED):
                job.publish()
            assert target.rows("SELECT n FROM items") == [("0",)]
            target.rows("ALTER TABLE items ALTER COLUMN n TYPE BIGINT USING n::BIGINT")
            job.start()
            job.publish()
        assert (1,) in target.rows("SELECT n FROM items")

    @pytest.mark.matrix(share=6)
    @pytest.mark.parametrize("mode", MODES)
    def test_a_table_dropped_during_the_run_is_created_again_by_the_next_start(
        self, target: Target, mode: SourceSyncModes
    ) -> None:
        target.load(INCREMENTAL, page({"id": 0}))
        with target.pipeline(mode) as into:
            into.has_history = True
            job = into.job()
            job.start()
            job.commit(0, page({"id": 1}))
            target.rows("DROP TABLE items")
            with pytest.raises(DestinationError, match=r"(?i)\bitems\b.* does not exist"):
                job.commit(1, page({"id": 2})) if mode is STREAM else job.publish()
            job.start()
            job.commit(1, page({"id": 2}))
            job.end()
        assert target.rows("SELECT id FROM items ORDER BY id") == ([(2,)] if mode is STREAM else [(1,), (2,)])

    @pytest.mark.parametrize("settings", [{}, {**MERGED, "primary_key": ["id"]}], ids=["append", "merge"])
    def test_a_full_refresh_keeps_columns_that_no_record_has_now(
        self, target: Target, settings: dict[str, Any]
    ) -> None:
        target.load(FULL_REFRESH, page({"id": 1, "old": "x"}), **settings)
        target.load(FULL_REFRESH, page({"id": 2}), **settings)
        assert target.rows("SELECT id, old FROM items") == [(2, None)]
        assert sorted(target.tables()) == ["_bizon_outputs", "items"]

    def test_values_that_change_in_staging_are_not_published(self, target: Target) -> None:
        hard = {"t": "2024-01-01T00:00:00.000001Z", "d": "0001-01-01", "f": 0.1, "x": 'q"\n\\', "j": {"a": 1.10}}
        with target.pipeline(FULL_REFRESH, verify="values") as into:
            job = into.job()
            job.start()
            job.commit(0, page({"id": 1, "n": 1, "e": "", "b": True, **hard}), page({"id": 2, "n": 2.5}))
            job.commit(2, page({"id": 3, "n": WIDE}))  # the column widens, which changes no value
            (staging,) = (name for name in target.tables() if name.startswith("items_"))
            target.rows(f"UPDATE {staging} SET id = 9 WHERE id = 1")
            with pytest.raises(DestinationError, match=r"pages 0-1 .* has other values in them"):
                job.publish()
            target.rows(f"UPDATE {staging} SET id = 1 WHERE id = 9")
            job.publish()
        assert target.rows("SELECT id FROM items ORDER BY id") == [(1,), (2,), (3,)]

    @pytest.mark.parametrize(
        ("columns", "why"), [("id BIGINT", "has no column _bizon_id"), ("_bizon_id VARCHAR", "no run of bizon wrote")]
    )
    def test_a_row_that_names_a_table_which_bizon_did_not_write_is_refused_alone(
        self, target: Target, columns: str, why: str
    ) -> None:
        with target.pipeline(STREAM) as into:
            job = into.job()
            job.start()
            target.rows(f"CREATE TABLE theirs ({columns})")
            target.rows("INSERT INTO theirs VALUES (1)")
            with pytest.raises(RowsRejectedError, match=why) as refused:
                job.write(0, page({"id": 1}, {"id": 2}), table="theirs")
            assert set(refused.value.reasons) == {0, 1}
            job.commit(0, page({"id": 3}))
        assert target.rows("SELECT id FROM items") == [(3,)]
        assert target.rows("SELECT count(*) FROM theirs") == [(1,)]

    def test_a_row_that_names_the_table_of_another_pipeline_is_refused_alone(self, target: Target) -> None:
        with target.pipeline(STREAM, "first", destination_id="theirs") as theirs, target.pipeline(STREAM) as into:
            theirs.load(page({"id": 1}))
            job = into.job()
            job.start()
            with pytest.raises(RowsRejectedError, match="table 'theirs' belongs to "):
                job.write(0, page({"id": 2, "more": 2}), table="theirs")
            job.commit(0, page({"id": 3}))
        assert target.rows("SELECT id FROM items") == [(3,)]
        assert target.rows("SELECT id FROM theirs") == [(1,)]
        assert list(target.columns("theirs")) == ["id"]

    def test_two_pipelines_into_one_schema_keep_to_their_tables(self, target: Target) -> None:
        first = target.pipeline(INCREMENTAL, "first", destination_id="one")
        second = target.pipeline(INCREMENTAL, "second", destination_id="two")
        with first as one, second as two:
            job, other = one.job(), two.job()
            job.start()
            other.start()
            job.commit(0, page({"id": 1}))
            other.commit(0, page({"id": 2}))
            other.end()
            job.end()
        assert target.rows("SELECT one.id, two.id FROM one, two") == [(1, 2)]
        with (
            target.pipeline(INCREMENTAL, "first", destination_id="two") as thief,
            pytest.raises(DestinationConnectionError, match="belongs to pipeline 'second'"),
        ):
            thief.load(page({"id": 3}))
        assert target.rows("SELECT id FROM two") == [(2,)]


@pytest.mark.matrix(share=4, pool="cases of tables")
class MergeCases:
    """``write_mode: merge``."""

    @pytest.mark.parametrize("mode", MODES)
    def test_a_row_replaces_the_one_with_its_key_unless_that_is_newer(
        self, target: Target, mode: SourceSyncModes
    ) -> None:
        settings = {**MERGED, "primary_key": ["id"], "version": "v"}
        target.load(mode, page({"id": 1, "v": 2, "t": "b"}, {"id": 2, "v": 1, "t": "x"}), **settings)
        late = page({"id": 1, "v": 3, "t": "c"}, {"id": 1, "v": 1, "t": "late"}, {"id": 2, "v": 0, "t": "late"})
        target.load(mode, late, page({"id": 3, "v": None, "t": "y"}), **settings)
        second = (2, 0, "late") if mode is FULL_REFRESH else (2, 1, "x")
        assert target.rows("SELECT id, v, t FROM items ORDER BY id") == [(1, 3, "c"), second, (3, None, "y")]

    @pytest.mark.parametrize("mode", MODES)
    def test_without_a_key_the_id_of_the_record_counts_and_the_last_row_wins(
        self, target: Target, mode: SourceSyncModes
    ) -> None:
        twice = page({"id": 1, "t": "a"}, {"id": 1, "t": "b"})
        target.load(mode, twice, page({"id": 1, "t": "c"}, {"id": 2, "t": "d"}), **MERGED)
        assert target.rows("SELECT id, t FROM items ORDER BY id") == [(1, "c"), (2, "d")]

    @pytest.mark.parametrize("mode", MODES)
    def test_rewriting_a_batch_changes_nothing(self, target: Target, mode: SourceSyncModes) -> None:
        with target.pipeline(mode, **MERGED) as into:
            job = into.job()
            job.start()
            job.write(0, page({"id": 1, "t": "a"}))
            job.write(0, page({"id": 1, "t": "a"}))  # the answer was lost
            job.start()
            job.commit(0, page({"id": 1, "t": "a"}), page({"id": 1, "t": "b"}))
            job.end()
        assert target.rows("SELECT id, t FROM items") == [(1, "b")]

    @pytest.mark.parametrize("mode", MODES)
    def test_a_row_without_its_key_is_refused(self, target: Target, mode: SourceSyncModes) -> None:
        with target.pipeline(mode, **MERGED, primary_key=["a", "b"]) as into:
            job = into.job()
            job.start()
            with pytest.raises(RowsRejectedError, match="record '1' has no value for 'b' of `primary_key`") as refused:
                job.write(0, page({"a": 1, "b": 1}, {"a": 1}, {"a": 2, "b": None}, {"b": 1}))
            assert sorted(refused.value.reasons) == [1, 2, 3]

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("deletes", ["flag", "remove"])
    def test_a_deleted_record_is_flagged_or_removed(self, target: Target, mode: SourceSyncModes, deletes: str) -> None:
        first = page({"id": 1, "t": "a"}, {"id": 2, "t": "b", "gone": False})
        target.load(mode, first, page({"id": 1, "gone": True}), **MERGED, deletes=deletes, deleted_field="gone")
        if deletes == "remove":
            assert target.rows("SELECT id, t FROM items") == [(2, "b")]
        else:
            found = target.rows("SELECT id, t, _bizon_deleted FROM items ORDER BY id")
            assert found == [(1, "a", True), (2, "b", False)]

    @pytest.mark.parametrize("mode", MODES)
    def test_a_key_that_cannot_be_compared_is_named(self, target: Target, mode: SourceSyncModes) -> None:
        with pytest.raises(DestinationError, match="column 'id' is json, and its values cannot be compared"):
            target.load(mode, page({"id": {"a": 1}}), **MERGED, primary_key=["id"])

    def test_rows_that_were_flagged_may_be_removed_from_now_on(self, target: Target) -> None:
        settings = {**MERGED, "primary_key": ["id"], "version": "v", "deleted_field": "gone"}
        rows = page({"id": 1, "v": 1}, {"id": 2, "v": 1})
        target.load(INCREMENTAL, rows, page({"id": 1, "v": 2, "gone": True}), **settings, deletes="flag")
        target.load(INCREMENTAL, page({"id": 2, "v": 2, "gone": True}), **settings, deletes="remove")
        target.load(INCREMENTAL, page({"id": 2, "v": 1}), **settings, deletes="remove")
        assert target.rows("SELECT id, _bizon_deleted FROM items") == [(1, True)]
        (grave,) = (name for name in target.tables() if name.startswith("items_removed_"))
        assert target.rows(f"SELECT id, v FROM {grave}") == [(2, 2)]

    def test_a_full_refresh_that_merges_keeps_a_view_on_the_table(self, target: Target) -> None:
        target.load(FULL_REFRESH, page({"id": 1, "t": "a"}), **MERGED, primary_key=["id"])
        target.rows("CREATE VIEW seen AS SELECT id, t FROM items")
        twice = page({"id": 2, "t": "b"}, {"id": 2, "t": "c"})
        target.load(FULL_REFRESH, twice, **MERGED, primary_key=["id"])
        assert target.rows("SELECT id, t FROM seen") == [(2, "c")]

    @pytest.mark.matrix(share=4)
    @pytest.mark.parametrize("mode", [INCREMENTAL, STREAM])
    def test_a_key_column_dropped_during_the_run_is_recreated_and_rows_are_merged_by_it(
        self, target: Target, mode: SourceSyncModes
    ) -> None:
        settings = {**MERGED, "primary_key": ["id"], "version": "v"}
        target.load(mode, page({"id": 1, "v": 1}), **settings)
        with target.pipeline(mode, **settings) as into:
            into.has_history = True
            job = into.job()
            job.start()
            job.commit(0, page({"id": 2, "v": 2}))
            target.rows("ALTER TABLE items DROP COLUMN id")
            job.commit(1, page({"id": 3, "v": 3}, {"id": 3, "v": 2}), page({"id": 2, "v": 1}))
            job.end()
        found = target.rows("SELECT id, v FROM items ORDER BY v, id NULLS FIRST")
        lost = [(None, 1), (2, 1), (None, 2)] if mode is STREAM else [(None, 1), (2, 2)]
        assert found == [*lost, (3, 3)], "rows that have lost their key are met by no other"

    def test_in_sync_mode_stream_a_key_column_that_was_retyped_refuses_what_it_does_not_hold(
        self, target: Target
    ) -> None:
        with target.pipeline(STREAM, **MERGED, primary_key=["id"]) as into:
            job = into.job()
            job.start()
            job.commit(0, page({"id": 1, "n": 1}))
            target.rows("ALTER TABLE items ALTER COLUMN id TYPE VARCHAR")
            with pytest.raises(
                RowsRejectedError, match="has a value for 'id' of `primary_key` that its column does not"
            ):
                job.write(1, page({"id": 1, "n": 2}))
        assert target.rows("SELECT id, n FROM items") == [("1", 1)]

    def test_a_table_that_was_recreated_knows_of_no_removed_row(self, target: Target) -> None:
        settings = {**MERGED, "primary_key": ["id"], "version": "v", "deletes": "remove", "deleted_field": "gone"}
        target.load(INCREMENTAL, page({"id": 1, "v": 2, "gone": True}), **settings)
        target.rows("DROP TABLE items")
        target.load(INCREMENTAL, page({"id": 1, "v": 1}), **settings)
        assert target.rows("SELECT id, v FROM items") == [(1, 1)]
