"""A destination that keeps the whole contract, written by hand, without the kit."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import polars as pl
from destination import memory_target as target

from bizon.common.errors.errors import (
    DestinationConnectionError,
    DestinationWriteError,
    FinalizeError,
    OvertakenError,
    RowsRejectedError,
)
from bizon.destination.destination import AbstractDestination
from bizon.destination.models import CommittedBatch, OutputState, ResumePoint, WriteMode


class Tables(AbstractDestination):
    """Tables in memory; exactly once in sync modes full_refresh and incremental. It cannot store the text 'never'."""

    resume: ResumePoint

    def check_connection(self) -> bool:
        return True

    @property
    def table(self) -> str:
        return self.default_destination_id

    @property
    def in_place(self) -> bool:
        return self.sync_metadata.write_mode is WriteMode.IN_PLACE

    def prepare(self, resume: ResumePoint) -> None:
        self.resume = resume
        with self.transaction() as now:
            self.check_owner(now)
            self.take_over(now)
            if not (resume.exhausted and now.owner(self.table).published_by == resume.job_id):
                self.trim(now)

    def check_owner(self, now: target.Session) -> None:
        found = now.owner(self.table).owner
        if found not in (None, self.sync_metadata.owner.mark) and not self.resume.adopt:
            raise DestinationConnectionError("the table belongs to another pipeline")
        is_append = self.sync_metadata.write_mode is WriteMode.APPEND
        if is_append and now.rows(self.table) and not (self.resume.has_history or self.resume.adopt):
            raise DestinationConnectionError("the state was lost")

    def check_named(self, now: target.Session, rows: int) -> None:
        owned, mark = now.owner(self.destination_id), self.sync_metadata.owner.mark
        if owned.owner not in (None, mark):
            raise RowsRejectedError(dict.fromkeys(range(rows), "the table belongs to another pipeline"))
        owned.owner = mark

    def take_over(self, now: target.Session) -> None:
        owned = now.owner(self.table)
        if owned.fence > self.resume.fence:
            raise OvertakenError(self.resume.job_id)
        owned.owner, owned.job, owned.fence = self.sync_metadata.owner.mark, self.resume.job_id, self.resume.fence

    def check_fence(self, now: target.Session) -> None:
        if now.owner(self.table).fence != self.resume.fence:
            raise OvertakenError(self.resume.job_id)

    def trim(self, now: target.Session) -> None:
        last = -1 if self.resume.last_iteration is None else self.resume.last_iteration
        kept = [row for row in now.staged(self.table) if row[0] <= last and row[1] == self.resume.job_id]
        now.stage(self.table, kept)

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        rows = df_destination_records.rows(named=True)
        misfits = {place: "not storable" for place, row in enumerate(rows) if row["source_record_id"] == "never"}
        if misfits:
            raise RowsRejectedError(misfits)
        with self.transaction() as now:
            self.check_fence(now)
            if self.in_place:
                self.check_named(now, len(rows))
                now.insert(self.destination_id, rows)
                return True, None
            before = self.without_this_batch(now.staged(self.table))
            now.stage(self.table, [*before, *((self.batch.to_iteration, self.resume.job_id, row) for row in rows)])
        return True, None

    def without_this_batch(self, staged: list[tuple[int, str, target.Row]]) -> list[tuple[int, str, target.Row]]:
        return [row for row in staged if row[0] < self.batch.from_iteration]

    def verify(self, committed: Sequence[CommittedBatch]) -> None:
        with self.transaction() as now:
            if now.owner(self.table).published_by == self.resume.job_id:
                return
            pages = [page for page, _, _ in now.staged(self.table)]
        for batch in committed:
            if pages.count(batch.to_iteration) != batch.rows:
                raise FinalizeError(f"rows of pages {batch.from_iteration}-{batch.to_iteration} are missing")

    def output(self) -> OutputState:
        with self.transaction() as now:
            return OutputState({"place": self.table}, now.owner(self.table).published_by, bool(now.rows(self.table)))

    def finalize(self) -> bool:
        with self.transaction() as now:
            self.check_fence(now)
            if not self.in_place and now.owner(self.table).published_by != self.resume.job_id:
                self.publish(now)
        return True

    def publish(self, now: target.Session) -> None:
        if self.sync_metadata.write_mode is WriteMode.REPLACE:
            now.truncate(self.table)
        now.insert(self.table, [row for _, _, row in now.staged(self.table)])
        now.owner(self.table).published_by = self.resume.job_id
        now.drop_staging(self.table)

    @contextmanager
    def transaction(self) -> Iterator[target.Session]:
        try:
            with target.transaction() as now:
                yield now
        except ConnectionError as error:
            raise DestinationWriteError(f"memory: {error}", retryable=True) from error
