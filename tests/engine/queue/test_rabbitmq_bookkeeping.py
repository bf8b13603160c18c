"""The counters and texts of the RabbitMQ queue: unconfirmed pieces, portions, waiting records, failures. No broker."""

from collections import deque
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika.exceptions import ChannelClosedByBroker, StreamLostError

from bizon.engine.queue.adapters.rabbitmq.backlog import Backlog
from bizon.engine.queue.adapters.rabbitmq.config import RabbitMQQueueConfig
from bizon.engine.queue.adapters.rabbitmq.failure_texts import channel_failure, connection_reason
from bizon.engine.queue.adapters.rabbitmq.outbox import Outbox
from bizon.engine.queue.adapters.rabbitmq.portions import Portions


def published(outbox: Outbox) -> list[bytes]:
    return list(iter(outbox.next, None))


def test_pieces_are_published_once_and_forgotten_once_confirmed() -> None:
    outbox = Outbox(100)
    outbox.add([b"a1", b"a2"], alone=False)
    outbox.add([b"b"], alone=False)
    assert published(outbox) == [b"a1", b"a2", b"b"]
    outbox.answered(1, multiple=False, accepted=True)
    assert len(outbox) == 3  # a piece is kept as long as its message may have to be sent again
    outbox.answered(3, multiple=True, accepted=True)
    assert (len(outbox), published(outbox)) == (0, [])


def test_there_is_no_room_until_the_window_is_confirmed() -> None:
    outbox = Outbox(10)
    outbox.add([b"x" * 30], alone=False)
    assert not outbox.has_room
    published(outbox)
    outbox.answered(1, multiple=False, accepted=True)
    assert outbox.has_room


def test_a_new_channel_begins_with_the_first_message_that_is_not_confirmed_whole() -> None:
    outbox = Outbox(100)
    for pieces in ([b"a"], [b"b1", b"b2"], [b"c"]):
        outbox.add(pieces, alone=False)
    published(outbox)
    for tag in (1, 2, 4):
        outbox.answered(tag, multiple=False, accepted=True)
    outbox.lost()
    assert published(outbox) == [b"b1", b"b2", b"c"]
    outbox.answered(3, multiple=True, accepted=True)
    assert len(outbox) == 0


def test_after_a_refusal_everything_after_it_follows_in_order_and_carefully() -> None:
    outbox = Outbox(100)
    for body in (b"a", b"b", b"c", b"d"):
        outbox.add([body], alone=False)
    published(outbox)
    outbox.answered(2, multiple=False, accepted=False)
    outbox.answered(1, multiple=False, accepted=True)
    assert not outbox.is_refused  # c and d are not answered yet
    outbox.add([b"e"], alone=False)
    assert published(outbox) == []
    outbox.answered(4, multiple=True, accepted=True)
    assert outbox.is_refused
    outbox.repeat()
    assert published(outbox) == [b"b"]
    outbox.answered(5, multiple=False, accepted=True)
    assert published(outbox) == [b"c", b"d"]
    outbox.answered(7, multiple=True, accepted=True)
    assert published(outbox) == [b"e"]


def test_an_end_is_published_when_everything_before_it_is_confirmed() -> None:
    """An end is small: a full queue could accept it and refuse the pages before it."""
    outbox = Outbox(100)
    outbox.add([b"page"], alone=False)
    outbox.add([b"end"], alone=True)
    assert published(outbox) == [b"page"]
    outbox.answered(1, multiple=False, accepted=True)
    assert published(outbox) == [b"end"]


@given(st.data())
def test_every_message_arrives_whole_and_in_order_whatever_the_broker_answers(data: st.DataObject) -> None:
    outbox, queue, on_the_way = Outbox(1000), [], deque()
    messages = [
        [bytes([number, piece]) for piece in range(data.draw(st.integers(1, 3)))] + ([b"end"] if number == 9 else [])
        for number in range(10)
    ]
    for number, pieces in enumerate(messages):
        outbox.add(pieces, alone=number == 9)
    tag = moves = 0
    while len(outbox):
        moves += 1
        luck = "yes" if moves > 60 else data.draw(st.sampled_from(["publish", "yes", "yes", "no", "lost"]))
        while luck in ("publish", "yes") and (body := outbox.next()) is not None:
            tag += 1
            on_the_way.append((tag, body))
        if luck == "lost":
            queue += [body for _, body in list(on_the_way)[: data.draw(st.integers(0, len(on_the_way)))]]
            on_the_way.clear()
            outbox.lost()
            tag = 0
        elif luck in ("yes", "no") and on_the_way:
            answered, body = on_the_way.popleft()
            outbox.answered(answered, multiple=False, accepted=luck == "yes")
            queue += [body] if luck == "yes" else []
        if outbox.is_refused:
            outbox.repeat()
    wanted = deque(piece for pieces in messages for piece in pieces)
    for body in queue:  # the reader waits for the next page, and skips the rest
        if wanted and body == wanted[0]:
            wanted.popleft()
    assert not wanted
    assert queue[-1] == b"end"


