"""The producing side: pages in order, an end that says how it ended, and errors that name the place."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import requests
from fakes import FakeClock, Page, ScriptedSource, memory_backend, new_job, run_of

from bizon.common.errors.errors import QueueError, SourceFetchError, StoppedError
from bizon.engine.pipeline import fetcher as fetcher_module
from bizon.engine.pipeline.fetcher import PageFetcher
from bizon.engine.pipeline.models import Progress
from bizon.engine.pipeline.producer import Producer, ProducerEnd, deliver
from bizon.engine.queue.adapters.python_queue.config import PythonQueueConfigDetails
from bizon.engine.queue.adapters.python_queue.queue import PythonQueue
from bizon.engine.queue.models import QueueMessage, Signal
from bizon.monitoring.monitor import NoOpMonitor
from bizon.source.cursor import Cursor
from bizon.source.models import SourceIteration, SourceRecord


class Flag:
    def __init__(self) -> None:
        self.raised = False

    def is_set(self) -> bool:
        return self.raised

    def set(self) -> None:
        self.raised = True


class FullQueue(PythonQueue):
    """Takes nothing."""

    def __init__(self, *, stalled: bool) -> None:
        super().__init__(PythonQueueConfigDetails())
        self.stalled = stalled
        self.tries = 0
        self.abandoned = False

    def put(self, message: QueueMessage, timeout: float) -> bool:
        self.tries += 1
        return False

    def flush(self, timeout: float) -> bool:
        return self.put(None, timeout)  # type: ignore[arg-type]

    def abandon(self) -> None:
        self.abandoned = True

    @property
    def is_stalled(self) -> bool:
        return self.stalled


class Bench:
    def __init__(
        self, pages: list[Page], max_iterations: int | None = None, replayed: Sequence[QueueMessage] = ()
    ) -> None:
        from fakes import sync_metadata

        self.source = ScriptedSource(pages)
        self.queue = PythonQueue(PythonQueueConfigDetails())
        self.stop = Flag()
        self.progress = Progress()
        self.backend = memory_backend()
        job_id = new_job(self.backend)
        run = run_of(job_id, 1)
        self.cursor = Cursor("scripted", "items", job_id)
        self.producer = Producer(
            fetcher=PageFetcher(self.source, NoOpMonitor(sync_metadata()), run),
            queue=self.queue,
            backend=self.backend,
            run=run,
            cursor=self.cursor,
            replayed=iter(replayed),
            progress=self.progress,
            stop=self.stop,
            max_iterations=max_iterations,
            note_every=2,
        )

    def messages(self) -> list[QueueMessage]:
        found = []
        while (message := self.queue.get(timeout=0)) is not None:
            found.append(message)
        return found

    def signals(self) -> list[Signal | None]:
        return [message.signal for message in self.messages()]


def test_every_page_is_sent_and_the_end_is_complete() -> None:
    bench = Bench([[1, 2], [], [3]])
    assert bench.producer.run(exhausted=False) == ProducerEnd.EXHAUSTED
    messages = bench.messages()
    assert [message.frame["id"].to_list() for message in messages] == [["1", "2"], [], ["3"], []]
    assert [message.iteration for message in messages] == [0, 1, 2, 3]
    assert [message.pagination for message in messages] == [{"page": 1}, {"page": 2}, {}, {}]
    assert [message.signal for message in messages] == [None, None, None, Signal.COMPLETE]
    snapshot = bench.progress.snapshot()
    assert (snapshot.pages, snapshot.records_fetched) == (3, 3)


def test_a_page_says_how_long_it_took_to_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, bench = FakeClock(), Bench([[1], [2]])
    monkeypatch.setattr(fetcher_module, "monotonic", clock)
    answer = bench.source.get

    def slow(pagination: dict[str, Any] | None = None) -> SourceIteration:
        clock.advance(0.5)
        return answer(pagination)

    monkeypatch.setattr(bench.source, "get", slow)
    bench.producer.run(exhausted=False)
    assert [message.fetch_seconds for message in bench.messages()] == [0.5, 0.5, 0.0]


def test_an_exhausted_job_fetches_nothing_and_still_says_complete() -> None:
    bench = Bench([[1]])
    bench.producer.run(exhausted=True)
    assert bench.source.asked == []
    assert bench.signals() == [Signal.COMPLETE]


@pytest.mark.lesson("F-24")
def test_the_cap_counts_exactly_and_aborts() -> None:
    """Used to fetch one page more and to publish the truncation."""
    bench = Bench([[1], [2], [3], [4]], max_iterations=2)
    assert bench.producer.run(exhausted=False) == ProducerEnd.CAPPED
    assert len(bench.source.asked) == 2
    assert bench.signals() == [None, None, Signal.ABORTED]


@pytest.mark.lesson("F-24")
def test_a_cap_that_is_just_enough_is_complete() -> None:
    bench = Bench([[1], [2]], max_iterations=2)
    assert bench.producer.run(exhausted=False) == ProducerEnd.EXHAUSTED
    assert bench.signals()[-1] is Signal.COMPLETE


@pytest.mark.lesson("F-15")
def test_a_stop_finishes_the_page_and_aborts() -> None:
    bench = Bench([[1], [2], [3]])

    def stop_while_fetching() -> SourceIteration:
        bench.stop.set()
        return SourceIteration(records=[SourceRecord(id=2, data={})], next_pagination={"page": 2})

    bench.source.pages[1] = stop_while_fetching
    assert bench.producer.run(exhausted=False) == ProducerEnd.STOPPED
    assert bench.signals() == [None, None, Signal.ABORTED]


@pytest.mark.lesson("F-13", "F-37")
@pytest.mark.parametrize("returned", [None, ([], {}), [SourceRecord(id=1, data={})]])
def test_an_invalid_page_names_stream_and_iteration(returned: object) -> None:
    bench = Bench([[1], lambda: returned])
    with pytest.raises(SourceFetchError, match=r"stream 'scripted.items', iteration 1: the source returned \w+, not a"):
        bench.producer.run(exhausted=False)


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (SourceIteration(records=[], next_pagination=None), "next_pagination must be a dict"),  # type: ignore[arg-type]
        (SourceIteration(records=[], next_pagination={"a": {1}}), "next_pagination must be JSON"),
        (SourceIteration(records=[], next_pagination={}, next_state={"a": object()}), "next_state must be JSON"),
        (SourceIteration(records=[{"id": 1}], next_pagination={}), "record 0 of the page is a dict"),  # type: ignore[list-item]
        (SourceIteration(records=[SourceRecord(1, {"a": {2}})], next_pagination={}), r"record '1': data\.a: .*set"),
    ],
)
def test_a_bad_page_is_an_error_that_names_the_place(page: SourceIteration, reason: str) -> None:
    bench = Bench([lambda: page])
    with pytest.raises(SourceFetchError, match=f"stream 'scripted.items', iteration 0: {reason}"):
        bench.producer.run(exhausted=False)


@pytest.mark.parametrize("bad", [lambda: SourceRecord(id=1.5, data={}), lambda: SourceRecord(id=7, data=[1])])  # type: ignore[arg-type]
def test_an_invalid_record_names_stream_and_iteration(bad: Callable[[], SourceRecord]) -> None:
    bench = Bench([[1], lambda: SourceIteration(records=[bad()], next_pagination={})])
    with pytest.raises(SourceFetchError, match=r"stream 'scripted.items', iteration 1: TypeError: SourceRecord\."):
        bench.producer.run(exhausted=False)


@pytest.mark.lesson("F-49")
def test_the_same_pagination_twice_in_a_row_is_an_error_and_the_page_is_not_sent() -> None:
    """Used to fetch the same page forever."""
    bench = Bench([[1], lambda: SourceIteration(records=[], next_pagination={"page": 1})])
    with pytest.raises(SourceFetchError, match=r"items.*iteration 1"):
        bench.producer.run(exhausted=False)
    assert [message.iteration for message in bench.messages()] == [0]


def test_pagination_is_seen_by_the_source_as_a_resumed_run_would_see_it() -> None:
    bench = Bench([lambda: SourceIteration(records=[], next_pagination={"page": 1, "ids": (1, 2), "done": None}), [1]])
    bench.producer.run(exhausted=False)
    assert bench.source.asked[1] == {"page": 1, "ids": [1, 2], "done": None}


def test_the_position_is_recorded_at_a_fixed_page_interval() -> None:
    bench = Bench([[1]] * 5)
    notes: list[dict[str, Any]] = []
    bench.backend.create_source_cursor = lambda **note: notes.append(note)  # type: ignore[method-assign]
    bench.producer.run(exhausted=False)
    assert [(note["iteration"], note["rows_fetched"]) for note in notes] == [(2, 2), (4, 4)]


def test_pages_of_the_spool_are_sent_first_and_not_fetched_again() -> None:
    kept = Bench([[1], [2], [3]])
    kept.producer.run(exhausted=False)
    first, second = kept.messages()[:2]
    bench = Bench([[1], [2], [3]], max_iterations=1, replayed=[first, second])
    assert bench.producer.run(exhausted=False) == ProducerEnd.EXHAUSTED
    assert bench.source.asked == [{"page": 2}]
    assert [message.iteration for message in bench.messages()] == [0, 1, 2, 3]


def test_a_spool_that_holds_the_last_page_leaves_nothing_to_fetch() -> None:
    kept = Bench([[1], [2]])
    kept.producer.run(exhausted=False)
    bench = Bench([[1], [2]], replayed=kept.messages()[:2])
    bench.producer.run(exhausted=False)
    assert bench.source.asked == []
    assert bench.signals() == [None, None, Signal.COMPLETE]


@pytest.mark.parametrize(("stalled", "tries"), [(False, 30), (True, 2)])
def test_the_wait_for_a_full_queue_ends_when_the_run_must_end(stalled: bool, tries: int) -> None:
    """A broker that takes nothing may do so for hours: a stop must not wait for it."""
    bench = Bench([])
    full = FullQueue(stalled=stalled)
    bench.producer._queue = full
    bench.stop.set()
    with pytest.raises(QueueError, match="no room, and the run must end"):
        bench.producer.send_end(Signal.ABORTED)
    assert full.tries == tries
    with pytest.raises(QueueError, match="no room, and the run must end"):
        deliver(full, bench.stop)
    assert (full.tries, full.abandoned) == (2 * tries, True)


def _refused(status: int) -> SourceFetchError:
    answer = requests.Response()
    answer.status_code = status
    error = SourceFetchError("the source's own words")
    error.__cause__ = requests.HTTPError(f"HTTP {status}", response=answer)
    return error


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_a_checkpoint_that_the_api_refuses_is_reported_as_one(status: int) -> None:
    bench = Bench([[1], _refused(status)])
    bench.cursor.update_state({"page": 1}, 1)
    with pytest.raises(
        SourceFetchError, match=rf"own words; .*HTTP {status}.*checkpoint .*--fresh.*checkpoint_max_age"
    ):
        bench.producer.run(exhausted=False)


@pytest.mark.parametrize("status", [401, 403, 407, 429, 500])
def test_credentials_and_rates_say_nothing_about_the_checkpoint(status: int) -> None:
    bench = Bench([[1], _refused(status)])
    bench.cursor.update_state({"page": 1}, 1)
    with pytest.raises(SourceFetchError, match=r"own words$"):
        bench.producer.run(exhausted=False)


def test_a_page_that_is_refused_later_is_not_a_checkpoint() -> None:
    with pytest.raises(SourceFetchError, match=r"own words$"):
        Bench([[1], _refused(410)]).producer.run(exhausted=False)


def _wrapped() -> object:
    try:
        raise StoppedError
    except StoppedError as error:
        raise RuntimeError("the source caught everything") from error


@pytest.mark.parametrize("page", [StoppedError(), _wrapped], ids=["as it is", "wrapped by the source"])
def test_a_wait_that_ends_with_the_run_is_not_a_failure(page: Page) -> None:
    bench = Bench([[1], page])
    assert bench.producer.run(exhausted=False) == ProducerEnd.STOPPED
    assert bench.signals() == [None, Signal.ABORTED]
