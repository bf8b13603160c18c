"""The roles of a pipeline as two commands: whatever dies, each record is there once."""

import random
import time

import matrices
import pytest
from e2e.engines.kit import Engine

pytestmark = pytest.mark.matrix(share=4, pool="roles")

PAGES = 8
KILLS = 20 if matrices.is_long() else 5
STARTING = 0.5  # seconds until a forked command is running


def test_both_roles_move_a_stream(engine: Engine) -> None:
    engine.allow(PAGES)
    consumer = engine.start("consumer")
    assert "All pages are on the queue; the consumer publishes them." in engine.run("producer")
    said = consumer.ended()
    assert "Records: /" in said
    assert "/out.json\n" in said
    engine.assert_done(PAGES)
    assert set(engine.asked().values()) == {1}


@pytest.mark.timeout(400)
def test_a_consumer_that_keeps_dying_loses_no_page(engine: Engine) -> None:
    """It is killed mid-run or while it starts; the producer continues without noticing."""
    chance = random.Random(7)
    step = 3
    engine.pipeline.source(pages=step * KILLS + 1)
    producer = engine.start("producer")
    for number in range(1, KILLS + 1):
        engine.allow(step * number)
        consumer = engine.start("consumer")
        if number % 5:
            engine.wait_for_commit(chance.randint(engine.committed(), step * number))
        time.sleep(chance.uniform(0, 0.05) if number % 5 else chance.uniform(0, STARTING))
        consumer.kill()
    assert producer.is_running
    engine.allow(step * KILLS + 1)
    producer.ended()
    engine.run("consumer")
    engine.assert_done(step * KILLS + 1)
    assert set(engine.asked().values()) == {1}


def test_the_consumer_waits_for_a_producer_that_keeps_dying(engine: Engine) -> None:
    """Pages that the consumer had committed by then are not requested again."""
    consumer = engine.start("consumer")
    for page in (1, 3, 5):
        engine.allow(page)
        producer = engine.start("producer")
        engine.wait_for_page(page)
        if page > 1:
            engine.wait_for_commit(page)
        producer.kill()
    engine.allow(PAGES)
    engine.run("producer")
    consumer.ended()
    engine.assert_done(PAGES)
    again = {page for page, times in engine.asked().items() if times > 1}
    assert {"page 3", "page 5"} <= again <= {"page 0", "page 1", "page 3", "page 5"}


def test_both_roles_die_and_are_restarted(engine: Engine) -> None:
    for page in (2, 5):
        engine.allow(page)
        commands = [engine.start("consumer"), engine.start("producer")]
        engine.wait_for_commit(page - 1)
        for command in commands:
            command.kill()
    engine.allow(PAGES)
    consumer = engine.start("consumer")
    engine.run("producer")
    consumer.ended()
    engine.assert_done(PAGES)
    assert max(engine.asked().values()) <= 3