def test_the_first_portion_is_small_and_the_next_ones_grow() -> None:
    portions = Portions(1_000_000)
    asked, tag = [], 0
    for _ in range(7):
        count = portions.next(0)
        assert count is not None
        asked.append(count)
        for _ in range(count):
            assert portions.next(0) is None
            tag += 1
            portions.delivered(tag, 10)
    assert asked == [4, 8, 16, 32, 64, 64, 64]


def test_nothing_more_is_requested_while_enough_is_waiting() -> None:
    portions = Portions(1000)
    assert portions.next(0) == 4
    for tag in range(1, 5):
        portions.delivered(tag, 300)
    assert portions.next(1200) is None
    assert portions.next(300) == 2  # as many messages of the latest size as fit
    for tag in (5, 6):
        portions.delivered(tag, 5000)
    assert portions.next(0) == 1  # always at least one


def test_acknowledged_messages_do_not_count_as_used() -> None:
    """The broker delivers that many more without being asked."""
    portions = Portions(1_000_000)
    portions.next(0)
    for tag in range(1, 5):
        portions.delivered(tag, 10)
    portions.acknowledged(2)
    assert portions.next(0) is None
    for tag in (5, 6):
        portions.delivered(tag, 10)
    assert portions.next(0) == 8


def test_a_new_channel_begins_with_a_small_portion() -> None:
    portions = Portions(1_000_000)
    portions.next(0)
    for tag in range(1, 5):
        portions.delivered(tag, 10)
    portions.next(0)
    portions.lost()
    assert portions.next(0) == 4
    portions.delivered(1, 10)
    assert portions.next(0) is None


@given(seed=st.integers(0, 2**32), largest=st.sampled_from([10, 100, 400]))
def test_messages_keep_coming_however_few_are_acknowledged(seed: int, largest: int) -> None:
    luck, room, waiting = Random(seed), 1000, deque[int]()
    portions = Portions(room)
    tag = acknowledged = begins = limit = taken = 0
    while taken < 100:
        portion = portions.next(sum(waiting))
        if portion is not None:
            limit, begins = portion, tag
        may_come = tag - max(acknowledged, begins) < limit
        assert waiting or may_come, "nothing waits, and nothing may come"
        if may_come and (not waiting or luck.random() < 0.7):
            waiting.append(luck.randint(1, largest))
            tag += 1
            portions.delivered(tag, waiting[-1])
        else:
            waiting.popleft()
            taken += 1
        if luck.random() < 0.1:
            acknowledged = taken
            portions.acknowledged(taken)


def test_records_are_counted_by_the_messages_that_wait() -> None:
    backlog = Backlog(100)
    backlog.put(60, 1)
    assert not backlog.has_room(60)
    backlog.put(30, 3)
    backlog.counted(4)
    assert not backlog.has_room(60)
    backlog.counted(3)  # the first page was consumed
    assert backlog.has_room(60)
    assert not backlog.has_room(80)
    backlog.counted(0)
    assert backlog.has_room(10**9)


def test_a_long_backlog_of_empty_pages_is_counted_now_and_then() -> None:
    """Pages without records would stay in the list forever."""
    backlog, asked = Backlog(100), 0
    for _ in range(100_000):
        backlog.put(0, 1)
        if backlog.is_long:
            asked += 1
            backlog.counted(5)
    assert 5 < asked < 20


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StreamLostError("reset"), None),
        (ChannelClosedByBroker(406, "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out"), None),
        (ChannelClosedByBroker(406, "PRECONDITION_FAILED - message size 9 is larger than 8"), "set max_message_size"),
        (ChannelClosedByBroker(406, "PRECONDITION_FAILED - inequivalent arg 'x-max'"), "rabbitmqctl delete_queue 'q'"),
        (ChannelClosedByBroker(404, "NOT_FOUND - home node 'b' of durable queue 'q' is down or inaccessible"), None),
        (ChannelClosedByBroker(404, "NOT_FOUND - no queue 'q' in vhost '/'"), "queue 'q' is gone with the pages in it"),
        (
            ChannelClosedByBroker(404, "NOT_FOUND - no exchange 'x' in vhost '/'"),
            "the broker said: NOT_FOUND - no exch",
        ),
        (ChannelClosedByBroker(403, "ACCESS_REFUSED - no"), "queue 'q': the broker said: ACCESS_REFUSED - no"),
    ],
)
def test_a_channel_is_given_up_only_when_a_new_one_would_not_help(error: Exception, said: str | None) -> None:
    reason = channel_failure(error, "q")
    assert reason is None if said is None else said in (reason or "")


def test_a_page_that_waited_too_long_for_its_acknowledgement_is_an_error_with_a_remedy() -> None:
    """It was once reported as a broker that does not answer, since the broker's text contains the word "Timeout"."""
    said = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 10000 ms."
    reason = connection_reason(ChannelClosedByBroker(406, said), RabbitMQQueueConfig(host="h"))
    assert said in reason
    assert reason.endswith(
        "raise its consumer_timeout, or lower buffer_flush_timeout or buffer_size of the destination"
    )
