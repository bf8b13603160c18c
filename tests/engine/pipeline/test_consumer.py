"""The consuming side: which messages count, and the effect of an end."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fakes import ListDestination, RecordingCallback, memory_backend, new_job, run_of

from bizon.common.errors.errors import OvertakenError, QueueError
from bizon.destination.buffer import DestinationBuffer
from bizon.engine.pipeline.consumer import Consumer, Outcome
from bizon.engine.pipeline.loader import Loader
from bizon.engine.pipeline.models import Batch, Progress
from bizon.engine.queue.adapters.python_queue.config import PythonQueueConfigDetails
from bizon.engine.queue.adapters.python_queue.queue import PythonQueue
from bizon.engine.queue.models import QueueMessage, Signal
from bizon.monitoring.monitor import NoOpMonitor
from bizon.rows.frames import records_to_frame
from bizon.source.callback import NoOpSourceCallback
from bizon.source.config import SourceConfig
from bizon.source.models import SourceRecord
from bizon.transform.transform import Transform

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class SettlingQueue(PythonQueue):
    """Notes the discarded messages, as a broker's queue would."""

    def __init__(self) -> None:
        super().__init__(PythonQueueConfigDetails())
        self.discarded: list[QueueMessage] = []

    def discard(self, message: QueueMessage) -> None:
        self.discarded.append(message)


class Bench:
    """A consumer of the second start of a job. ``newer``: the jobs that have replaced it; ``looks``: what its
    ``is_over`` received; after ``over`` of them it answers yes, or raises."""

    def __init__(self, *, buffer_size: int = 0, over: int = 1000, gives_up: bool = False) -> None:
        self.newer: set[str] = set()
        self.never_started: set[int] = set()
        self.asked: list[str] = []
        self.looks: list[bool] = []
        self.over = over
        self.gives_up = gives_up
        self.destination = ListDestination()
        backend = memory_backend()
        self.job_id = new_job(backend)
        self.epoch = [backend.open_epoch(self.job_id) for _ in range(2)][-1]
        self.queue = SettlingQueue()
        run = run_of(self.job_id, self.epoch)
        loader = Loader(
            destination=self.destination,
            backend=backend,
            run=run,
            ack=lambda _to: None,
            callback=RecordingCallback(),
            monitor=NoOpMonitor(self.destination.sync_metadata),
            progress=Progress(),
        )
        self.consumer = Consumer(
            queue=self.queue,
            transform=Transform([]),
            buffer=DestinationBuffer(buffer_size, 600),
            loader=loader,
            run=run,
            poll_interval=0.01,
            is_newer_job=self.is_newer_job,
            has_started=lambda epoch: epoch not in self.never_started,
            watch=self,
        )

    def is_newer_job(self, job_id: str) -> bool:
        self.asked.append(job_id)
        return job_id in self.newer

    def is_over(self, *, queue_was_empty: bool) -> bool:
        self.looks.append(queue_was_empty)
        if len(self.looks) >= self.over and self.gives_up:
            raise QueueError("it does not arrive")
        return len(self.looks) >= self.over

    def page(self, iteration: int, id: str = "mine") -> QueueMessage:
        frame = records_to_frame([SourceRecord(id=id, data={})], NOW)
        return QueueMessage(self.job_id, self.epoch, iteration, frame, NOW, {"page": iteration + 1})

    def end(self, signal: Signal) -> QueueMessage:
        return replace(self.page(1), signal=signal)

    def consume(self, *messages: QueueMessage) -> bool:
        """Whether it published; the end of each case is there, so nothing waits."""
        for message in messages:
            assert self.queue.put(message, timeout=0)
        return self.consumer.run() is Outcome.PUBLISHED


@pytest.mark.parametrize("strange", [{"epoch": 1}, {"job_id": "another"}], ids=["older start", "another job"])
def test_messages_of_an_older_start_or_another_job_are_skipped(strange: dict[str, object]) -> None:
    """A queue that outlives a run may still hold the pages of that run, and its end."""
    bench = Bench()
    old = [replace(message, **strange) for message in (bench.page(0, "old"), bench.end(Signal.ABORTED))]
    assert bench.consume(*old, bench.page(0), bench.end(Signal.COMPLETE)) is True
    assert bench.destination.rows == {"table": ["mine"]}


def test_a_complete_end_publishes_after_the_last_page_is_written() -> None:
    bench = Bench()
    assert bench.consume(bench.page(0), bench.end(Signal.COMPLETE)) is True
    assert bench.destination.calls == ["write table 0-0", "finalize"]


def test_an_aborted_end_writes_buffered_pages_and_publishes_nothing() -> None:
    bench = Bench()
    assert bench.consume(bench.page(0), bench.end(Signal.ABORTED)) is False
    assert bench.destination.calls == ["write table 0-0"]


def test_skipped_messages_are_discarded_and_asked_about_once() -> None:
    """So that a broker forgets it; the pages that count are acknowledged by the loader."""
    bench = Bench()
    older = replace(bench.page(0), epoch=1)
    others = [replace(bench.page(number), job_id="another") for number in range(3)]
    repeat = bench.page(0)
    complete = bench.end(Signal.COMPLETE)
    assert bench.consume(older, *others, bench.page(0), repeat, complete) is True
    assert bench.queue.discarded == [older, *others, repeat, complete]
    assert bench.asked == ["another"]


