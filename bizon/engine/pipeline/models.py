"""Values that travel between the workers, the loader and the runner."""

from collections.abc import Mapping, MutableSequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from bizon.common.errors.errors import FailureClass
from bizon.destination.models import BatchRange  # earlier guides import it from here
from bizon.destination.models import ResumePoint as ResumePoint
from bizon.engine.backend.models import CommitRecord

if TYPE_CHECKING:
    import polars as pl

    from bizon.engine.partitions import PageOrigin
    from bizon.engine.pipeline.run import Run
    from bizon.monitoring.monitor import AbstractMonitor


class PipelineReturnStatus(StrEnum):
    """How a worker ended."""

    SUCCESS = "success"
    RUNNING = "running"
    KILLED_BY_RUNNER = "killed_by_runner"
    SOURCE_ERROR = "source_error"
    QUEUE_ERROR = "queue_error"
    TRANSFORM_ERROR = "transform_error"
    DESTINATION_ERROR = "destination_error"
    BACKEND_ERROR = "backend_error"
    STREAM_ERROR = "stream_error"

    @property
    def failure_class(self) -> FailureClass | None:
        """The part that failed, which the value names; None without a failure."""
        if self is PipelineReturnStatus.KILLED_BY_RUNNER:
            return FailureClass.KILLED
        return FailureClass(self.removesuffix("_error")) if self.endswith("_error") else None


class PageMark(NamedTuple):
    """The rest of a page whose rows are in the buffer: its number, and where to go on after it. ``origin``: its
    partition, and its number there."""

    iteration: int
    pagination: dict[str, Any]
    next_state: dict[str, Any] | None = None
    origin: "PageOrigin | None" = None


class Batch(NamedTuple):
    """Contiguous pages ready to be written. ``frame``: destination frame with ``destination_id``, perhaps empty, and
    perhaps with refused rows (:mod:`bizon.rows.rejects`)."""

    frame: "pl.DataFrame"
    pages: tuple[PageMark, ...]

    @property
    def from_iteration(self) -> int:
        """First page, inclusive."""
        return self.pages[0].iteration

    @property
    def to_iteration(self) -> int:
        """Last page, inclusive."""
        return self.pages[-1].iteration

    @property
    def range(self) -> BatchRange:
        """Its pages, as destinations receive them."""
        return BatchRange(self.from_iteration, self.to_iteration)


class TableRows(NamedTuple):
    """How many rows of a batch one table has taken."""

    destination_id: str
    rows: int


class WrittenBatch(NamedTuple):
    """A batch that the destination has taken and that is not recorded yet. ``tables``: those that took rows;
    ``receipt`` and ``letters_receipt``: how the two destinations recognise the rows they wrote. ``rescued``: values
    that had no room in their column."""

    pages: tuple[PageMark, ...]
    tables: tuple[TableRows, ...]
    rejected: int
    dead_letters: int
    receipt: Mapping[str, Any] | None = None
    letters_receipt: Mapping[str, Any] | None = None
    rescued: int = 0

    @property
    def written(self) -> int:
        """Rows that were delivered."""
        return sum(table.rows for table in self.tables)

    @property
    def first(self) -> int:
        """First page, inclusive."""
        return self.pages[0].iteration

    @property
    def last(self) -> int:
        """Last page, inclusive."""
        return self.pages[-1].iteration

    def record(self, run: "Run", destination_name: str, pagination: dict[str, Any], *, extends: bool) -> CommitRecord:
        """The destination cursor of the batch."""
        return CommitRecord(
            job_id=run.job_id,
            epoch=run.epoch,
            key=run.key,
            destination_name=destination_name,
            from_source_iteration=self.first,
            to_source_iteration=self.last,
            rows_written=self.written,
            dead_letters=self.dead_letters,
            pagination=pagination,
            next_state=next((page.next_state for page in reversed(self.pages) if page.next_state is not None), None),
            extends=extends,
            receipt=self.receipt,
            letters_receipt=self.letters_receipt,
            partition=run.part,
        )

    @property
    def origins(self) -> list[tuple["PageOrigin", dict[str, Any]]]:
        """The pages of partitions, each with the pagination of the next one."""
        return [(page.origin, page.pagination) for page in self.pages if page.origin is not None]


class Parts(NamedTuple):
    """The parts of a joined job that one command, or one of its workers, has taken, and those that it has finished."""

    taken: int = 0
    finished: int = 0


