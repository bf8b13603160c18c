"""Queues that are full, slow to empty, or hold what they should not; and clocks that disagree."""

import random
from datetime import UTC, datetime, timedelta

import pika
from e2e.engines.conftest import MakeEngine
from e2e.engines.kit import PAGE_SIZE
from rabbitmq_server import Broker

AN_HOUR = 3600  # seconds
STRANGERS = [b"", b"what is this?", b"BZ\x63 from the future", b"BP\x01 a torn piece"]


def test_a_write_that_takes_longer_than_the_heartbeat_costs_no_connection(make_engine: MakeEngine) -> None:
    engine = make_engine("postgres", "rabbitmq", pages=2, heartbeat=1)
    engine.pipeline.destination(buffer_size=50)
    engine.allow(2)
    told = engine.run(write_takes=6)
    assert "the connection was lost" not in told
    engine.assert_done(2)


def test_a_queue_that_is_full_waits_for_its_consumer(make_engine: MakeEngine, rabbitmq: Broker) -> None:
    """The broker refuses messages that do not fit; the producer retries, and ends only once all are there."""
    pages = 12
    engine = make_engine("postgres", "rabbitmq", pages)
    engine.pipeline.set("engine.queue.config.max_bytes", 64 * 1024).source(noise=5_000)
    engine.allow(pages)
    producer = engine.start("producer")
    engine.wait_for_page(pages - 1)
    engine.wait(lambda: rabbitmq.waiting(engine.queue_name) >= 2)
    assert rabbitmq.waiting(engine.queue_name) < pages
    assert producer.is_running
    engine.run("consumer")
    producer.ended()
    engine.assert_done(pages)
    assert set(engine.asked().values()) == {1}


def test_pages_that_come_twice_and_in_any_order_are_each_written_once_in_theirs(
    make_engine: MakeEngine, rabbitmq: Broker
) -> None:
    """Among foreign messages, too; leftovers do not disturb the next job."""
    pages = 6
    engine = make_engine("postgres", "rabbitmq", pages)
    engine.allow(pages)
    engine.run("producer")
    shuffle(rabbitmq, engine.queue_name, count=pages + 1)
    engine.run("consumer")
    engine.assert_done(pages)
    engine.run("producer")
    engine.run("consumer")
    engine.assert_done(pages, jobs=2)
    assert set(engine.asked().values()) == {2}


def shuffle(broker: Broker, queue: str, count: int) -> None:
    """Take all messages out, and put each back two or three times, in any order."""
    chance = random.Random(11)
    with broker.connect() as connection:
        channel = connection.channel()
        taken = [channel.basic_get(queue, auto_ack=True)[2] for _ in range(count)]
        assert None not in taken
        damaged = [body[: len(body) // 2] for body in taken[:2]] + [body[:-1] + b"\0" for body in taken[2:4]]
        bodies = [*taken * 2, *chance.sample(taken, 3), *damaged, *STRANGERS]
        chance.shuffle(bodies)
        channel.confirm_delivery()
        for body in bodies:
            channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))


def test_roles_whose_clocks_are_an_hour_apart_deliver_each_change_once(make_engine: MakeEngine) -> None:
    """Whichever clock is late: only the clock of the producer counts."""
    pages = 2
    engine = make_engine("postgres", "kafka", pages)
    engine.pipeline.source(sync_mode="incremental")
    engine.allow(pages)
    expected = list(range(pages * PAGE_SIZE))
    for number, hours in enumerate((-1, 1)):
        engine.run("producer")
        engine.run("consumer", clock=hours * AN_HOUR)
        assert engine.pipeline.ids() == expected
        with (engine.folder / "changes.txt").open("a") as changes:
            changes.write(f"{number} {(datetime.now(UTC) + timedelta(microseconds=1)).isoformat()}\n")
        expected.append(number)
    engine.run("producer")
    engine.run("consumer")
    assert engine.pipeline.ids() == expected
    assert engine.statuses() == ["succeeded"] * 3
