"""Behaviours of a table whose rows are merged: a row replaces the row with its key unless that one is newer. Rule 8."""

from typing import TYPE_CHECKING, Any

from bizon.testing.destination_claims import FULL_REFRESH, INCREMENTAL, STREAM, every_mode, in_modes
from bizon.testing.table_claims import OpenTable, TableClaims, page

if TYPE_CHECKING:
    from bizon.destination.config import AbstractDestinationConfig
    from bizon.source.config import SourceSyncModes

MERGE: dict[str, Any] = {"write_mode": "merge", "primary_key": ["id"]}
VERSIONED: dict[str, Any] = {**MERGE, "version": "v"}
REMOVING: dict[str, Any] = {**VERSIONED, "deletes": "remove", "deleted_field": "gone"}


class TableMerges(TableClaims):
    """A part of ``TableConformance``: the claim ``merges``."""

    def by_key(self, config: "AbstractDestinationConfig", column: str = "n") -> list[tuple[str, Any]]:
        """Key and value of each row; both where a key has two rows."""
        found = [(str(row["id"]), row[column]) for row in self.rows(config)]
        return sorted(found, key=str)

    @every_mode("merges")
    def test_rule_8_a_row_replaces_the_row_with_its_key(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        pages = [page('{"id":1,"n":1}', '{"id":2,"n":1}'), page('{"id":2,"n":2}', '{"id":3,"n":2}', '{"id":3,"n":3}')]
        self.load(table(mode, **MERGE), *pages)
        assert self.by_key(config) == [("1", 1), ("2", 2), ("3", 3)]

    @in_modes((INCREMENTAL,), "merges")
    def test_rule_8_loading_the_same_again_changes_nothing(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        sent = page('{"id":1,"n":1,"v":1}', '{"id":2,"n":2,"v":2}', '{"id":1,"n":3,"v":3}')
        for _ in range(3):
            self.load(table(mode, **VERSIONED), sent)
            assert self.by_key(config) == [("1", 3), ("2", 2)]

    @every_mode("merges")
    def test_rule_8_a_row_that_comes_late_does_not_replace_a_newer_one(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        pages = [
            page('{"id":1,"n":"new","v":"2024-02-01T00:00:00Z"}', '{"id":1,"n":"old","v":"2024-01-01T00:00:00Z"}'),
            page('{"id":1,"n":"older","v":"2024-01-15T00:00:00Z"}', '{"id":1,"n":"none"}'),
        ]
        self.load(table(mode, **VERSIONED), *pages)
        assert self.by_key(config) == [("1", "new")]

    @in_modes((INCREMENTAL,), "merges")
    def test_rule_8_a_row_of_an_earlier_run_that_is_newer_stays(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        self.load(table(mode, **VERSIONED), page('{"id":1,"n":"new","v":9007199254740993}'))
        self.load(table(mode, **VERSIONED), page('{"id":1,"n":"old","v":9007199254740992}', '{"id":2,"n":"x","v":1}'))
        assert self.by_key(config) == [("1", "new"), ("2", "x")]

    @every_mode("merges")
    def test_rule_8_of_equal_versions_the_one_that_arrived_last_stays(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        pages = [page('{"id":1,"n":1,"v":5}'), page('{"id":1,"n":2,"v":5}', '{"id":1,"n":3,"v":5}')]
        self.load(table(mode, **VERSIONED), *pages)
        assert self.by_key(config) == [("1", 3)]

    @in_modes((INCREMENTAL,), "merges")
    def test_rule_8_a_record_without_its_key_is_refused(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        job = self.begin(table(mode, **MERGE))
        records = page('{"id":1,"n":1}', '{"id":null,"n":2}', '{"n":3}')
        assert self.refused(job, 0, records) == [1, 2]
        self.deliver(job, 0, records)
        job.end()
        assert self.by_key(config) == [("1", 1)]

    @in_modes((INCREMENTAL, STREAM), "merges")
    def test_rule_8_keys_that_a_column_cannot_tell_apart_are_refused(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        """Each of them is U+FFFD in the column, so one row would replace the others."""
        job = self.begin(table(mode, **MERGE))
        records = page(r'{"id":"\u0000","n":1}', '{"id":"\ufffd","n":2}', r'{"id":"\ud800","n":3}', '{"id":"x","n":4}')
        assert self.refused(job, 0, records) == [0, 2]
        self.deliver(job, 0, records)
        job.end()
        assert self.by_key(config) == [("x", 4), ("\ufffd", 2)]

    @in_modes((INCREMENTAL, STREAM), "merges")
    def test_rule_8_a_version_that_cannot_be_compared_is_refused(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        """Without its version, the record would count as the oldest one, and never reach the table."""
        job = self.begin(table(mode, **VERSIONED))
        self.deliver(job, 0, page('{"id":1,"n":1,"v":1}', prefix="x"))
        records = page('{"id":1,"n":2,"v":"soon"}', '{"id":2,"n":2}', '{"id":3,"n":3,"v":1e400}', prefix="y")
        assert self.refused(job, 1, records) == [0, 2]
        self.deliver(job, 1, records)
        job.end()
        assert self.by_key(config) == [("1", 1), ("2", 2)]

    @in_modes((INCREMENTAL,), "merges")
    def test_rule_8_without_a_key_the_id_of_the_record_is_it(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        for number in range(2):
            self.load(table(mode, write_mode="merge"), page(f'{{"n":{number}}}', '{"n":7}'))
        assert sorted(self.values(config, "n").items()) == [("0", 1), ("1", 7)]
        assert len(self.rows(config)) == 2

    @every_mode("merges")
    def test_rule_8_a_deleted_record_is_flagged_or_removed(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        pages = [
            page('{"id":1,"n":1,"v":1}', '{"id":2,"n":2,"v":1}', '{"id":3,"n":3,"v":5}'),
            page('{"id":1,"n":1,"v":2,"gone":true}', '{"id":3,"n":3,"v":4,"gone":true}', '{"id":4,"v":1,"gone":true}'),
        ]
        self.load(table(mode, **REMOVING), *pages)
        assert [key for key, _ in self.by_key(config)] == ["2", "3"], "3 was changed after it was deleted"

    @every_mode("merges")
    def test_rule_8_a_late_row_does_not_bring_a_removed_one_back(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        job = self.begin(table(mode, **REMOVING))
        first = page('{"id":1,"n":1,"v":1}', '{"id":2,"n":1,"v":1}', '{"id":3,"n":1,"v":1}')
        gone = page('{"id":1,"v":5,"gone":true}', '{"id":2,"gone":true}', '{"id":3,"v":5,"gone":true}')
        late = page('{"id":1,"n":4,"v":4}', '{"id":2,"n":0,"v":0}', '{"id":3,"n":6,"v":6}')
        for number, records in enumerate((first, gone, late)):
            self.deliver(job, number, records)
        job.end()
        assert self.by_key(config) == [("3", 6)]

    @in_modes((INCREMENTAL,), "merges")
    def test_rule_8_only_a_newer_row_of_a_later_run_brings_a_removed_one_back(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        self.load(table(mode, **REMOVING), page('{"id":1,"n":1,"v":1}', '{"id":2,"n":1,"v":1}'))
        self.load(table(mode, **REMOVING), page('{"id":1,"v":5,"gone":true}'))
        self.load(table(mode, **REMOVING), page('{"id":1,"n":4,"v":4}', '{"id":2,"n":2,"v":12345678901234567890}'))
        assert [key for key, _ in self.by_key(config)] == ["2"], "of another type, the version is compared all the same"
        self.load(table(mode, **REMOVING), page('{"id":1,"n":4,"v":4}'))
        assert [key for key, _ in self.by_key(config)] == ["2"]
        self.load(table(mode, **REMOVING), page('{"id":1,"n":6,"v":6}'))
        assert self.by_key(config) == [("1", 6), ("2", 2)]

    @in_modes((INCREMENTAL,), "merges")
    def test_rule_8_a_full_refresh_brings_a_removed_row_back(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        self.load(table(mode, **REMOVING), page('{"id":1,"v":5,"gone":true}', '{"id":2,"n":2,"v":1}'))
        self.load(table(FULL_REFRESH, **REMOVING), page('{"id":1,"n":4,"v":4}'))
        assert self.by_key(config) == [("1", 4)]

    @in_modes((INCREMENTAL,), "merges")
    def test_rule_8_a_deleted_record_may_stay_with_a_flag(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        flags = {**VERSIONED, "deletes": "flag", "deleted_field": "gone"}
        self.load(table(mode, **flags), page('{"id":1,"v":1}', '{"id":2,"v":1}'))
        self.load(table(mode, **flags), page('{"id":1,"v":2,"gone":"yes"}'))
        assert self.by_key(config, "_bizon_deleted") == [("1", True), ("2", False)]

    @every_mode("merges")
    def test_rule_8_rows_without_a_checkpoint_are_merged_again(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        job = self.begin(table(mode, **VERSIONED))
        self.deliver(job, 0, page('{"id":1,"n":1,"v":1}'))
        job.write(1, page('{"id":1,"n":2,"v":2,"new":1}', '{"id":2,"n":2,"v":2}'))
        job = self.restarted(job)
        self.deliver(job, 1, page('{"id":1,"n":2,"v":2,"new":1}', '{"id":2,"n":2,"v":2}'))
        job.end()
        assert self.by_key(config) == [("1", 2), ("2", 2)]
