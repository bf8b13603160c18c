"""Behaviours of destinations on bad days: rows that are missing from staging, and starts that wake up too late."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeVar

import pytest

from bizon.common.errors.errors import BizonError
from bizon.source.config import SourceSyncModes
from bizon.testing.destination_jobs import OpenPipeline, late_start, records

if TYPE_CHECKING:
    from bizon.destination.config import AbstractDestinationConfig

FULL_REFRESH, INCREMENTAL = SourceSyncModes.FULL_REFRESH, SourceSyncModes.INCREMENTAL
staged = pytest.mark.parametrize("mode", [FULL_REFRESH, INCREMENTAL])


Test = TypeVar("Test", bound=Callable[..., None])
_CLAIMS: dict[str, str] = {}  # by name of the test


def claimed_by(claim: str) -> Callable[[Test], Test]:
    """A behaviour that only those have who claim it."""

    def note(test: Test) -> Test:
        _CLAIMS[test.__name__] = claim
        return test

    return note


class DestinationGuards:
    """A part of ``DestinationConformance``.

    ``counts_staged_rows``: rows that are recorded and not staged stop the publication. ``fenced``: a superseded
    start removes and replaces nothing. ``marks_output``: ``output`` tells which job published last, and whether
    there are rows. Claim them with True: every destination that stages should.
    """

    counts_staged_rows: ClassVar[bool] = False
    fenced: ClassVar[bool] = False
    marks_output: ClassVar[bool] = False
    modes: ClassVar[Sequence[SourceSyncModes]]

    def __init_subclass__(cls) -> None:
        """Drop the tests of unclaimed behaviours, so that none is reported as skipped."""
        super().__init_subclass__()
        for test, claim in _CLAIMS.items():
            if test not in cls.__dict__:
                setattr(cls, test, DestinationGuards.__dict__[test] if getattr(cls, claim) else None)

    def ids(self, config: "AbstractDestinationConfig", table: str | None = None) -> list[str]:
        """Record ids that a reader finds, sorted; ``DestinationConformance`` reads them."""
        raise NotImplementedError

    @staged
    @claimed_by("counts_staged_rows")
    def test_rows_that_are_recorded_and_not_staged_stop_the_publication(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: SourceSyncModes
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

    @staged
    @claimed_by("fenced")
    def test_a_start_that_prepares_late_destroys_nothing_of_the_next(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: SourceSyncModes
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

    @staged
    @claimed_by("fenced")
    def test_an_older_job_that_prepares_late_destroys_nothing_of_a_newer_one(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: SourceSyncModes
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

    @staged
    @claimed_by("marks_output")
    def test_the_output_names_the_job_that_published_it_last(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: SourceSyncModes
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
