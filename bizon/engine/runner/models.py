"""The parts of a run, and how it ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from bizon.common.errors.errors import FailureClass, RunFailedError
from bizon.common.scrub import Scrubber
from bizon.common.sync import SyncMetadata
from bizon.engine.pipeline.models import Parts, PipelineReturnStatus, Progress, ResumePoint
from bizon.engine.pipeline.run import Run
from bizon.monitoring.monitor import AbstractMonitor, MonitorFactory

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.partitions import Partition
    from bizon.engine.pipeline.consumer import EndWatch
    from bizon.engine.pipeline.producer import StopFlag
    from bizon.engine.queue.queue import AbstractQueue
    from bizon.source.models import SourceIncrementalState

_KILLED = PipelineReturnStatus.KILLED_BY_RUNNER


@dataclass(frozen=True, slots=True)
class RunContext:
    """Everything a worker needs to know; threads and processes get the same. Picklable.

    ``replaces``: the output replaces the old one although the sync mode would append. ``spool``: folder for waiting
    pages, None when they are not spooled. ``producers``: how many fetch partitions at once. ``plan``: of the part that
    this worker of a joined job fetches. ``secrets``: values that no output may show.
    """

    config: "BizonConfig"
    run: "Run"
    incremental: "SourceIncrementalState | None"
    replaces: bool = False
    spool: Path | None = None
    producers: int = 1
    plan: dict[str, Any] | None = None
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    @classmethod
    def without_job(cls, config: "BizonConfig", incremental: "SourceIncrementalState | None") -> "RunContext":
        """For fetching records that no state keeps."""
        name = config.job_name
        return cls(config, Run(name, config.stream_key, 1, 1, ResumePoint(name)), incremental)

    @property
    def sync_metadata(self) -> SyncMetadata:
        """The run as the destination and the monitor know it."""
        return SyncMetadata.from_bizon_config(self.run.job_id, self.config, replaces=self.replaces)

    def new_monitor(self) -> AbstractMonitor:
        """The monitor of one role."""
        return MonitorFactory.get_monitor(self.sync_metadata)

    def brief(self, text: str) -> str:
        """A text for outputs: short, and without the secrets of the run."""
        return Scrubber(self.secrets).brief(text)


class Gate(Protocol):
    """The consuming side opens it once the destination is checked and prepared; nothing is fetched before."""

    def set(self) -> None: ...

    def wait(self, timeout: float) -> bool: ...


class Links(NamedTuple):
    """How a worker reaches the others: made by the runner for its kind of worker. ``watch``: for queues that do not
    report that the other role is gone. ``share``: the work of one of several producers."""

    queue: "AbstractQueue"
    backend: "AbstractBackend"
    stop: "StopFlag"
    gate: Gate
    progress: Progress
    watch: "EndWatch | None" = None
    share: "Share | None" = None


class Share(NamedTuple):
    """``take``: the next partition that nobody has taken, None when there is none. ``most_pages``: how many pages the
    producer may fetch; None = no limit."""

    take: "Callable[[], Partition | None]"
    most_pages: int | None = None


class RunnerStatus(NamedTuple):
    """How a run ended. ``producer`` and ``consumer`` are set, or ``stream``; one of them when a role ran alone.

    ``published``: the output is complete and in its place. ``capped``: ``max_iterations`` ended the run.
    ``interrupted``: ``stop`` was called. ``records_fetched``: handed to the queue; ``records_written``: committed;
    ``records_rejected``: could not be delivered, and were skipped or became dead letters. ``values_rescued``: had no
    room in their column, and are kept next to it.
    ``overtaken``: another start took the job over. ``watermark_refused``: the output is not the one that the watermark
    belongs to; nothing was fetched. ``refused``: a destination's ``check_connection`` raised ConfigError; nothing was
    fetched or staged. ``misses_package``: an optional package is not installed. ``where`` and ``dead_letters``: the
    places of both, in words. ``parts``: what this command did of a joined job; None for other jobs.
    """

    job_id: str
    producer: PipelineReturnStatus | None = None
    consumer: PipelineReturnStatus | None = None
    stream: PipelineReturnStatus | None = None
    error: str | None = None
    published: bool = False
    capped: bool = False
    interrupted: bool = False
    records_fetched: int = 0
    records_written: int = 0
    records_rejected: int = 0
    values_rescued: int = 0
    resumed_from: int | None = None
    overtaken: bool = False
    watermark_refused: bool = False
    refused: bool = False
    misses_package: bool = False
    where: str | None = None
    dead_letters: str | None = None
    parts: Parts | None = None

    @property
    def is_success(self) -> bool:
        """True when every worker succeeded."""
        return all(status is PipelineReturnStatus.SUCCESS for status in self._workers.values())

    def raise_on_failure(self) -> Self:
        """The status itself after a success. Raises RunFailedError, which carries it, after a failure or an
        interruption."""
        if self.is_success and not self.interrupted:
            return self
        raise RunFailedError(f"{self.to_string()}: {self.error or 'no reason was given'}", self)

    def causes(self) -> str:
        """How each worker ended, in words; without the workers that ended only because the other had."""
        causes = {name: status for name, status in self._workers.items() if status is not _KILLED}
        return _listed(causes) or "stopped by the runner"

    @property
    def failure_class(self) -> FailureClass | None:
        """The part that failed, in one word; None for a success."""
        if self.is_success:
            return None
        if self.misses_package:
            return FailureClass.CONFIG
        failed = [status for status in self._workers.values() if status not in (PipelineReturnStatus.SUCCESS, _KILLED)]
        cause = failed[0] if failed else _KILLED
        return cause.failure_class or FailureClass.UNKNOWN

    def to_string(self) -> str:
        """One line for a person."""
        outcome = "Success" if self.is_success else "Failure"
        return f"Pipeline finished with status {outcome} ({_listed(self._workers)})"

    @property
    def _workers(self) -> dict[str, PipelineReturnStatus]:
        named = {"producer": self.producer, "consumer": self.consumer, "stream": self.stream}
        return {name: status for name, status in named.items() if status is not None}


def _listed(workers: Mapping[str, PipelineReturnStatus]) -> str:
    return ", ".join(f"{name.capitalize()}: {status.value}" for name, status in workers.items())
