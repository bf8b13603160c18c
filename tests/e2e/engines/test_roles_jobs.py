"""Job after job with separate roles: leftovers, fresh starts, caps, dead letters, and leases."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from e2e.engines.conftest import MakeEngine
from e2e.engines.kit import PAGE_SIZE, Engine

pytestmark = pytest.mark.matrix(share=4, pool="roles")

PAGES = 3
EVERYTHING = list(range(PAGES * PAGE_SIZE))


@pytest.fixture
def rabbit(make_engine: MakeEngine) -> Engine:
    engine = make_engine("postgres", "rabbitmq", pages=PAGES)
    engine.allow(PAGES)
    return engine


@pytest.fixture
def kafka(make_engine: MakeEngine) -> Engine:
    engine = make_engine("postgres", "kafka", pages=PAGES)
    engine.allow(PAGES)
    return engine


def change(engine: Engine, id_: int) -> None:
    """A record changes now."""
    with (engine.folder / "changes.txt").open("a") as changes:
        changes.write(f"{id_} {(datetime.now(UTC) + timedelta(microseconds=1)).isoformat()}\n")


def test_a_second_job_appends_what_has_changed(rabbit: Engine) -> None:
    rabbit.pipeline.source(sync_mode="incremental")
    rabbit.run("producer")
    rabbit.run("consumer")
    assert rabbit.pipeline.ids() == EVERYTHING
    change(rabbit, 3)
    rabbit.run("producer")
    rabbit.run("consumer")
    assert rabbit.pipeline.ids() == [*EVERYTHING, 3]
    assert rabbit.statuses() == ["succeeded"] * 2


def test_a_fresh_start_of_the_producer_takes_a_waiting_consumer_along(kafka: Engine) -> None:
    kafka.allow(2)
    consumer = kafka.start("consumer")
    producer = kafka.start("producer")
    kafka.wait_for_commit(2)
    producer.kill()
    kafka.allow(PAGES)
    kafka.run("producer", "--fresh")
    consumer.ended()
    kafka.assert_done(PAGES, jobs=1, cancelled=1)
    assert kafka.asked()["page 0"] == 2


def test_a_fresh_start_finishes_what_only_has_to_be_published_and_then_begins(rabbit: Engine) -> None:
    """The fresh job used to be forgotten: the producer ended once it had asked the consumer to publish."""
    rabbit.pipeline.source(sync_mode="incremental")
    rabbit.run("producer")
    rabbit.run("consumer")
    change(rabbit, 3)
    rabbit.run("producer")
    rabbit.run("consumer", crash_at="before_finalize", expect=-9)
    change(rabbit, 5)
    producer = rabbit.start("producer", "--fresh")
    rabbit.wait(lambda: "Waiting for the consumer to publish job" in producer.text)
    rabbit.run("consumer")
    producer.ended()
    assert rabbit.pipeline.ids() == [*EVERYTHING, 3]
    rabbit.run("consumer")
    assert rabbit.pipeline.ids() == [*EVERYTHING, 3, 5]
    assert rabbit.statuses() == ["succeeded"] * 3


@pytest.mark.parametrize("point", ["after_cursor:3", "before_finalize", "before_replace", "after_replace"])
def test_a_consumer_publishes_what_one_that_died_has_committed(make_engine: MakeEngine, point: str) -> None:
    """Without the producer, which is gone."""
    engine = make_engine("postgres", "rabbitmq" if point.startswith("after") else "kafka", pages=PAGES)
    engine.allow(PAGES)
    engine.run("producer")
    engine.run("consumer", crash_at=point, expect=-9)
    assert engine.report().was_killed
    assert (engine.folder / "out.json").exists() is (point == "after_replace")
    engine.run("consumer")
    engine.assert_done(PAGES)
    assert set(engine.asked().values()) == {1}


def test_a_capped_producer_is_continued_by_the_next_one(kafka: Engine) -> None:
    consumer = kafka.start("consumer")
    kafka.pipeline.source(max_iterations=2)
    assert "Stopped after max_iterations (2 pages)" in kafka.run("producer")
    kafka.wait_for_commit(2)
    assert consumer.is_running
    assert not (kafka.folder / "out.json").exists()
    kafka.pipeline.source(max_iterations=None)
    kafka.run("producer")
    consumer.ended()
    kafka.assert_done(PAGES)
    assert set(kafka.asked().values()) == {1}


def test_records_that_cannot_be_delivered_are_each_once_in_the_dead_letters(rabbit: Engine) -> None:
    """The cause of the consumer's death does not matter."""
    refuse = "if int(data['page']) == 1: raise ValueError('refused')"
    rabbit.pipeline.config |= {"on_error": "dead_letter", "transforms": [{"label": "refuse", "python": refuse}]}
    rabbit.run("producer")
    rabbit.run("consumer", crash_at="after_write:2", expect=-9)
    rabbit.run("consumer", crash_at="before_replace", expect=-9)
    rabbit.run("consumer")
    assert rabbit.pipeline.ids() == [id_ for id_ in EVERYTHING if id_ // PAGE_SIZE != 1]
    assert rabbit.pipeline.ids("out.dead_letters.json") == [id_ for id_ in EVERYTHING if id_ // PAGE_SIZE == 1]
    assert (rabbit.report().rows_written, rabbit.report().dead_letters) == (10, 5)
    assert set(rabbit.asked().values()) == {1}


def test_each_role_keeps_out_another_one_and_whole_runs(rabbit: Engine) -> None:
    rabbit.allow(1)
    for role in ("producer", "consumer"):
        command = rabbit.start(role)
        rabbit.wait(lambda: rabbit.report().is_running)
        for other in (role, None):
            told = rabbit.run(other, expect=3)
            assert re.search(rf"is being run by process {command.process.pid} on host '.+'", told), told
            assert "Traceback" not in told
        assert command.is_running
        if role == "consumer":
            break
        command.kill()
    assert rabbit.asked() == {"page 0": 1, "page 1": 1}
    rabbit.allow(PAGES)
    rabbit.run("producer")
    command.ended()
    rabbit.assert_done(PAGES)
