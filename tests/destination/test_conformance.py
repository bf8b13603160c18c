"""The suite for destinations: one that keeps the contract passes, and each way to break it fails a named behaviour."""

from collections.abc import Sequence
from typing import Any, ClassVar

import polars as pl
import pytest

from bizon.common.errors.errors import BizonError, FinalizeError, OvertakenError
from bizon.destination.config import AbstractDestinationConfig, AbstractDestinationDetailsConfig, DestinationTypes
from bizon.destination.destination import AbstractDestination
from bizon.destination.models import CommittedBatch, OutputState, ResumePoint
from bizon.source.config import SourceSyncModes
from bizon.testing.destination import FULL_REFRESH, INCREMENTAL, STREAM, DestinationConformance

Rows = list[dict[str, Any]]


CONFIG = AbstractDestinationConfig(
    name=DestinationTypes.FILE, alias="tables", config=AbstractDestinationDetailsConfig(destination_id="table")
)


class Tables(AbstractDestination):
    """Keeps the contract in a dict: published tables, and staged rows with the page they came from."""

    published: ClassVar[dict[str, Rows]] = {}
    staged: ClassVar[dict[str, list[tuple[int, str, dict[str, Any]]]]] = {}
    fences: ClassVar[dict[str, tuple[int, int]]] = {}
    publishers: ClassVar[dict[str, str]] = {}

    def check_connection(self) -> bool:
        return True

    @property
    def streams(self) -> bool:
        return self.sync_metadata.sync_mode is SourceSyncModes.STREAM

    def take_over(self, resume: ResumePoint) -> None:
        if self.fences.get(self.default_destination_id, resume.fence) > resume.fence:
            raise OvertakenError(resume.job_id)
        self.fences[self.default_destination_id] = resume.fence

    def prepare(self, resume: ResumePoint) -> None:
        self.take_over(resume)
        last = -1 if resume.last_iteration is None else resume.last_iteration
        kept = [row for row in self.staging() if row[0] <= last and row[1] == self.sync_metadata.job_id]
        if not (resume.exhausted and not self.staging()):
            self.staged[self.default_destination_id] = kept

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        rows = df_destination_records.rows(named=True)
        if self.streams:
            self.published.setdefault(self.destination_id, []).extend(rows)
        else:
            last, job = self.batch.to_iteration, self.sync_metadata.job_id
            self.staged.setdefault(self.destination_id, []).extend((last, job, row) for row in rows)
        return True, None

    def verify(self, committed: Sequence[CommittedBatch]) -> None:
        if self.publishers.get(self.default_destination_id) == self.sync_metadata.job_id:
            return
        pages = [page for page, _, _ in self.staging()]
        for batch in committed:
            if sum(batch.from_iteration <= page <= batch.to_iteration for page in pages) != batch.rows:
                raise FinalizeError(f"rows of pages {batch.from_iteration}-{batch.to_iteration} are missing")

    def output(self) -> OutputState:
        table = self.default_destination_id
        return OutputState({"place": table}, self.publishers.get(table), bool(self.published.get(table)))

    def finalize(self) -> bool:
        table = self.default_destination_id
        self.publishers[table] = self.sync_metadata.job_id
        if table in self.staged:
            before = [] if self.sync_metadata.sync_mode is FULL_REFRESH else self.published.get(table, [])
            self.published[table] = before + [row for _, _, row in self.staged.pop(table)]
        return True

    def staging(self) -> list[tuple[int, str, dict[str, Any]]]:
        return self.staged.get(self.default_destination_id, [])


@pytest.fixture(autouse=True)
def _nothing_there() -> None:
    for kept in (Tables.published, Tables.staged, Tables.fences, Tables.publishers):
        kept.clear()


class TestTables(DestinationConformance):
    counts_staged_rows = fenced = marks_output = True
    kind: ClassVar[type[AbstractDestination]] = Tables

    @pytest.fixture
    def config(self) -> AbstractDestinationConfig:
        return CONFIG

    def build(self, *arguments: Any) -> AbstractDestination:
        return self.kind(*arguments)

    def read(self, config: AbstractDestinationConfig, destination_id: str | None) -> Rows:
        return Tables.published.get(destination_id or config.config.destination_id, [])


class KeepsWhatWasNotRecorded(Tables):
    def prepare(self, resume: ResumePoint) -> None:
        if resume.last_iteration is None:
            super().prepare(resume)


class KeepsTheRowsOfJobsBefore(Tables):
    def prepare(self, resume: ResumePoint) -> None:
        if resume.last_iteration is not None:
            super().prepare(resume)


class ForgetsWhatWasRecorded(Tables):
    def prepare(self, resume: ResumePoint) -> None:
        self.staged.pop(self.default_destination_id, None)