def test_a_message_of_a_job_that_replaced_this_one_ends_the_consumer() -> None:
    """And is not discarded: it is for the consumer that joins that job."""
    bench = Bench(buffer_size=50)
    bench.newer.add("newer")
    with pytest.raises(OvertakenError):
        bench.consume(bench.page(0), replace(bench.page(0), job_id="newer"))
    assert bench.queue.discarded == []
    assert bench.destination.calls == [], "what is in the buffer is given up, the other job replaces it"


def test_a_message_of_a_later_start_of_the_producer_ends_the_consumer() -> None:
    bench = Bench(buffer_size=50)
    with pytest.raises(OvertakenError):
        bench.consume(bench.page(0), replace(bench.page(0), epoch=3))
    assert bench.queue.discarded == []
    assert bench.destination.calls == []


def test_a_page_that_will_not_arrive_is_named() -> None:
    bench = Bench(over=3, gives_up=True)
    with pytest.raises(QueueError, match="page 2 is missing: it does not arrive"):
        bench.consume(bench.page(0), bench.page(1), bench.page(3))


def test_a_message_of_a_start_that_the_producer_never_had_is_skipped_as_forged() -> None:
    """It ended every consumer as long as it was in the queue: each believed that it was superseded."""
    bench = Bench()
    bench.never_started.add(900)
    forged = replace(bench.page(0, "forged"), epoch=900)
    complete = bench.end(Signal.COMPLETE)
    assert bench.consume(forged, bench.page(0), complete) is True
    assert bench.queue.discarded == [forged, complete]
    assert bench.destination.rows == {"table": ["mine"]}


@pytest.mark.parametrize("signal", list(Signal))
def test_the_end_message_of_an_older_start_or_job_is_ignored(signal: Signal) -> None:
    bench = Bench()
    old = [replace(bench.end(signal), epoch=1), replace(bench.end(signal), job_id="another")]
    assert bench.consume(*old, bench.page(0), bench.end(Signal.COMPLETE)) is True
    assert bench.destination.calls == ["write table 0-0", "finalize"]


def test_pages_that_arrive_out_of_order_are_written_in_order() -> None:
    bench = Bench()
    end = replace(bench.end(Signal.COMPLETE), iteration=3)
    assert bench.consume(bench.page(2, "c"), end, bench.page(0, "a"), bench.page(2, "c"), bench.page(1, "b")) is True
    assert bench.destination.rows == {"table": ["a", "b", "c"]}


def test_an_aborted_end_does_not_wait_for_missing_pages() -> None:
    """It may be missing for good; pages that arrived in order are committed."""
    bench = Bench(buffer_size=50)
    assert bench.consume(bench.page(0), bench.page(2), bench.end(Signal.ABORTED)) is False
    assert bench.destination.calls == ["write table 0-0"]


def test_the_consumer_learns_that_the_queue_is_empty_and_ends_as_aborted_when_the_run_is_over() -> None:
    bench = Bench(buffer_size=50, over=3)
    assert bench.consume(bench.page(0), bench.page(1)) is False
    assert bench.looks == [False, False, True]
    assert bench.destination.calls == ["write table 0-1"]


def test_an_end_that_has_arrived_takes_precedence_over_the_end_of_the_run() -> None:
    bench = Bench(over=1)
    assert bench.consume(replace(bench.end(Signal.COMPLETE), iteration=0)) is True
    assert bench.looks == []


def test_a_watch_that_gives_up_raises_and_the_pages_before_can_still_be_flushed() -> None:
    bench = Bench(buffer_size=50, over=2, gives_up=True)
    with pytest.raises(QueueError, match="does not arrive"):
        bench.consume(bench.page(0))
    bench.consumer.flush()
    assert bench.destination.calls == ["write table 0-0"]


def test_a_batch_keeps_the_last_pagination_and_the_last_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every page of a batch kept its own: with a list of what remains, the square of the pages."""
    bench, batches = Bench(buffer_size=1), list[Batch]()
    bench.consumer._loader.callback = NoOpSourceCallback(SourceConfig(name="scripted", stream="items"))
    monkeypatch.setattr(Loader, "write", lambda _loader, batch: batches.append(batch))
    states = [None, {"n": 1}, None, {"n": 3}, None]
    pages = [replace(bench.page(number), next_state=state) for number, state in enumerate(states)]
    bench.consume(*pages, replace(bench.end(Signal.ABORTED), iteration=len(states)))
    marks = batches[0].pages
    assert [mark.pagination for mark in marks] == [{}, {}, {}, {}, {"page": 5}]
    assert [mark.next_state for mark in marks] == [None, None, None, None, {"n": 3}]


def test_a_source_with_a_callback_gets_every_pagination_and_they_fill_the_buffer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench, batches = Bench(buffer_size=1), list[Batch]()
    monkeypatch.setattr(Loader, "write", lambda _loader, batch: batches.append(batch))
    pages = [replace(bench.page(number), state_length=200_000) for number in range(4)]
    bench.consume(*pages, replace(bench.end(Signal.ABORTED), iteration=4))
    assert [[mark.pagination for mark in batch.pages] for batch in batches] == [
        [{"page": 1}, {"page": 2}],
        [{"page": 3}, {"page": 4}],
    ]
