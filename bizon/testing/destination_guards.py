"""Behaviours of destinations on bad days: rows that are missing from staging, starts that wake up too late, and
pipelines that write to one output."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bizon.common.errors.errors import BizonError, DestinationConnectionError, RowsRejectedError
from bizon.engine.backend.backend import BackendFactory
from bizon.testing.destination_claims import (
    FULL_REFRESH,
    INCREMENTAL,
    STREAM,
    ClaimedBehaviours,
    every_mode,
    in_modes,
    staged,
)
from bizon.testing.destination_jobs import OpenPipeline, Pipeline, records
from bizon.testing.destination_late import FrozenStart, late_start

if TYPE_CHECKING:
    from bizon.destination.config import AbstractDestinationConfig
    from bizon.source.config import SourceSyncModes


class DestinationGuards(ClaimedBehaviours):
    """A part of ``DestinationConformance``: the claims ``counts_staged_rows``, ``fenced``, ``marks_output``,
    ``owns_output`` and ``shows_presence``."""

    @staged("counts_staged_rows")
    def test_rows_that_are_recorded_and_not_staged_stop_the_publication(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        into.load(records("old"))
        job = into.job()
        job.start()
        job.commit(0, records("a", "b"))
        job.forget_receipt()
        job.record(1, 2)  # of a batch that was never written
        with pytest.raises(BizonError):
            job.publish()
        assert self.ids(config) == ["old"], "the running job has published"
        with pytest.raises(BizonError):
            job.restart_and_publish()
        assert self.ids(config) == ["old"], "the next run has published"

    @staged("fenced")
    def test_a_start_that_prepares_late_destroys_nothing_of_the_next(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        into.load(records("old"))
        job = into.job()
        late = late_start(job)
        job.start()
        job.commit(0, records("a"))
        late()
        job.commit(1, records("b"))
        late()
        job.publish()
        assert self.ids(config) == [*["a", "b"], *(["old"] if mode is INCREMENTAL else [])]

    @staged("fenced")
    def test_an_older_job_that_prepares_late_destroys_nothing_of_a_newer_one(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        into.load(records("old"))
        late, job = late_start(into.job()), into.job()
        job.start()
        job.commit(0, records("a"))
        late()
        job.commit(1, records("b"))
        job.publish()
        late()
        assert self.ids(config) == [*["a", "b"], *(["old"] if mode is INCREMENTAL else [])]

    @staged("marks_output")
    def test_the_output_names_the_job_that_published_it_last(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        found = into.open("nothing was published").output()
        assert found.published_by is None
        assert found.has_rows in (False, None)
        for name in ("a", "b"):
            job = into.job()
            job.run(records(name))
            after = job.destination.output()
            assert (after.published_by, after.has_rows) == (job.id, True)
            assert into.open("another run").output() == after
            assert dict(after.identity) == dict(found.identity)
        job = into.job()
        job.start()
        job.commit(0, records("c"))
        assert job.destination.output() == after, "what is staged is not published"

    @staged("fenced")
    def test_a_start_that_was_frozen_writes_and_publishes_nothing(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        into.load(records("old"))
        job = into.job()
        job.start()
        job.commit(0, records("a"))
        frozen = FrozenStart(job)
        job.start()
        frozen.write(1, records("b"))
        job.commit(1, records("b"))
        frozen.write(2, records("c"))
        frozen.publish()
        assert self.ids(config) == ["old"], "the frozen start has published"
        job.commit(2, records("c"))
        frozen.write(1, records("b"))
        frozen.write(3, records("d"))
        job.publish()
        wanted = ["a", "b", "c", *(["old"] if mode is INCREMENTAL else [])]
        assert self.ids(config) == wanted
        frozen.write(3, records("d"))
        frozen.publish()
        assert self.ids(config) == wanted

    @staged("fenced")
    def test_a_start_that_was_frozen_before_it_published_leaves_the_next_job_alone(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        job = into.job()
        job.start()
        job.commit(0, records("a"))
        frozen = FrozenStart(job)
        job.restart_and_publish()
        following = into.job()
        following.start()
        following.commit(0, records("b"))
        frozen.write(1, records("a"))
        frozen.publish()
        assert self.ids(config) == ["a"]
        following.commit(1, records("c"))
        following.publish()
        assert self.ids(config) == (["b", "c"] if mode is FULL_REFRESH else ["a", "b", "c"])

    @staged("owns_output")
    def test_another_pipeline_is_refused(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        pipeline(mode, name="first").load(records("a"))
        second = pipeline(mode, name="second")
        with pytest.raises(BizonError):
            second.load(records("b"))
        assert self.ids(config) == ["a"]

    @in_modes((STREAM,), "stages", "owns_output")
    def test_a_row_that_names_the_table_of_another_pipeline_is_refused_alone(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        other = self.other_table(config)
        pipeline(mode, other, "first").load(records("theirs"))
        job = pipeline(mode, name="second").job()
        job.start()
        for _ in range(2):
            with pytest.raises(RowsRejectedError) as refused:
                job.write(0, records("a", "b"), table=other)
            assert set(refused.value.reasons) == {0, 1}, "rows are left that the loader would send again"
        job.commit(0, records("c"))
        job.start()
        job.commit(1, records("d"))
        assert self.ids(config, other) == ["theirs"]
        assert self.ids(config) == ["c", "d"]

    @in_modes((INCREMENTAL,), "stages", "owns_output")
    def test_a_run_whose_state_was_lost_does_not_append_everything_again(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        pipeline(mode).load(records("a"))
        lost = pipeline(mode)
        with pytest.raises(BizonError):
            lost.load(records("a"))
        assert self.ids(config) == ["a"]
        with suppress(BizonError):
            lost.load(records("a"))
        assert self.ids(config) == ["a"], "the second try has appended"
        lost.job().run(records("b"), adopt=True)
        assert self.ids(config) == ["a", "b"]

    @every_mode("shows_presence")
    def test_a_start_of_another_state_is_refused_while_a_job_is_running(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        job = into.job()
        job.start()
        job.commit(0, records("a"))
        with stranger_to(into) as stranger:
            with pytest.raises(DestinationConnectionError, match="whose job the state of this run does not know"):
                stranger.load(records("theirs"))
            job.commit(1, records("b"))
            job.end()
            assert self.ids(config) == ["a", "b"]
            into.close()
            stranger.load(records("theirs"))
        assert "theirs" in self.ids(config)

    @every_mode("shows_presence")
    def test_a_start_that_still_lives_keeps_out_no_start_that_the_state_knows(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        """The first start and the first job are frozen, and hold what they held."""
        into = pipeline(mode)
        job = into.job()
        job.start()
        job.start()
        job.commit(0, records("a"))
        job.end()
        into.load(records("b"))
        assert "b" in self.ids(config)

    @every_mode("shows_presence")
    def test_the_start_that_took_over_keeps_out_another_state_until_it_ends(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        job = into.job()
        job.start()
        earlier = job.destination
        job.start()
        job.commit(0, records("a"))
        into.opened.remove(earlier)
        earlier.close()
        with stranger_to(into) as stranger:
            with pytest.raises(DestinationConnectionError, match="whose job the state of this run does not know"):
                stranger.load(records("theirs"))
            job.bury()
            stranger.load(records("theirs"))
        assert "theirs" in self.ids(config)


@contextmanager
def stranger_to(pipeline: Pipeline) -> Iterator[Pipeline]:
    """Within: the same pipeline, with a state of its own."""
    with BackendFactory.in_memory() as backend:
        backend.create_all_tables()
        stranger = replace(pipeline, backend=backend, has_history=True, opened=[])
        try:
            yield stranger
        finally:
            stranger.close()
