"""How a consumer learns that no more messages will come from a queue that outlives the run."""

import pytest
from fakes import FakeClock

from bizon.common.errors.errors import QueueError
from bizon.engine.patience import END_OF_STREAM, END_OF_STREAM_DRAINED
from bizon.engine.pipeline.models import PipelineReturnStatus, WorkerResult
from bizon.engine.runner.producer_watch import ProducerState, ProducerWatch, state_of

RUNNING, DONE, FAILED = ProducerState


class Bench:
    """A watch over a producer whose state the test sets."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.state = RUNNING
        self.drained = False
        self.watch = ProducerWatch(lambda: self.state, clock, lambda: self.drained)


@pytest.fixture
def bench(clock: FakeClock) -> Bench:
    return Bench(clock)


@pytest.mark.parametrize("status", PipelineReturnStatus)
def test_only_a_producer_that_succeeded_has_sent_an_end(status: PipelineReturnStatus) -> None:
    expected = DONE if status is PipelineReturnStatus.SUCCESS else FAILED
    assert state_of(WorkerResult(status)) is expected


def test_the_consumer_waits_for_an_active_producer_however_long_it_takes(bench: Bench) -> None:
    for _ in range(3):
        bench.clock.advance(END_OF_STREAM + 1)
        assert bench.watch.is_over(queue_was_empty=True) is False


def test_pages_of_a_failed_producer_are_taken_before_the_end(bench: Bench) -> None:
    bench.state = FAILED
    assert bench.watch.is_over(queue_was_empty=False) is False
    assert bench.watch.is_over(queue_was_empty=True) is True


def test_the_consumer_waits_for_an_end_that_was_sent(bench: Bench) -> None:
    bench.state = DONE
    assert bench.watch.is_over(queue_was_empty=True) is False
    bench.clock.advance(END_OF_STREAM)
    assert bench.watch.is_over(queue_was_empty=True) is False


def test_an_end_that_never_arrives_is_an_error_with_a_remedy(bench: Bench) -> None:
    bench.state = DONE
    assert bench.watch.is_over(queue_was_empty=True) is False
    bench.clock.advance(END_OF_STREAM + 1)
    with pytest.raises(QueueError, match=r"does not arrive: was the queue emptied\? run again"):
        bench.watch.is_over(queue_was_empty=True)


def test_the_wait_for_an_end_that_the_broker_lost_is_short(bench: Bench) -> None:
    bench.state = DONE
    bench.drained = True
    assert bench.watch.is_over(queue_was_empty=True) is False
    bench.clock.advance(END_OF_STREAM_DRAINED)
    bench.drained = False  # a page has come, or another consumer may give some back
    assert bench.watch.is_over(queue_was_empty=True) is False
    bench.drained = True
    assert bench.watch.is_over(queue_was_empty=True) is False
    bench.clock.advance(END_OF_STREAM_DRAINED)
    assert bench.watch.is_over(queue_was_empty=True) is False
    bench.clock.advance(0.1)
    with pytest.raises(QueueError, match=r"nothing is left in the queue: .* \(message-ttl, max-length, .* run again"):
        bench.watch.is_over(queue_was_empty=True)


def test_a_queue_is_empty_for_as_long_as_the_producer_likes(bench: Bench) -> None:
    bench.drained = True
    for _ in range(3):
        assert bench.watch.is_over(queue_was_empty=True) is False
        bench.clock.advance(END_OF_STREAM_DRAINED + 1)


def test_each_page_that_arrives_restarts_the_wait(bench: Bench) -> None:
    bench.state = DONE
    for was_empty in (True, False, True):
        assert bench.watch.is_over(queue_was_empty=was_empty) is False
        bench.clock.advance(END_OF_STREAM)
    assert bench.watch.is_over(queue_was_empty=True) is False
