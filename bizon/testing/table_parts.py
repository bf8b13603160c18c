"""Behaviours of typed tables whose rows are staged in parts: the parts agree on their columns."""

from typing import TYPE_CHECKING

from bizon.testing.destination_claims import FULL_REFRESH, INCREMENTAL, in_modes, staged
from bizon.testing.destination_late import FrozenStart
from bizon.testing.joined_jobs import JoinedJob
from bizon.testing.table_claims import OpenTable, page
from bizon.testing.table_merges import MERGE, REMOVING, VERSIONED, TableMerges

if TYPE_CHECKING:
    from bizon.destination.config import AbstractDestinationConfig
    from bizon.source.config import SourceSyncModes
    from bizon.testing.destination_jobs import Pipeline


class TableParts(TableMerges):
    """A part of ``TableConformance``: the claim ``takes_parts``."""

    def joined(self, into: "Pipeline", parts: int = 2) -> JoinedJob:
        """A job with a worker for each part, which all have seen the table before any of them writes."""
        job = JoinedJob(into, parts)
        for part in job.parts:
            part.start()
        return job

    @staged("takes_parts")
    def test_a_column_that_only_one_part_has_is_published(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        old = page('{"o":true}', prefix="old")
        self.load(table(mode), old)
        job, sent = self.joined(table(mode), 3), []
        for number, text in enumerate(['{"a":1}', '{"b":"x"}', '{"a":2,"c":[1]}']):
            sent.append(self.deliver(job.parts[number], 0, page(text, prefix=f"{number}.")))
        self.expect_kept(config, old)
        job.finish()
        self.expect_columns(config, {"o": "boolean", "a": "int64", "b": "text", "c": "json"})
        self.expect_kept(config, *([old] if mode is INCREMENTAL else []), *sent)

    @staged("takes_parts")
    def test_a_column_that_one_part_widens_is_wide_for_all(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        first, second = (job := self.joined(table(mode))).parts
        sent = [
            self.deliver(first, 0, page('{"a":1}', prefix="p")),
            self.deliver(second, 0, page('{"a":18446744073709551616}', prefix="q")),
            self.deliver(first, 1, page('{"a":2}', prefix="r")),
        ]
        job.finish()
        self.expect_columns(config, {"a": "decimal(38, 0)"})
        self.expect_kept(config, *sent)

    @staged("takes_parts")
    def test_parts_whose_values_have_different_types_lose_none(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        texts = ['{"a":1,"b":{"c":1}}', '{"a":"text","b":1.5}', '{"a":true,"b":"2024-01-01"}']
        job, sent = self.joined(table(mode), len(texts)), []
        for number, text in enumerate(texts):
            sent.append(self.deliver(job.parts[number], 0, page(text, prefix=f"{number}.")))
            sent.append(self.deliver(job.parts[number], 1, page('{"a":7,"d":"x"}', prefix=f"{number}+")))
        job.finish()
        self.expect_columns(config, {"a": "int64", "b": "json", "d": "text"})
        self.expect_kept(config, *sent)

    @in_modes((FULL_REFRESH,), "takes_parts")
    def test_a_part_that_begins_again_keeps_the_columns_that_the_parts_have_agreed_on(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        first, second = (job := self.joined(table(mode))).parts
        sent = [self.deliver(first, 0, page('{"a":1}', prefix="p"))]
        first.write(1, page('{"a":1.5,"torn":"x"}', prefix="torn"))
        frozen = FrozenStart(first)
        first.start()
        sent.append(self.deliver(second, 0, page('{"a":2,"b":1}', prefix="q")))
        second.start()
        frozen.write(1, page('{"frozen":1}', prefix="frozen"))
        sent.append(self.deliver(first, 1, page('{"a":3,"b":18446744073709551616}', prefix="r")))
        sent.append(self.deliver(second, 1, page('{"b":4}', prefix="s")))
        job.finish()
        self.expect_kept(config, *sent)
        assert {"a", "b"} <= set(self.columns(config)) <= {"a", "b", "torn"}

    @staged("takes_parts", "merges")
    def test_rule_8_of_the_rows_of_all_parts_with_one_key_the_newest_stays(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        self.load(table(mode, **VERSIONED), page('{"id":1,"n":"old","v":1}', '{"id":4,"n":"kept","v":9}'))
        first, second = (job := self.joined(table(mode, **VERSIONED))).parts
        self.deliver(second, 0, page('{"id":1,"n":"older","v":2}', '{"id":3,"n":"x","v":1}', prefix="q"))
        self.deliver(first, 0, page('{"id":1,"n":"new","v":3}', '{"id":2,"n":"x","v":1}', prefix="p"))
        job.finish()
        found = sorted((str(row["id"]), row["n"]) for row in self.rows(config))
        left = [("4", "kept")] if mode is INCREMENTAL else []
        assert found == [("1", "new"), ("2", "x"), ("3", "x"), *left]

    @in_modes((FULL_REFRESH,), "takes_parts", "merges")
    def test_rule_8_without_a_version_the_row_of_the_last_part_stays_and_a_deleted_key_stays_out(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        for settings, texts, wanted in (
            (MERGE, ['{"id":1,"n":1}', '{"id":1,"n":2}'], [2]),
            (REMOVING, ['{"id":1,"n":1,"v":5,"gone":true}', '{"id":1,"n":2,"v":3,"gone":false}'], []),
        ):
            job = self.joined(table(mode, **settings))
            for part in reversed(job.parts):
                self.deliver(part, 0, page(texts[part.number], prefix=f"{part.number}."))
            job.finish()
            assert [row["n"] for row in self.rows(config)] == wanted

    @staged("takes_parts", "damages")
    def test_rule_11_a_part_that_somebody_changed_is_not_published(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        old = page('{"a":0}', prefix="old")
        self.load(table(mode), old)
        job = self.joined(table(mode), 3)
        for part, prefix in zip(job.parts, "pqr", strict=True):
            self.deliver(part, 0, page('{"a":1,"c":[1]}', prefix=prefix))
        self.damage(config, "removed")
        job.start()
        self.expect_unpublished(job, "pages 0-0 of part 2")
        self.expect_kept(config, old)
