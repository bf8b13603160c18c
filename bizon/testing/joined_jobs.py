"""Joined jobs: several workers load a part each, and one start publishes, with the parts of the state played by the
test."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bizon.testing.destination_jobs import Job, records

if TYPE_CHECKING:
    from bizon.destination.models import ResumePoint
    from bizon.testing.destination_jobs import Page, Pipeline, RawPage


class PartOfJob(Job):
    """One part of a job, over the starts of its workers. Its pages are numbered from 0."""

    def __init__(self, job: "JoinedJob", number: int) -> None:
        super().__init__(job.pipeline, of=job)
        self.number = number

    def resume_point(self) -> "ResumePoint":
        """The resume point of the latest worker."""
        return replace(super().resume_point(), partition=self.number)

    def record(self, last: int, rows: int) -> None:
        """The checkpoint of the part."""
        super().record(last, rows)
        self.committed[-1] = self.committed[-1]._replace(partition=self.number)

    def end(self) -> None:
        """All pages are recorded; somebody else publishes."""
        self.exhaust()

    def _mark(self, page: int) -> str:
        return f"{self.number}-{page}"


class JoinedJob(Job):
    """A job in parts, and the starts that publish it."""

    def __init__(self, pipeline: "Pipeline", parts: int = 2) -> None:
        super().__init__(pipeline)
        self.pipeline = pipeline
        self.parts = [PartOfJob(self, number) for number in range(parts)]

    def resume_point(self) -> "ResumePoint":
        """The resume point of the latest publisher."""
        self._gather()
        return replace(super().resume_point(), parts=len(self.parts), exhausted=True)

    def publish(self) -> None:
        """The last calls of a publisher."""
        self._gather()
        super().publish()

    def begin_parts(self) -> None:
        """A worker for each part commits one page of one record, ``<part>.0``, and goes on."""
        for part in self.parts:
            part.start()
            part.commit(0, records(f"{part.number}.0"))

    def deliver_parts(self, pages: "Mapping[int, Sequence[Page | RawPage]]", **more: Any) -> None:
        """A worker for each part writes its pages that have no checkpoint, and another start publishes."""
        for number, each in pages.items():
            self.parts[number].deliver(each, **more)
        self.finish()

    def finish(self) -> None:
        """A start that finds all parts complete, and publishes them."""
        self.start()
        self.publish()

    def _gather(self) -> None:
        self.committed = [batch for part in self.parts for batch in part.committed]
