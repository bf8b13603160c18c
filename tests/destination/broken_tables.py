"""Destinations that break the contract, each in one way."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import polars as pl
from destination import memory_target as target
from destination.memory_tables import Tables

from bizon.common.errors.errors import DestinationWriteError, RowsRejectedError
from bizon.destination.models import CommittedBatch, OutputState, ResumePoint

Answer = tuple[bool, str | None]


class ReplacesOnePage(Tables):
    """Not wrong by itself: a batch replaces only the batch that ended on the same page."""

    def without_this_batch(self, staged: list[tuple[int, str, target.Row]]) -> list[tuple[int, str, target.Row]]:
        return [row for row in staged if row[0] != self.batch.to_iteration]


class ForgetsTornRows(Tables):
    """They go only when something is written after them."""

    def trim(self, now: target.Session) -> None:
        if self.resume.last_iteration is None:
            super().trim(now)


class KeepsWhatWasNotRecorded(ReplacesOnePage):
    def trim(self, now: target.Session) -> None:
        if self.resume.last_iteration is None:
            super().trim(now)


class KeepsTheRowsOfJobsBefore(ReplacesOnePage):
    def trim(self, now: target.Session) -> None:
        now.stage(self.table, [(page, self.resume.job_id, row) for page, _, row in now.staged(self.table)])
        if self.resume.last_iteration is not None:
            super().trim(now)


class ForgetsWhatWasRecorded(Tables):
    def trim(self, now: target.Session) -> None:
        now.stage(self.table, [])


class PublishesAtOnce(Tables):
    @property
    def in_place(self) -> bool:
        return True


class PublishesTwice(Tables):
    def finalize(self) -> bool:
        with self.transaction() as now:
            self.publish(now)
            now.stage(self.table, [(0, self.resume.job_id, row) for row in now.rows(self.table)])
        return True


class PublishesOnlyWhatItWrote(Tables):
    wrote = False

    def write_records(self, df_destination_records: pl.DataFrame) -> Answer:
        self.wrote = True
        return super().write_records(df_destination_records)

    def finalize(self) -> bool:
        return super().finalize() if self.wrote else True


class RoundsMoments(Tables):
    def write_records(self, df_destination_records: pl.DataFrame) -> Answer:
        return super().write_records(df_destination_records.with_columns(pl.col(pl.Datetime).dt.truncate("1ms")))


class WritesToOneTable(Tables):
    def write_records(self, df_destination_records: pl.DataFrame) -> Answer:
        self.destination_id = self.table
        return super().write_records(df_destination_records)


class LosesLargeBatches(Tables):
    def write_records(self, df_destination_records: pl.DataFrame) -> Answer:
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
    def take_over(self, now: target.Session) -> None:
        owned = now.owner(self.table)
        owned.owner, owned.fence = self.sync_metadata.owner.mark, self.resume.fence


class DoesNotSayWhoPublished(Tables):
    def output(self) -> OutputState:
        return OutputState({"place": self.table})


class TakesStagedRowsForPublished(Tables):
    def write_records(self, df_destination_records: pl.DataFrame) -> Answer:
        with self.transaction() as now:
            now.owner(self.table).published_by = self.resume.job_id
        return super().write_records(df_destination_records)


class PublishesInTwoSteps(Tables):
    """Empties the table, and then fills it."""

    def finalize(self) -> bool:
        with self.transaction() as now:
            self.check_fence(now)
            if now.owner(self.table).published_by == self.resume.job_id:
                return True
            if self.sync_metadata.replaces or self.sync_metadata.write_mode == "replace":
                now.truncate(self.table)
        return super().finalize()


class RemovesStagingFirst(Tables):
    """Takes the rows out of staging in one transaction, and publishes them in the next."""

    def finalize(self) -> bool:
        with self.transaction() as now:
            self.check_fence(now)
            staged = now.staged(self.table)
            now.drop_staging(self.table)
        with self.transaction() as now:
            if now.owner(self.table).published_by != self.resume.job_id:
                now.stage(self.table, staged)
                self.publish(now)
        return True


class PublishesAgainAfterACrash(Tables):
    """Appends in one transaction, and records it in the next."""

    def publish(self, now: target.Session) -> None:
        super().publish(now)
        staged, job = target.CONTENTS.staged.get(self.table, []), now.owner(self.table).published_by
        now.owner(self.table).published_by = None
        now.stage(self.table, staged)
        now.commit()
        now.owner(self.table).published_by = job
        now.drop_staging(self.table)


class AddsABatchAgain(Tables):
    def without_this_batch(self, staged: list[tuple[int, str, target.Row]]) -> list[tuple[int, str, target.Row]]:
        return staged


class WritesRowByRow(Tables):
    """Each row in a transaction of its own, without a look at existing rows."""

    def write_records(self, df_destination_records: pl.DataFrame) -> Answer:
        for place in range(df_destination_records.height):
            answer = super().write_records(df_destination_records[place])
        return answer

    def without_this_batch(self, staged: list[tuple[int, str, target.Row]]) -> list[tuple[int, str, target.Row]]:
        return staged


class DoesNotLookAtTheFence(Tables):
    """It claims the table, and never looks at the claim again."""

    def check_fence(self, now: target.Session) -> None:
        return None


class LooksAtTheFenceOnlyWhenItPublishes(Tables):
    def write_records(self, df_destination_records: pl.DataFrame) -> Answer:
        self.check_fence = lambda now: None  # type: ignore[method-assign]
        answer = super().write_records(df_destination_records)
        del self.check_fence
        return answer

    def verify(self, committed: Sequence[CommittedBatch]) -> None:
        with self.transaction() as now:
            staged = {page for page, _, _ in now.staged(self.table)}
        if not {batch.to_iteration for batch in committed if batch.rows} <= staged:
            super().verify(committed)


class AppendsAfterItsStateWasLost(Tables):
    def check_owner(self, now: target.Session) -> None:
        self.resume = ResumePoint(self.resume.job_id, **{**self.kept(), "has_history": True})
        super().check_owner(now)

    def kept(self) -> dict[str, object]:
        return {name: getattr(self.resume, name) for name in ResumePoint.__slots__ if name != "job_id"}


class TakesTheTableOfAnybody(Tables):
    def check_owner(self, now: target.Session) -> None:
        return None


class TakesTheTableThatARecordNames(Tables):
    def check_named(self, now: target.Session, rows: int) -> None:
        return None


class FailsForATableThatARecordNames(Tables):
    def check_named(self, now: target.Session, rows: int) -> None:
        try:
            super().check_named(now, rows)
        except RowsRejectedError as error:
            raise DestinationWriteError(str(error), retryable=True) from error


class SaysThatItHasWritten(Tables):
    """A failed write is logged, and answered with True."""

    def write_records(self, df_destination_records: pl.DataFrame) -> Answer:
        try:
            return super().write_records(df_destination_records)
        except DestinationWriteError:
            return True, None


class IgnoresRejects(Tables):
    """The target stores valid rows, and reports the others."""

    def write_records(self, df_destination_records: pl.DataFrame) -> Answer:
        try:
            return super().write_records(df_destination_records)
        except RowsRejectedError as error:
            kept = [place for place in range(df_destination_records.height) if place not in error.reasons]
            return super().write_records(df_destination_records[kept])


class WritesTheRestOfABatchWithRejects(Tables):
    """It names the rows, and has already written the others."""

    def write_records(self, df_destination_records: pl.DataFrame) -> Answer:
        try:
            return super().write_records(df_destination_records)
        except RowsRejectedError as error:
            kept = [place for place in range(df_destination_records.height) if place not in error.reasons]
            super().write_records(df_destination_records[kept])
            self.batch = self.batch._replace(from_iteration=self.batch.to_iteration + 1)
            raise

    def without_this_batch(self, staged: list[tuple[int, str, target.Row]]) -> list[tuple[int, str, target.Row]]:
        return staged


class GivesUpAtOnce(Tables):
    """A failure that may pass ends the run."""

    @contextmanager
    def transaction(self) -> Iterator[target.Session]:
        with target.transaction() as now:
            yield now
