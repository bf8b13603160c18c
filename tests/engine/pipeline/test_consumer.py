"""The consuming side: which messages count, and what an end does."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fakes import KEY, ListDestination, RecordingCallback, memory_backend, new_job

from bizon.common.frames import records_to_frame
from bizon.destination.buffer import DestinationBuffer
from bizon.engine.pipeline.consumer import Consumer
from bizon.engine.pipeline.loader import Loader
from bizon.engine.pipeline.models import Progress, ResumePoint
from bizon.engine.queue.adapters.python_queue.config import PythonQueueConfigDetails
from bizon.engine.queue.adapters.python_queue.queue import PythonQueue
from bizon.engine.queue.models import QueueMessage, Signal
from bizon.monitoring.monitor import NoOpMonitor
from bizon.source.models import SourceRecord
from bizon.transform.transform import Transform

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Bench:
    """A consumer of the second start of a job."""

    def __init__(self) -> None:
        self.destination = ListDestination()
        backend = memory_backend()
        self.job_id = new_job(backend)
        self.epoch = [backend.open_epoch(self.job_id) for _ in range(2)][-1]
        self.queue = PythonQueue(PythonQueueConfigDetails())
        loader = Loader(
            destination=self.destination,
            backend=backend,
            key=KEY,
            resume=ResumePoint(self.job_id),
            epoch=self.epoch,
            ack=lambda _to: None,
            callback=RecordingCallback(),
            monitor=NoOpMonitor(self.destination.sync_metadata),
            progress=Progress(),
            routed=False,
        )
        self.consumer = Consumer(
            queue=self.queue,
            transform=Transform([]),
            buffer=DestinationBuffer(0, 0),
            loader=loader,
            job_id=self.job_id,
            epoch=self.epoch,
            poll_interval=1,
        )

    def page(self, iteration: int, id: str = "mine") -> QueueMessage:
        frame = records_to_frame([SourceRecord(id=id, data={})], NOW)
        return QueueMessage(self.job_id, self.epoch, iteration, frame, NOW, {"page": iteration + 1})

    def end(self, signal: Signal) -> QueueMessage:
        return replace(self.page(1), signal=signal)

    def consume(self, *messages: QueueMessage) -> bool:
        """The outcome; the end of each case is there, so nothing waits."""
        for message in messages:
            assert self.queue.put(message, timeout=0)
        return self.consumer.run()


@pytest.mark.parametrize("strange", [{"epoch": 1}, {"job_id": "another"}], ids=["older start", "another job"])
def test_messages_of_an_older_start_or_another_job_are_skipped(strange: dict[str, object]) -> None:
    """A queue that outlives a run may still hold what that run fetched, and how it ended."""
    bench = Bench()
    old = [replace(message, **strange) for message in (bench.page(0, "old"), bench.end(Signal.ABORTED))]
    assert bench.consume(*old, bench.page(0), bench.end(Signal.COMPLETE)) is True
    assert bench.destination.rows == {"table": ["mine"]}


def test_a_complete_end_publishes_after_the_last_page_is_written() -> None:
    bench = Bench()
    assert bench.consume(bench.page(0), bench.end(Signal.COMPLETE)) is True
    assert bench.destination.calls == ["write table 0-0", "finalize"]


def test_an_aborted_end_writes_what_is_there_and_publishes_nothing() -> None:
    bench = Bench()
    assert bench.consume(bench.page(0), bench.end(Signal.ABORTED)) is False
    assert bench.destination.calls == ["write table 0-0"]
