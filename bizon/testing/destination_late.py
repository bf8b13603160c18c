"""Starts that were frozen: others have taken over when they wake up."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from bizon.common.errors.errors import BizonError

if TYPE_CHECKING:
    from bizon.testing.destination_jobs import Job, Page, RawPage


def late_start(job: "Job") -> Callable[[], None]:
    """A start that is frozen before it prepares. Call the result to wake it up: it prepares, or finds that another
    start has taken over."""
    destination, resume = job.connect()

    def wake_up() -> None:
        with suppress(BizonError):
            destination.prepare(resume)

    return wake_up


class FrozenStart:
    """The latest start of a job, frozen from now on. Each call wakes it up, and may fail."""

    def __init__(self, job: "Job") -> None:
        self._job = job.as_it_is()

    def write(self, first: int, page: "Page | RawPage") -> None:
        """It writes a page. The state refuses its checkpoint."""
        with suppress(BizonError, AssertionError):
            self._job.write(first, page)

    def publish(self) -> None:
        """It publishes what it has recorded."""
        with suppress(BizonError, AssertionError):
            self._job.publish()
