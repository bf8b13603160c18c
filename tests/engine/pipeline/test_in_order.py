"""A queue that delivers again, late or not at all."""

import pytest
from fakes import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from bizon.common.clock import utc_now
from bizon.common.errors.errors import QueueError
from bizon.engine.patience import MISSING_PAGE
from bizon.engine.pipeline.in_order import InOrder
from bizon.engine.queue.models import QueueMessage
from bizon.rows.frames import empty_source_frame


def page(iteration: int) -> QueueMessage:
    return QueueMessage("job", 1, iteration, empty_source_frame(), utc_now())


@given(first=st.integers(0, 5), extra=st.lists(st.integers(0, 19)), seed=st.randoms())
def test_every_page_comes_out_once_and_in_order(first: int, extra: list[int], seed: object) -> None:
    numbers = [*range(20), *extra]
    seed.shuffle(numbers)
    in_order, out = InOrder(first), []
    for number in numbers:
        message = page(number)
        if not in_order.is_repeat(message):
            out += [each.iteration for each in in_order.take(message)]
    assert out == list(range(first, 20))


def test_a_page_that_never_arrives_is_an_error_with_a_remedy(clock: FakeClock) -> None:
    in_order = InOrder(3, clock)
    assert in_order.take(page(4)) == []
    clock.advance(MISSING_PAGE)
    in_order.check()
    clock.advance(1)
    with pytest.raises(QueueError, match=r"page 3 is missing.*run the producer again"):
        in_order.check()


def test_the_wait_restarts_with_each_page_in_order(clock: FakeClock) -> None:
    in_order = InOrder(0, clock)
    in_order.take(page(1))
    clock.advance(MISSING_PAGE)
    assert len(in_order.take(page(0))) == 2
    in_order.take(page(5))
    clock.advance(MISSING_PAGE)
    in_order.check()
