"""Pages lost or damaged at the broker: the consumer names them, and the next runs fetch them again."""

import struct

import orjson
import pytest
from e2e.engines.conftest import MakeEngine
from e2e.engines.kit import Engine
from engine.queue.mangle import PREFIX, with_checksum, zones
from rabbitmq_server import Broker

PAGES = 3


@pytest.fixture
def engine(make_engine: MakeEngine) -> Engine:
    engine = make_engine("postgres", "rabbitmq", pages=PAGES)
    engine.allow(PAGES)
    return engine


def taken(engine: Engine, rabbitmq: Broker) -> list[bytes]:
    """All messages of a job, removed from the broker."""
    with rabbitmq.connect() as connection:
        channel = connection.channel()
        return [channel.basic_get(engine.queue_name, auto_ack=True)[2] for _ in range(PAGES + 1)]


def assert_mended(engine: Engine) -> None:
    assert not (engine.folder / "out.json").exists(), "nothing is published short"
    engine.run("producer")
    engine.run("consumer")
    engine.assert_done(PAGES)


def test_a_queue_that_was_emptied_ends_the_consumer(engine: Engine, rabbitmq: Broker) -> None:
    """It waited forever: the producer had ended long before, with all pages and their end on the queue."""
    engine.run("producer")
    with rabbitmq.connect() as connection:
        connection.channel().queue_purge(engine.queue_name)
    told = engine.run("consumer", expect=1)
    assert "page 0 is missing: all pages and the end of the stream were sent, and nothing is left" in told
    assert_mended(engine)


def test_a_dropped_page_ends_the_consumer_after_its_committed_pages(engine: Engine, rabbitmq: Broker) -> None:
    engine.run("producer")
    bodies = taken(engine, rabbitmq)
    for body in (bodies[0], bodies[2], bodies[3]):
        rabbitmq.publish(engine.queue_name, body)
    assert "page 1 is missing" in engine.run("consumer", expect=1)
    assert engine.committed() == 1
    assert_mended(engine)


def test_a_page_that_was_damaged_at_the_broker_is_named_and_does_not_stay(engine: Engine, rabbitmq: Broker) -> None:
    """It killed the consumer by SIGABRT, and each one after it."""
    engine.run("producer")
    bodies = taken(engine, rabbitmq)
    rest = bytearray(bodies[1][PREFIX:])
    metadata = zones(bytes(rest))["batch"]
    rest[metadata.start + 8 : metadata.stop] = b"\x7f" * (len(metadata) - 8)
    damaged = with_checksum(bytes(rest))
    for body in (bodies[0], damaged, *bodies[2:]):
        rabbitmq.publish(engine.queue_name, body)
    told = engine.run("consumer", expect=1)
    assert "is skipped: a queue message is damaged (page 1 of job '" in told
    assert "page 1 is missing" in told
    assert "Traceback" not in told
    assert rabbitmq.waiting(engine.queue_name) <= 2, "the damaged one is forgotten, and what came before"
    assert_mended(engine)


def test_a_message_of_a_start_that_never_was_does_not_end_every_consumer(engine: Engine, rabbitmq: Broker) -> None:
    """Each considered itself superseded as long as the message was in the queue."""
    engine.run("producer")
    bodies = taken(engine, rabbitmq)
    rest = bodies[0][PREFIX:]
    (length,) = struct.unpack_from(">I", rest)
    header = orjson.dumps({**orjson.loads(rest[4 : 4 + length]), "epoch": 99_999})
    forged = with_checksum(struct.pack(">I", len(header)) + header + rest[4 + length :])
    for body in (forged, *bodies):
        rabbitmq.publish(engine.queue_name, body)
    assert "page 0 of job" in (told := engine.run("consumer"))
    assert "the job had no start 99999" in told
    engine.assert_done(PAGES)
