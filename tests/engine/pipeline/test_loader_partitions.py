"""The commit point of a job with partitions: one cursor for pages of several chains, published when none is left."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fakes import ListDestination, RecordingCallback, memory_backend, new_job, run_of

from bizon.common.errors.errors import FinalizeError, QueueError
from bizon.destination.buffer import DestinationBuffer
from bizon.engine.partitions import PageOrigin, Positions
from bizon.engine.pipeline.consumer import Consumer, Outcome
from bizon.engine.pipeline.fetcher import end_of_stream
from bizon.engine.pipeline.loader import Loader
from bizon.engine.pipeline.models import Batch, PageMark, Progress
from bizon.engine.queue.adapters.python_queue.config import PythonQueueConfigDetails
from bizon.engine.queue.adapters.python_queue.queue import PythonQueue
from bizon.engine.queue.models import QueueMessage, Signal
from bizon.monitoring.monitor import NoOpMonitor
from bizon.rows.frames import SourcePage, empty_source_frame, records_to_frame, to_destination_frame
from bizon.source.models import SourceRecord
from bizon.transform.transform import Transform

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Pages = Sequence[tuple[int, int]]
"""Partition and number; page 1 of a partition is its last one."""


class Bench:
    """A job with two partitions of two pages each."""

    def __init__(self) -> None:
        self.destination, self.backend = ListDestination(), memory_backend()
        self.job_id = new_job(self.backend)
        kept = self.backend.keep_partitions(self.job_id, [{"n": 0}, {"n": 1}], epoch=0)
        self.run = run_of(self.job_id)._replace(partitions=kept)
        self.ids: list[str] = []
        self.loader = Loader(
            destination=self.destination,
            backend=self.backend,
            run=self.run,
            ack=lambda _to: None,
            callback=RecordingCallback(),
            monitor=NoOpMonitor(self.destination.sync_metadata),
            progress=Progress(),
        )

    def write(self, first: int, pages: Pages) -> None:
        frame = to_destination_frame([SourcePage(first, NOW, empty_source_frame())], self.job_id, NOW)
        marks = (
            PageMark(first + at, following(page), None, PageOrigin(part, page)) for at, (part, page) in enumerate(pages)
        )
        self.loader.write(Batch(frame, tuple(marks)))

    @property
    def positions(self) -> Positions:
        cursor = self.backend.get_last_cursor_by_job_id(self.job_id)
        assert cursor is not None
        return Positions.of_checkpoint(self.run.partitions, cursor.pagination)


def following(page: int) -> dict[str, int]:
    return {} if page else {"page": 1}


def test_one_cursor_says_where_each_partition_continues() -> None:
    bench = Bench()
    bench.write(0, [(1, 0), (0, 0), (1, 1)])
    (cursor,) = bench.backend.committed(bench.job_id).cursors
    assert (cursor.from_source_iteration, cursor.to_source_iteration) == (0, 2)
    assert [each.number for each in bench.positions.left] == [0]
    assert bench.positions.position_of(0) == (1, {"page": 1})


@pytest.mark.parametrize("pages", [[(0, 0)], [(1, 1)]], ids=["repeat", "gap"])
def test_a_page_that_does_not_follow_in_its_partition_is_not_recorded(pages: Pages) -> None:
    bench = Bench()
    bench.write(0, [(0, 0)])
    with pytest.raises(QueueError, match="of partition"):
        bench.write(1, pages)
    assert len(bench.backend.committed(bench.job_id).cursors) == 1


def test_nothing_is_published_while_a_partition_is_left() -> None:
    bench = Bench()
    bench.write(0, [(0, 0), (0, 1), (1, 0)])
    with pytest.raises(FinalizeError, match="1 partitions are not exhausted"):
        bench.loader.publish()
    assert "finalize" not in bench.destination.calls


def test_a_job_is_published_when_every_partition_is_exhausted() -> None:
    bench = Bench()
    bench.write(0, [(0, 0), (0, 1), (1, 0), (1, 1)])
    bench.loader.publish()
    assert bench.destination.calls == ["finalize"]


def ids_when_pages_arrive(pages: Pages) -> set[str]:
    """The ``bizon_id`` of each row, without the id of the job."""
    bench = Bench()
    queue, written = PythonQueue(PythonQueueConfigDetails()), list[str]()
    bench.destination.write_records = lambda frame: (written.extend(frame["bizon_id"]) is None, None)  # type: ignore[method-assign]
    consumer = Consumer(
        queue=queue,
        transform=Transform([]),
        buffer=DestinationBuffer(0, 0),
        loader=bench.loader,
        run=bench.run,
        poll_interval=0.01,
        producers=1,
    )
    for part, page in pages:
        frame = records_to_frame([SourceRecord(id=f"{part} {page}", data={})], NOW)
        queue.put(QueueMessage(bench.job_id, 0, page, frame, NOW, following(page), partition=part), timeout=0)
    queue.put(end_of_stream(bench.run, 0, Signal.COMPLETE), timeout=0)
    assert consumer.run() is Outcome.PUBLISHED
    return {id_.removeprefix(bench.job_id[:16]) for id_ in written}


def test_a_row_has_the_same_id_whenever_its_page_arrives() -> None:
    found = ids_when_pages_arrive([(0, 0), (0, 1), (1, 0), (1, 1)])
    assert len(found) == 4
    assert ids_when_pages_arrive([(1, 0), (0, 0), (1, 1), (0, 1)]) == found


def test_nothing_is_published_while_a_part_of_a_joined_job_is_left() -> None:
    bench = Bench()
    bench.backend.join_job(bench.job_id, epoch=0)
    bench.loader.run = run_of(bench.job_id)._replace(resume=replace(bench.run.resume, parts=2, exhausted=True))
    with pytest.raises(FinalizeError, match="2 partitions are not exhausted"):
        bench.loader.publish()
    assert bench.destination.calls.count("finalize") == 0
