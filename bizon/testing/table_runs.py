"""Behaviours of typed tables over the starts of a job: publication, kills, and staging that somebody changed. Rules 9
to 11."""

from typing import TYPE_CHECKING

import pytest

from bizon.testing.destination_claims import (
    FULL_REFRESH,
    INCREMENTAL,
    STREAM,
    claimed_by,
    every_mode,
    exactly_once,
    in_modes,
    staged,
)
from bizon.testing.destination_late import FrozenStart, late_start
from bizon.testing.interruptions import Calls, DiedError, leaving_things_open, spread, watching
from bizon.testing.table_claims import OpenTable, TableClaims, page

if TYPE_CHECKING:
    from bizon.destination.config import AbstractDestinationConfig
    from bizon.source.config import SourceSyncModes
    from bizon.testing.destination_jobs import Job, Pipeline, RawPage

_MOST_KILLS = 20  # of one job, spread over its calls
_TEXTS = [['{"a":1}'], ['{"a":18446744073709551616,"b":"x"}', '{"a":2,"B":1}'], ['{"a":3,"c":{"d":[1.10]}}']]
"""Each page adds a column, the second one widens one."""
_PAGES = [page(*texts, prefix=prefix) for texts, prefix in zip(_TEXTS, "pqr", strict=True)]
_TYPES = {"a": "decimal(38, 0)", "b": "text", "c": "json"}


