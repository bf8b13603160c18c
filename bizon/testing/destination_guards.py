"""Behaviours of destinations on bad days: rows that are missing from staging, and starts that wake up too late."""

from typing import TYPE_CHECKING

import pytest

from bizon.common.errors.errors import BizonError
from bizon.testing.destination_claims import INCREMENTAL, ClaimedBehaviours, staged
from bizon.testing.destination_jobs import OpenPipeline, records
from bizon.testing.destination_late import late_start

if TYPE_CHECKING:
    from bizon.destination.config import AbstractDestinationConfig
    from bizon.source.config import SourceSyncModes


class DestinationGuards(ClaimedBehaviours):
    """A part of ``DestinationConformance``: the claims ``counts_staged_rows``, ``fenced`` and ``marks_output``."""

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