class PublishesAtOnce(Tables):
    @property
    def streams(self) -> bool:
        return True


class PublishesTwice(Tables):
    def finalize(self) -> bool:
        staged = list(self.staging())
        super().finalize()
        self.staged[self.default_destination_id] = staged
        return True


class PublishesOnlyWhatItWrote(Tables):
    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        self.wrote = True
        return super().write_records(df_destination_records)

    def finalize(self) -> bool:
        return super().finalize() if getattr(self, "wrote", False) else True


class RoundsMoments(Tables):
    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        return super().write_records(df_destination_records.with_columns(pl.col(pl.Datetime).dt.truncate("1ms")))


class WritesToOneTable(Tables):
    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        self.destination_id = self.default_destination_id
        return super().write_records(df_destination_records)


class LosesLargeBatches(Tables):
    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        return super().write_records(df_destination_records.head(1_000))


class NeedsToBePrepared(Tables):
    def prepare(self, resume: ResumePoint) -> None:
        super().prepare(resume)
        self.connection = object()

    def close(self) -> None:
        assert self.connection


class PublishesWhatIsThere(Tables):
    def verify(self, committed: Sequence[CommittedBatch]) -> None:
        return None


class WakesUpAndPrepares(Tables):
    def take_over(self, resume: ResumePoint) -> None:
        return None


class DoesNotSayWhoPublished(Tables):
    def output(self) -> OutputState:
        return OutputState({"place": self.default_destination_id})


class TakesStagedRowsForPublished(Tables):
    def prepare(self, resume: ResumePoint) -> None:
        super().prepare(resume)
        self.publishers[self.default_destination_id] = resume.job_id


@pytest.mark.parametrize(
    ("kind", "behaviour", "mode"),
    [
        (PublishesWhatIsThere, "rows_that_are_recorded_and_not_staged_stop_the_publication", FULL_REFRESH),
        (WakesUpAndPrepares, "a_start_that_prepares_late_destroys_nothing_of_the_next", INCREMENTAL),
        (WakesUpAndPrepares, "an_older_job_that_prepares_late_destroys_nothing_of_a_newer_one", FULL_REFRESH),
        (DoesNotSayWhoPublished, "the_output_names_the_job_that_published_it_last", INCREMENTAL),
        (TakesStagedRowsForPublished, "the_output_names_the_job_that_published_it_last", FULL_REFRESH),
        (KeepsWhatWasNotRecorded, "rows_that_no_checkpoint_vouches_for_are_not_there_twice", INCREMENTAL),
        (KeepsTheRowsOfJobsBefore, "rows_of_a_job_that_was_given_up_never_show", INCREMENTAL),
        (ForgetsWhatWasRecorded, "a_job_that_dies_goes_on_where_its_checkpoint_says", FULL_REFRESH),
        (ForgetsWhatWasRecorded, "a_job_that_died_before_publishing_is_published_by_the_next_start", INCREMENTAL),
        (PublishesAtOnce, "nothing_is_seen_before_it_is_published", INCREMENTAL),
        (PublishesTwice, "publishing_again_after_a_crash_changes_nothing", INCREMENTAL),
        (PublishesOnlyWhatItWrote, "a_job_without_rows_is_published_too", FULL_REFRESH),
        (RoundsMoments, "every_value_arrives_as_it_was", STREAM),
        (WritesToOneTable, "in_stream_mode_rows_are_seen_at_once_in_the_table_they_name", STREAM),
        (LosesLargeBatches, "many_batches_of_all_sizes_arrive", FULL_REFRESH),
        (NeedsToBePrepared, "it_can_be_closed_before_it_was_used", None),
    ],
)
def test_what_breaks_the_contract_fails(
    kind: type[AbstractDestination], behaviour: str, mode: SourceSyncModes | None
) -> None:
    suite = TestTables()
    suite.kind = kind  # type: ignore[misc]
    fixture = DestinationConformance.pipeline.__wrapped__(suite, CONFIG)  # type: ignore[attr-defined]
    arguments = {"config": CONFIG, "pipeline": next(fixture), "mode": mode}
    test = getattr(suite, f"test_{behaviour}")
    wanted = test.__code__.co_varnames[: test.__code__.co_argcount]
    with pytest.raises((AssertionError, AttributeError, BizonError, pytest.fail.Exception)):
        test(**{name: value for name, value in arguments.items() if name in wanted})


def test_a_test_without_its_parts_says_what_is_missing() -> None:
    suite = DestinationConformance()
    with pytest.raises(NotImplementedError, match="DestinationConformance needs a fixture config"):
        DestinationConformance.config.__wrapped__(suite)  # type: ignore[attr-defined]
    with pytest.raises(NotImplementedError, match="DestinationConformance needs a method read"):
        suite.read(CONFIG, None)