class TableRuns(TableClaims):
    """A part of ``TableConformance``."""

    def delivered(self, into: "Pipeline") -> "Job":
        """A job that has delivered all pages."""
        job = self.begin(into)
        for number, records in enumerate(_PAGES):
            self.deliver(job, number, records)
        return job

    @staged()
    def test_rule_9_new_columns_are_seen_with_their_rows(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        old = page('{"a":0}', prefix="old")
        self.load(table(mode), old)
        job = self.delivered(table(mode))
        self.expect_kept(config, old)
        job.publish()
        self.expect_columns(config, _TYPES)
        self.expect_kept(config, *([old] if mode is INCREMENTAL else []), *_PAGES)

    @staged()
    def test_rule_9_a_job_without_records_keeps_the_columns(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        first, last = page('{"a":1,"b":{"c":1}}', prefix="x"), page('{"b":"text"}', prefix="y")
        self.load(table(mode), first)
        self.load(table(mode))
        self.load(table(mode), last)
        assert self.columns(config) == {"a": "int64", "b": "json"}
        self.expect_kept(config, *([first] if mode is INCREMENTAL else []), last)

    @in_modes((FULL_REFRESH, INCREMENTAL), "has_views")
    def test_rule_9_a_view_on_the_table_stays(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        self.load(table(mode), page('{"a":1}', prefix="x"))
        look = self.view(config)
        self.load(table(mode), page('{"a":2,"b":1}', prefix="y"))
        assert sorted(look()) == (["y0"] if mode is FULL_REFRESH else ["x0", "y0"])
        assert self.columns(config) == {"a": "int64", "b": "int64"}

    @every_mode()
    def test_rule_10_a_job_goes_on_in_the_middle_of_a_growing_schema(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        job = self.begin(table(mode))
        for number, records in enumerate(_PAGES):
            self.deliver(job, number, records)
            job = self.restarted(job)
        job.end()
        self.expect_columns(config, _TYPES)
        self.expect_kept(config, *_PAGES)

    @exactly_once
    @every_mode()
    def test_rule_10_rows_without_a_checkpoint_go_though_they_added_columns(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        job = self.begin(table(mode))
        self.deliver(job, 0, _PAGES[0])
        job.write(1, page('{"a":"text","torn":1}', prefix="torn"))
        job = self.restarted(job)
        self.deliver(job, 1, _PAGES[1])
        job.write(2, page('{"c":true}', prefix="torn, too"))
        job.write(2, _PAGES[2])  # the answer to the first was lost
        job.record(2, len(_PAGES[2]))
        job.end()
        self.expect_kept(config, *_PAGES)

    @exactly_once
    @every_mode()
    def test_rule_10_a_batch_that_comes_again_with_other_bounds_counts_once(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        job = self.begin(table(mode))
        job.write(0, _PAGES[0])
        job = self.restarted(job)
        job.commit(0, _PAGES[0], _PAGES[1])
        job.write(2, _PAGES[2])
        job = self.restarted(job)
        job.commit(2, _PAGES[2])
        job.end()
        self.expect_columns(config, _TYPES)
        self.expect_kept(config, *_PAGES)

    @staged()
    def test_rule_10_publishing_again_changes_nothing(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        old = page('{"a":0}', prefix="old")
        self.load(table(mode), old)
        job = self.delivered(table(mode))
        for _ in range(3):
            job.publish()
            job = self.restarted(job)
        job.publish()
        self.expect_columns(config, _TYPES)
        self.expect_kept(config, *([old] if mode is INCREMENTAL else []), *_PAGES)

    @staged()
    def test_rule_10_a_start_that_was_frozen_adds_no_row_and_takes_no_column(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        job = table(mode).job()
        late = late_start(job)
        job.start()
        self.deliver(job, 0, _PAGES[0])
        frozen = FrozenStart(job)
        late()
        job.start()
        self.deliver(job, 1, _PAGES[1])
        frozen.write(2, page('{"a":"text","frozen":1}', prefix="frozen"))
        frozen.publish()
        self.deliver(job, 2, _PAGES[2])
        job.end()
        self.expect_columns(config, _TYPES)
        self.expect_kept(config, *_PAGES)

    @exactly_once
    @every_mode("client")
    def test_rule_10_a_kill_while_columns_are_added_loses_and_doubles_nothing(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        into, there = table(mode), []
        with watching(Calls(self.client)) as whole:
            self._deliver_all(into.job(), "first")
        there = [_prefixed("first")]
        with leaving_things_open():
            for number in spread(whole.seen, self.most_interruptions or _MOST_KILLS):
                job, calls = into.job(), Calls(self.client, number)
                try:
                    with watching(calls):
                        self._deliver_all(job, str(number))
                except DiedError:
                    job.bury()
                    self._deliver_all(job, str(number))
                there = [_prefixed(str(number))] if mode is FULL_REFRESH else [*there, _prefixed(str(number))]
                where = f"after call {number} of a job, {calls.name}"
                wanted = sorted(id_ for pages in there for each in pages for id_, _ in each)
                assert self.ids(config) == wanted, where
        self.expect_kept(config, *(each for pages in there for each in pages))

    @in_modes((INCREMENTAL, STREAM), "alters")
    def test_rule_10_a_column_that_somebody_drops_or_changes_loses_no_value(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        self.load(table(mode), page('{"a":1,"b":1}', prefix="x"))
        job = self.begin(table(mode))
        self.deliver(job, 0, page('{"a":2,"b":2}', prefix="y"))
        if mode is INCREMENTAL:
            job.end()
        self.alter(config, "text", "a")
        self.alter(config, "dropped", "b")
        if mode is INCREMENTAL:
            job = self.begin(table(mode))
        after = page('{"a":3,"b":3}', '{"a":"x"}', prefix="z")
        self.deliver(job, 1 if mode is STREAM else 0, after)
        job.end()
        found = {str(row["_source_record_id"]): row for row in self.rows(config)}
        assert sorted(found) == ["x0", "y0", "z0", "z1"]
        assert found["z0"]["b"] == 3
        assert found["z1"]["a"] == "x"
        assert self.rescued(config) == {"z0": {"a": 3}}, "a number is not text"

    @claimed_by("damages")
    @pytest.mark.parametrize("how", ["removed", "changed"])
    @pytest.mark.parametrize("mode", [FULL_REFRESH, INCREMENTAL])
    def test_rule_11_staging_that_somebody_changed_is_not_published(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes", how: str
    ) -> None:
        old, settings = page('{"a":0}', prefix="old"), {"verify": "values"} if self._has_verify(config) else {}
        self.load(table(mode, **settings), old)
        job = self.delivered(table(mode, **settings))
        self.damage(config, how)
        self.expect_unpublished(job, "2-2")
        self.expect_kept(config, old)

    def _has_verify(self, config: "AbstractDestinationConfig") -> bool:
        return "verify" in type(config.config).model_fields

    def _deliver_all(self, job: "Job", prefix: str) -> None:
        """A start that writes the pages without a checkpoint, a batch each, and publishes."""
        job.start()
        pages = _prefixed(prefix)
        for number in range(job.resume_point().next_iteration, len(pages)):
            job.commit(number, pages[number])
        job.end()


def _prefixed(prefix: str) -> list["RawPage"]:
    return [page(*texts, prefix=f"{prefix}-{number}.") for number, texts in enumerate(_TEXTS)]
