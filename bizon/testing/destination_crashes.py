"""Behaviours of destinations that are interrupted: the process dies after a call to the target, or a call fails."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, ClassVar

import pytest

from bizon.common.errors.errors import RowsRejectedError
from bizon.testing.destination_claims import (
    FULL_REFRESH,
    INCREMENTAL,
    STREAM,
    ClaimedBehaviours,
    claimed_by,
    every_mode,
    in_modes,
)
from bizon.testing.destination_jobs import Job, OpenPipeline, Pipeline, records
from bizon.testing.interruptions import Calls, DiedError, leaving_things_open, spread, watching

if TYPE_CHECKING:
    from bizon.destination.config import AbstractDestinationConfig
    from bizon.source.config import SourceSyncModes
    from bizon.source.models import SourceRecord

_PAGES = 2  # of a job that is interrupted
_MOST_KILLS = 20  # of one part, or of one publication


class DestinationCrashes(ClaimedBehaviours):
    """A part of ``DestinationConformance``.

    ``client``: the modules through which the destination reaches its target, for example ``("sqlite3",)``.
    ``misfit``: a record that the target can never store, where there is one.
    ``most_interruptions``: the number of calls of a job that are interrupted, at equal distances; 0: all of them.
    """

    client: ClassVar[Sequence[str]] = ()
    misfit: ClassVar["SourceRecord | None"] = None
    most_interruptions: ClassVar[int] = 0

    def target_error(self) -> Exception:
        """A new error as the client raises it when the target is unreachable for a moment."""
        return ConnectionError("the target is unreachable")

    @every_mode("survives_interruptions")
    def test_a_crash_after_any_call_to_the_target_loses_and_doubles_nothing(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        self._interrupt_jobs(config, pipeline(mode), Calls(self.client))

    @in_modes((INCREMENTAL,), "survives_interruptions")
    def test_a_target_that_fails_at_any_call_loses_and_doubles_nothing(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        self._interrupt_jobs(config, pipeline(mode), Calls(self.client, error=self.target_error, after=False))

    @every_mode("survives_interruptions", "retries")
    def test_a_write_that_fails_for_a_moment_is_repeated(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into, there = pipeline(mode), list[str]()
        with leaving_things_open():
            for place in count():
                number, after = 1 + place // 2, bool(place % 2)
                job, lost = into.job(), f"{'answer' if after else 'request'} {number} was lost"
                ids = [f"{lost}: a", f"{lost}: b"]
                job.start()
                calls = Calls(self.client, at=number, error=self.target_error, after=after)
                self._write_through(job, ids, calls)
                job.record(0, len(ids))
                job.end()
                there = ids if mode is FULL_REFRESH else [*there, *ids]
                self.expect(config, mode, there, f"after {calls.name or 'all calls'} of write_records had failed once")
                if not calls.was_interrupted:
                    break

    @every_mode()
    def test_a_batch_that_is_written_again_replaces_the_first_write(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        job = pipeline(mode).job()
        job.start()
        job.commit(0, records("a"))
        for _ in range(2):  # the answer to the first was lost
            job.write(1, records("b"), records("c"))
        job.record(2, 2)
        job.commit(3, records("d"))
        job.end()
        self.expect(config, mode, ["a", "b", "c", "d"])

    @every_mode()
    def test_rows_without_a_checkpoint_go_even_when_their_pages_do_not_come_again(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        job = pipeline(mode).job()
        job.start()
        job.commit(0, records("a"))
        job.write(1, records("deleted since"), records("moved"), records("deleted, too"))
        job.start()
        job.commit(1, records("moved"))
        job.end()
        self.expect(config, mode, ["a", "moved"])

    @every_mode()
    def test_rows_without_a_checkpoint_go_when_their_page_is_empty_the_next_time(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        job = pipeline(mode).job()
        job.start()
        job.commit(0, records("a"))
        job.write(1, records("deleted since"))
        job.start()
        job.commit(1, [])
        job.end()
        self.expect(config, mode, ["a"])

    @every_mode("misfit")
    def test_a_record_that_can_never_be_stored_is_refused_and_named(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        assert self.misfit is not None
        job = pipeline(mode).job()
        job.start()
        with pytest.raises(RowsRejectedError) as refused:
            job.write(0, [*records("a"), self.misfit, *records("b")])
        assert list(refused.value.reasons) == [1]
        job.commit(0, records("a", "b"))
        job.end()
        self.expect(config, mode, ["a", "b"])

    @claimed_by("survives_interruptions")
    def test_its_calls_to_the_target_are_seen(self, pipeline: OpenPipeline) -> None:
        calls = Calls(self.client)
        with watching(calls):
            pipeline(self.modes[0]).load(records("a"))
        assert calls.seen, "set `client` to the modules through which the destination reaches its target"

    def _kills(self, work: Callable[[], object]) -> Iterator[Calls]:
        """Calls that kill whoever makes them: each of those that the work makes, or some, spread over all of them."""
        with watching(Calls(self.client)) as whole:
            work()
        with leaving_things_open():
            for number in spread(whole.seen, self.most_interruptions or _MOST_KILLS):
                yield Calls(self.client, number)

    def _interrupt_jobs(self, config: "AbstractDestinationConfig", into: Pipeline, calls: Calls) -> None:
        """Run one job, and as many others as calls are interrupted, each of them at another call."""
        mode, there = into.sync_mode, ["0.0", "0.1"]
        with watching(Calls(self.client)) as whole:
            into.job().deliver(_pages(0))
        with leaving_things_open():
            for number in spread(whole.seen, self.most_interruptions):
                job, before, new = into.job(), there, [f"{number}.{page}" for page in range(_PAGES)]
                there = new if mode is FULL_REFRESH else [*there, *new]
                now = Calls(calls.client, number, calls.error, calls.after)
                is_done = self._is_completed(job, partial(job.deliver, _pages(number)), now)
                where = f"after call {number} of a job, {now.name}"
                if mode is not STREAM and self.stages:
                    found = self.ids(config)
                    assert found in (sorted(before), sorted(there)), f"{where}, neither old nor new is there: {found}"
                if is_done:
                    self.expect(config, mode, there, f"{where} had failed and the job had succeeded all the same")
                else:
                    job.deliver(_pages(number), together=True)
                    self.expect(config, mode, there, f"{where} and another start")

    def _is_completed(self, job: Job, work: Callable[[], None], calls: Calls) -> bool:
        """Whether the work came to its end. A start that did not is buried."""
        try:
            with watching(calls):
                work()
        except (DiedError, Exception):
            if not calls.was_interrupted:
                raise
        else:
            return True
        job.bury()
        return False

    def _write_through(self, job: Job, ids: Sequence[str], calls: Calls) -> None:
        """One page, as the loader writes it: an error that is retryable repeats the call."""
        failure: Exception | None = None
        try:
            with watching(calls):
                job.write(0, records(*ids))
        except Exception as error:
            if not calls.was_interrupted:
                raise
            failure = error
        if failure is not None:
            assert getattr(failure, "retryable", False), (
                f"call {calls.at} of write_records, {calls.name}, failed for a moment, and ended the run: {failure!r}. "
                f"Raise DestinationWriteError(..., retryable=True), and the loader repeats the call"
            )
            job.write(0, records(*ids))


def _pages(job: int) -> list[list["SourceRecord"]]:
    return [records(f"{job}.{page}") for page in range(_PAGES)]
