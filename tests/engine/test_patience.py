"""The order of the waits: the part that knows the cause gives up first."""

from bizon.engine import patience
from bizon.engine.pipeline import in_order
from bizon.engine.queue.adapters.kafka import client
from bizon.engine.queue.adapters.rabbitmq import connection
from bizon.engine.runner import producer_watch, tokens


def test_a_rabbitmq_that_cannot_be_reached_is_named_before_a_page_and_a_page_before_the_end() -> None:
    assert patience.RABBITMQ_OUTAGE < patience.MISSING_PAGE < patience.END_OF_STREAM


def test_kafka_may_be_unreachable_for_longer_than_a_page_is_missing_but_not_than_the_end_is() -> None:
    assert patience.MISSING_PAGE < patience.KAFKA_OUTAGE <= patience.END_OF_STREAM


def test_the_wait_for_a_broker_without_messages_is_shorter() -> None:
    assert patience.END_OF_STREAM_DRAINED < patience.END_OF_STREAM


def test_a_token_whose_holder_died_is_free_before_those_who_wait_give_up() -> None:
    assert patience.TOKEN_LEASE < patience.TOKEN_WAIT


def test_the_parts_use_these_times() -> None:
    assert connection.OUTAGE == patience.RABBITMQ_OUTAGE
    assert client.OUTAGE == patience.KAFKA_OUTAGE
    assert in_order.MISSING_PAGE == patience.MISSING_PAGE
    assert producer_watch.END_OF_STREAM == patience.END_OF_STREAM
    assert producer_watch.END_OF_STREAM_DRAINED == patience.END_OF_STREAM_DRAINED
    assert (tokens.TOKEN_LEASE, tokens.TOKEN_WAIT) == (patience.TOKEN_LEASE, patience.TOKEN_WAIT)