class WorkerResult(NamedTuple):
    """How one worker ended; ``error`` is text, no exception crosses to the runner.

    ``published`` is set by the consuming side when ``finalize`` returned true; ``capped`` by the producing side when
    ``max_iterations`` ended the run before the source was exhausted. ``where`` and ``dead_letters``: the places of the
    records and of the dead letters, in words. ``overtaken``: another start has taken the job over.
    ``watermark_refused``: the output is not the one that the watermark belongs to; nothing was fetched.
    ``refused``: a destination's ``check_connection`` raised ConfigError; nothing was fetched or staged.
    ``misses_package``: an optional package turned out not to be installed. ``parts``: of a worker of a joined job.
    """

    status: PipelineReturnStatus
    error: str | None = None
    published: bool = False
    capped: bool = False
    where: str | None = None
    dead_letters: str | None = None
    overtaken: bool = False
    watermark_refused: bool = False
    refused: bool = False
    misses_package: bool = False
    parts: Parts = Parts()

    @property
    def is_success(self) -> bool:
        """True when the worker reached the end of its work."""
        return self.status is PipelineReturnStatus.SUCCESS

    def tracked_by(self, monitor: "AbstractMonitor") -> Self:
        """The result itself, once the monitor knows how the worker ended."""
        monitor.track_pipeline_status(self.status)
        return self


class ProgressSnapshot(NamedTuple):
    """The progress of a run, for display. ``total_records`` is None while unknown; ``records_rejected`` could not be
    delivered and were skipped or became dead letters; ``lag`` counts records in the source that were not fetched yet.
    ``values_rescued`` had no room in their column, and are kept next to it.
    ``pages_before`` and ``records_before`` were committed by earlier starts of the job; the others count this start.
    """

    pages: int
    records_fetched: int
    bytes_fetched: int
    records_written: int
    total_records: int | None
    records_rejected: int = 0
    lag: int | None = None
    pages_before: int = 0
    records_before: int = 0
    values_rescued: int = 0


_PAGES, _FETCHED, _BYTES, _WRITTEN, _TOTAL, _REJECTED, _LAG, _PAGES_BEFORE, _RECORDS_BEFORE, _RESCUED = range(10)
_UNKNOWN = -1


class Progress:
    """Counters of a run, in ten integers that may live in memory shared by processes.

    Each counter has one writer: the producing side or the consuming side; readers see a recent value.
    """

    SLOTS = 10

    def __init__(self, slots: MutableSequence[int] | None = None) -> None:
        self._slots = [0] * self.SLOTS if slots is None else slots
        self._slots[_TOTAL] = self._slots[_TOTAL] or _UNKNOWN
        self._slots[_LAG] = self._slots[_LAG] or _UNKNOWN
        self._lanes: list[MutableSequence[int]] = []

    def lane(self, slots: MutableSequence[int] | None = None) -> "Progress":
        """Counters for one of several producers or workers, which ``snapshot`` adds to these."""
        self._lanes.append([0] * self.SLOTS if slots is None else slots)
        return Progress(self._lanes[-1])

    def expect(self, total_records: int | None) -> None:
        """The producing side knows how many records the stream has."""
        self._slots[_TOTAL] = _UNKNOWN if total_records is None else total_records

    def resumes(self, pages: int, records: int) -> None:
        """The producing side resumes after this many committed pages and records."""
        self._slots[_PAGES_BEFORE] = pages
        self._slots[_RECORDS_BEFORE] = records

    def note_lag(self, lag: int | None) -> None:
        """The producing side knows how many records in the source were not fetched yet."""
        self._slots[_LAG] = _UNKNOWN if lag is None else lag

    def fetched(self, records: int, size: int) -> None:
        """The producing side handed over a page of ``size`` bytes."""
        self._slots[_PAGES] += 1
        self._slots[_FETCHED] += records
        self._slots[_BYTES] += size

    def committed(self, written: int, rejected: int, rescued: int = 0) -> None:
        """The consuming side committed ``written`` records, and could not deliver ``rejected``. ``rescued``: values
        that had no room in their column."""
        self._slots[_WRITTEN] += written
        self._slots[_REJECTED] += rejected
        self._slots[_RESCUED] += rescued

    def snapshot(self) -> ProgressSnapshot:
        """The counters now."""
        total, lag = self._slots[_TOTAL], self._slots[_LAG]
        return ProgressSnapshot(
            pages=self._total(_PAGES),
            records_fetched=self._total(_FETCHED),
            bytes_fetched=self._total(_BYTES),
            records_written=self._total(_WRITTEN),
            total_records=None if total == _UNKNOWN else total,
            records_rejected=self._total(_REJECTED),
            lag=None if lag == _UNKNOWN else lag,
            pages_before=self._slots[_PAGES_BEFORE],
            records_before=self._slots[_RECORDS_BEFORE],
            values_rescued=self._total(_RESCUED),
        )

    def _total(self, slot: int) -> int:
        return sum(slots[slot] for slots in (self._slots, *self._lanes))
