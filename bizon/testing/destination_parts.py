"""Behaviours of destinations that take parts: several workers stage rows of one job at once, and one start publishes
them all. Workers and publishers die and freeze at every point."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import pytest

from bizon.common.errors.errors import BizonError
from bizon.testing.destination_claims import FULL_REFRESH, INCREMENTAL, in_modes, staged
from bizon.testing.destination_crashes import DestinationCrashes
from bizon.testing.destination_jobs import OpenPipeline, records
from bizon.testing.destination_late import FrozenStart, late_start
from bizon.testing.joined_jobs import JoinedJob

if TYPE_CHECKING:
    from bizon.destination.config import AbstractDestinationConfig
    from bizon.source.config import SourceSyncModes
    from bizon.testing.destination_jobs import Pipeline


class DestinationParts(DestinationCrashes):
    """A part of ``DestinationConformance``: the claim ``takes_parts``."""

    def leftovers(self, config: "AbstractDestinationConfig") -> Sequence[str]:
        """Staging tables, objects and claims that the target holds besides the published table. Override it, and the
        tests find that nothing is left after a job was published."""
        return ()

    @staged("takes_parts")
    def test_parts_that_workers_write_at_once_are_published_together(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        into.load(records("old"))
        job = JoinedJob(into, 3)
        for part in job.parts:
            part.start()
            assert part.destination.single_writer is False
        for page in range(2):
            for part in job.parts[:2]:
                part.commit(page, records(f"{part.number}.{page}", "the same"))
        job.parts[2].commit(0, [])
        assert self.ids(config) == ["old"]
        job.start()
        assert self.ids(config) == ["old"]
        job.publish()
        wanted = sorted(["0.0", "0.1", "1.0", "1.1", *["the same"] * 4, *(["old"] if mode is INCREMENTAL else [])])
        assert self.ids(config) == wanted
        assert not self.leftovers(config)
        into.load(records("next"))
        assert self.ids(config) == (["next"] if mode is FULL_REFRESH else sorted([*wanted, "next"]))

    @staged("takes_parts")
    def test_parts_without_rows_are_published_too(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        into.load(records("old"))
        JoinedJob(into).deliver_parts({0: [[]], 1: [[], []]})
        assert self.ids(config) == ([] if mode is FULL_REFRESH else ["old"])

    @staged("takes_parts")
    def test_rows_of_a_worker_whose_part_was_taken_over_do_not_count(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        job = JoinedJob(pipeline(mode))
        first, other = job.parts
        first.start()
        other.start()
        first.commit(0, records("a"))
        other.commit(0, records("x"))
        frozen, late = FrozenStart(first), late_start(first)
        first.start()
        late()
        frozen.write(1, records("b"))
        first.commit(1, records("b"))
        frozen.write(2, records("frozen"))
        late()
        other.commit(1, records("y"))
        going_on = FrozenStart(other)
        job.start()
        frozen.write(1, records("b"))
        going_on.write(2, records("after the end"))
        late()
        job.publish()
        wanted = ["a", "b", "x", "y"]
        assert self.ids(config) == wanted
        frozen.write(2, records("frozen"))
        going_on.write(2, records("after the end"))
        late()
        assert self.ids(config) == wanted

    @staged("takes_parts")
    def test_a_worker_that_dies_between_a_write_and_its_checkpoint_leaves_nothing(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        job = JoinedJob(pipeline(mode))
        first, other = job.parts
        first.start()
        first.write(0, records("a"), records("torn"))
        other.start()
        other.commit(0, records("x"))
        first.start()
        first.commit(0, records("a"))
        first.write(1, records("b"), records("deleted since"))
        first.start()
        first.commit(1, records("b"))
        for _ in range(2):  # the answer to the first was lost
            other.write(1, records("y"))
        other.record(1, 1)
        first.commit(2, [])
        job.finish()
        assert self.ids(config) == ["a", "b", "x", "y"]

    @staged("takes_parts")
    def test_rows_of_one_part_that_are_recorded_and_not_staged_stop_the_publication(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        into.load(records("old"))
        job = JoinedJob(into)
        job.begin_parts()
        job.parts[1].forget_receipt()
        job.parts[1].record(1, 2)  # of a batch that was never written
        for _ in range(2):
            job.start()
            with pytest.raises(BizonError, match="part 1"):
                job.publish()
        assert self.ids(config) == ["old"]

    @staged("takes_parts")
    def test_a_publisher_that_was_frozen_publishes_nothing(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        into.load(records("old"))
        job = JoinedJob(into)
        job.begin_parts()
        job.start()
        frozen, late = FrozenStart(job), late_start(job)
        job.start()
        frozen.publish()
        late()
        frozen.publish()
        assert self.ids(config) == ["old"], "the frozen publisher has published"
        job.publish()
        wanted = ["0.0", "1.0", *(["old"] if mode is INCREMENTAL else [])]
        for _ in range(2):
            frozen.publish()
            late()
            assert self.ids(config) == wanted

    @staged("takes_parts")
    def test_parts_of_a_job_that_was_given_up_never_show(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        given_up = JoinedJob(into)
        for part in given_up.parts:
            part.start()
            part.commit(0, records("lost"))
        frozen, late = FrozenStart(given_up.parts[0]), late_start(given_up.parts[1])
        given_up.start()
        frozen_publisher = FrozenStart(given_up)
        job = JoinedJob(into)
        for part in job.parts:
            part.start()
            frozen.write(1, records("lost too"))
            late()
            part.commit(0, records(f"{part.number}.0"))
            frozen_publisher.publish()
        assert self.ids(config) == [], "the older job has published"
        job.finish()
        assert not self.leftovers(config)
        frozen.write(1, records("lost too"))
        late()
        assert self.ids(config) == ["0.0", "1.0"]
        into.load(records("plain"))
        assert self.ids(config) == (["plain"] if mode is FULL_REFRESH else ["0.0", "1.0", "plain"])

    @staged("takes_parts")
    def test_a_plain_job_and_a_joined_one_leave_nothing_to_each_other(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        plain = into.job()
        plain.start()
        plain.commit(0, records("lost"))
        frozen = FrozenStart(plain)
        joined = JoinedJob(into)
        joined.parts[0].start()
        frozen.write(1, records("lost too"))
        frozen.publish()
        assert self.ids(config) == [], "the plain job has published"
        joined.parts[0].commit(0, records("lost again"))
        into.load(records("kept"))
        assert self.ids(config) == ["kept"]
        assert not self.leftovers(config)

    @in_modes((FULL_REFRESH,), "stages", "takes_parts", "owns_output")
    def test_a_worker_of_another_pipeline_is_refused(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        pipeline(mode, name="first").load(records("a"))
        second = JoinedJob(pipeline(mode, name="second"))
        with pytest.raises(BizonError):
            second.parts[0].start()
        assert self.ids(config) == ["a"]

    @in_modes((FULL_REFRESH,), "stages", "takes_parts", "survives_interruptions")
    def test_a_worker_that_dies_after_any_call_loses_and_doubles_nothing(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into, first = pipeline(mode), [records("first")]
        for calls in self._kills(lambda: self._begun(into, "whole").parts[0].deliver([*first, *first])):
            job, name = self._begun(into, f"{calls.at} 1"), f"{calls.at} 0"
            part, pages = job.parts[0], [records(name), records(f"{name}, again")]
            if not self._is_completed(part, partial(part.deliver, pages), calls):
                part.deliver(pages, together=True)
            job.finish()
            wanted = [name, f"{name}, again", f"{calls.at} 1"]
            self.expect(config, mode, wanted, f"after call {calls.at} of a worker, {calls.name}")

    @in_modes((FULL_REFRESH,), "stages", "takes_parts", "survives_interruptions")
    def test_a_publisher_that_dies_after_any_call_publishes_once(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into, there = pipeline(mode), ["whole 0", "whole 1"]
        for calls in self._kills(lambda: self._complete(into, "whole").finish()):
            job, before, there = self._complete(into, str(calls.at)), there, [f"{calls.at} 0", f"{calls.at} 1"]
            is_done = self._is_completed(job, job.finish, calls)
            where = f"after call {calls.at} of a publisher, {calls.name}"
            assert self.ids(config) in (before, there), f"{where}, neither old nor new is there"
            if not is_done:
                job.finish()
            self.expect(config, mode, there, where)
            assert not self.leftovers(config), where

    def _begun(self, into: "Pipeline", id_: str) -> JoinedJob:
        """A job whose last part is complete."""
        job = JoinedJob(into)
        job.parts[1].deliver([records(id_)])
        return job

    def _complete(self, into: "Pipeline", name: str) -> JoinedJob:
        """A job that nobody has published."""
        job = self._begun(into, f"{name} 1")
        job.parts[0].deliver([records(f"{name} 0")])
        return job
