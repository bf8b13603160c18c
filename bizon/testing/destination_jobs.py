"""Jobs that load into a destination, with the parts of the loader and of the state played by the test."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from bizon.common.sync import SyncMetadata
from bizon.destination.destination import AbstractDestination
from bizon.destination.models import BatchRange, CommittedBatch, ResumePoint
from bizon.engine.backend.models import StreamKey
from bizon.monitoring.monitor import NoOpMonitor
from bizon.rows.frames import DESTINATION_COLUMNS, SOURCE_SCHEMA, SourcePage, records_to_frame, to_destination_frame
from bizon.source.callback import NoOpSourceCallback
from bizon.source.config import SourceConfig, SourceSyncModes
from bizon.source.models import SourceRecord

if TYPE_CHECKING:
    from bizon.destination.config import AbstractDestinationConfig
    from bizon.engine.backend.backend import AbstractBackend

EXTRACTED = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LOADED = EXTRACTED + timedelta(seconds=7, microseconds=1)

SOURCE_NAME, STREAM_NAME = "source", "items"

Page = Sequence[SourceRecord]
Build = Callable[..., AbstractDestination]
"""Called as ``DestinationConformance.build``."""
OpenPipeline = Callable[..., "Pipeline"]


class RawPage(tuple[tuple[str, str], ...]):
    """A page of records that no Python value stands for: id and JSON text of each."""


def records(*ids: str) -> list[SourceRecord]:
    """A page of plain records."""
    return [SourceRecord(id=id_, data={"name": f"record {id_}"}) for id_ in ids]


@dataclass
class Pipeline:
    """A pipeline with the destination under test. ``close`` ends what its jobs have opened."""

    build: Build
    config: "AbstractDestinationConfig"
    sync_mode: SourceSyncModes
    backend: "AbstractBackend"
    name: str = "conformance"
    has_history: bool = False
    opened: list[AbstractDestination] = field(default_factory=list)

    def job(self) -> "Job":
        """A new job; one before it that was not published is given up."""
        return Job(self)

    def load(self, *pages: Page) -> None:
        """A job that delivers these pages, a batch each, and publishes them."""
        self.job().run(*pages)

    def open(self, job_id: str) -> AbstractDestination:
        """The destination of a run that begins."""
        metadata = SyncMetadata(
            name=self.name,
            job_id=job_id,
            source_name=SOURCE_NAME,
            stream_name=STREAM_NAME,
            sync_mode=self.sync_mode,
            destination_name=str(self.config.name),
            destination_alias=self.config.alias,
        )
        callback = NoOpSourceCallback(SourceConfig(name=SOURCE_NAME, stream=STREAM_NAME, sync_mode=self.sync_mode))
        destination = self.build(metadata, self.config.config, self.backend, callback, NoOpMonitor(metadata))
        self.opened.append(destination)
        return destination

    def close(self) -> None:
        """Close every destination once."""
        while self.opened:
            self.opened.pop().close()


class Job:
    """A job over its starts, as the state knows it. Every start but the latest counts as dead, not as closed. ``of``:
    the job that this is a part of."""

    def __init__(self, pipeline: Pipeline, of: "Job | None" = None) -> None:
        self._pipeline = pipeline
        if of is None:
            key = StreamKey(pipeline.name, SOURCE_NAME, STREAM_NAME)
            job = pipeline.backend.create_stream_job(key, pipeline.sync_mode.value)
            self.id, self.created_us = job.id, job.created_us
        else:
            self.id, self.created_us = of.id, of.created_us
        self._last: int | None = None
        self.committed: list[CommittedBatch] = []
        self._receipt: Mapping[str, Any] | None = None
        self._exhausted = False
        self._starts = 0
        self._latest: AbstractDestination | None = None

    def start(self, *, adopt: bool = False) -> None:
        """A run that begins where the last checkpoint says."""
        self._latest = None
        self._latest, resume = self.connect()
        self._latest.prepare(replace(resume, adopt=adopt))

    def connect(self) -> tuple[AbstractDestination, ResumePoint]:
        """A run that has not prepared yet, and its resume point."""
        self._starts += 1
        destination = self._pipeline.open(self.id)
        assert destination.check_connection() is True
        return destination, self.resume_point()

    @property
    def destination(self) -> AbstractDestination:
        """The destination of the latest start."""
        assert self._latest is not None, "the job was not started"
        return self._latest

    def resume_point(self) -> ResumePoint:
        """The resume point of the latest start."""
        is_stream = self._pipeline.sync_mode is SourceSyncModes.STREAM
        return ResumePoint(
            self.id,
            last_iteration=self._last,
            rows_written=sum(batch.rows for batch in self.committed),
            exhausted=self._exhausted,
            has_history=self._pipeline.has_history,
            epoch=self._starts,
            job_created_us=self.created_us,
            committed=() if is_stream else tuple(self.committed),
        )

    def write(self, first: int, *pages: Page | RawPage, table: str | None = None) -> pl.DataFrame:
        """One call of the loader, not recorded: these pages, numbered from ``first``. Gives the rows."""
        numbered = enumerate(pages, first)
        found = [SourcePage(number, EXTRACTED, _frame(page), self._mark(number)) for number, page in numbered]
        rows = to_destination_frame(found, self.id, LOADED)[DESTINATION_COLUMNS]
        self.destination.batch = BatchRange(first, first + len(pages) - 1)
        self.destination.destination_id = table or self.destination.default_destination_id
        answer = self.destination.write_records(rows)
        assert answer == (True, None), f"write_records answered {answer}"
        self._receipt = self.destination.receipt()
        return rows

    def record(self, last: int, rows: int) -> None:
        """The checkpoint: pages up to ``last`` are safe, ``rows`` more than before."""
        first = 0 if self._last is None else self._last + 1
        self.committed.append(CommittedBatch(first, last, rows, self._receipt if rows else None))
        self._last, self._pipeline.has_history = last, True

    def forget_receipt(self) -> None:
        """No batch was written since the last checkpoint."""
        self._receipt = None

    def commit(self, first: int, *pages: Page | RawPage) -> None:
        """Write a batch and record it; pages without records are only recorded."""
        rows, last = self.write(first, *pages).height if any(pages) else 0, first + len(pages) - 1
        if rows:
            assert self.destination.landed(wait=True) >= last, "landed(wait=True) returned before all rows had landed"
        self.record(last, rows)

    def as_it_is(self) -> "Job":
        """The same start with the checkpoints it knows now; what the job does from here on does not change it."""
        frozen = copy(self)
        self.committed = list(self.committed)
        return frozen

    def exhaust(self) -> None:
        """The source has no more pages, and all are recorded."""
        self._exhausted = True

    def publish(self) -> None:
        """The loader's last calls of a job."""
        self.exhaust()
        self.destination.verify(self.committed)
        assert self.destination.finalize() is True, "finalize did not answer True"

    def restart_and_publish(self) -> None:
        """A run that finds nothing left but to publish."""
        self.exhaust()
        self.start()
        self.publish()

    def end(self) -> None:
        """All pages are recorded: the loader publishes, except in sync mode stream."""
        if self._pipeline.sync_mode is not SourceSyncModes.STREAM:
            self.publish()

    def run(self, *pages: Page | RawPage, adopt: bool = False) -> None:
        """A whole run, a batch for each page."""
        self.start(adopt=adopt)
        for number, page in enumerate(pages):
            self.commit(number, page)
        self.end()

    def deliver(self, pages: Sequence[Page | RawPage], *, together: bool = False) -> None:
        """A run that writes the pages without a checkpoint, a batch each or all ``together``, and publishes."""
        self.start()
        following = pages[self.resume_point().next_iteration :]
        for batch in [following] if together and following else [[page] for page in following]:
            self.commit(self.resume_point().next_iteration, *batch)
        self.end()

    def _mark(self, page: int) -> str | None:
        """The page in the ids of its rows, unless that is its number."""
        return None

    def bury(self) -> None:
        """The latest start is dead, and nothing holds what it had opened."""
        dead, self._latest = self._latest, None
        if dead is not None:
            self._pipeline.opened.remove(dead)
            with suppress(Exception):
                dead.close()


def _frame(page: Page | RawPage) -> pl.DataFrame:
    if not isinstance(page, RawPage):
        return records_to_frame(page, EXTRACTED)
    ids, texts = [id_ for id_, _ in page], [text for _, text in page]
    moments, none = [EXTRACTED] * len(page), [None] * len(page)
    return pl.DataFrame([ids, texts, moments, none], schema=SOURCE_SCHEMA)
