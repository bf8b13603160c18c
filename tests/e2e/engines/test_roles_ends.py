"""Roles that are stopped, and roles that fail: the other one waits, and nothing is lost or fetched twice."""

import signal

import pytest
from e2e.engines.conftest import MakeEngine
from e2e.engines.kit import PAGE_SIZE, Engine

pytestmark = pytest.mark.matrix(share=4, pool="roles")

PAGES = 4
INTERRUPTED = 130


@pytest.fixture
def rabbit(make_engine: MakeEngine) -> Engine:
    return make_engine("postgres", "rabbitmq", pages=PAGES)


@pytest.fixture
def kafka(make_engine: MakeEngine) -> Engine:
    return make_engine("postgres", "kafka", pages=PAGES)


def once(engine: Engine) -> bool:
    return set(engine.asked().values()) == {1}


def test_a_consumer_that_is_stopped_while_it_waits_for_a_first_job_ends_at_once(rabbit: Engine) -> None:
    consumer = rabbit.start("consumer")
    rabbit.wait(lambda: "waiting for the producer to start one" in consumer.text)
    assert rabbit.report().state == "none"
    consumer.stop()
    assert "Interrupted" in consumer.ended(INTERRUPTED)
    assert not rabbit.report().is_running


def test_each_role_may_be_stopped_and_restarted(engine: Engine) -> None:
    """By SIGTERM, as an orchestrator does: each ends with exit code 130, and the next one resumes."""
    engine.pipeline.source(pages=PAGES)
    engine.allow(2)
    consumer = engine.start("consumer")
    producer = engine.start("producer")
    engine.wait_for_commit(2)
    engine.wait_for_page(2)
    consumer.stop()
    assert "nothing was published; run again to resume" in consumer.ended(INTERRUPTED)
    producer.stop()
    engine.allow(3)  # the page that it waits for
    assert "run again to resume" in producer.ended(INTERRUPTED)
    assert (engine.report().state, engine.report().is_running) == ("failed", False)
    consumer = engine.start("consumer")
    engine.wait_for_commit(3)
    engine.allow(PAGES)
    engine.run("producer")
    consumer.ended()
    engine.assert_done(PAGES)
    assert once(engine)


def test_a_consumer_waits_while_its_producer_is_restarted(rabbit: Engine) -> None:
    consumer = rabbit.start("consumer")
    for page, how in ((1, signal.SIGINT), (2, signal.SIGTERM)):
        rabbit.allow(page)
        producer = rabbit.start("producer")
        rabbit.wait_for_page(page)
        producer.stop(how)
        rabbit.allow(page + 1)
        producer.ended(INTERRUPTED)
        rabbit.wait_for_commit(page + 1)
        assert rabbit.statuses() == ["failed"]
    assert consumer.is_running
    rabbit.allow(PAGES)
    rabbit.run("producer")
    consumer.ended()
    rabbit.assert_done(PAGES)
    assert once(rabbit)


def test_a_producer_that_is_stopped_at_its_last_page_is_done(kafka: Engine) -> None:
    """It used to report an interruption, although all pages and the end were on the queue."""
    kafka.allow(PAGES - 1)
    producer = kafka.start("producer")
    kafka.wait_for_page(PAGES - 1)
    producer.stop()
    kafka.allow(PAGES)
    assert "All pages are on the queue" in producer.ended()
    kafka.run("consumer")
    kafka.assert_done(PAGES)
    assert once(kafka)


def test_after_an_error_of_the_source_the_consumer_publishes_nothing_and_waits(kafka: Engine) -> None:
    kafka.allow(PAGES)
    kafka.pipeline.source(fail_at=2)
    consumer = kafka.start("consumer")
    assert "RuntimeError: the API is down" in kafka.run("producer", expect=1)
    kafka.wait_for_commit(2)
    report = kafka.report()
    assert (report.state, report.is_running) == ("failed", True)
    assert "the API is down" in str(report.error)
    assert consumer.is_running
    assert not (kafka.folder / "out.json").exists()
    kafka.pipeline.source(fail_at=None)
    kafka.run("producer")
    consumer.ended()
    kafka.assert_done(PAGES)
    assert kafka.asked() == {"page 0": 1, "page 1": 1, "page 2": 2, "page 3": 1}


@pytest.mark.parametrize(
    "answers", [{"write": ["ok", "ok", "false"]}, {"finalize": ["raise"]}], ids=lambda key: next(iter(key))
)
def test_after_an_error_of_the_destination_nothing_is_fetched_twice(
    make_engine: MakeEngine, answers: dict[str, list[str]]
) -> None:
    """The producer does not notice. The pages that were not written are still on the queue."""
    engine = make_engine("postgres", "rabbitmq" if "write" in answers else "kafka", pages=PAGES)
    engine.allow(3)
    producer = engine.start("producer")
    if "finalize" in answers:
        engine.allow(PAGES)
        producer.ended()
    told = engine.run("consumer", expect=1, **answers)
    assert "the table is closed" in told or "the warehouse is on fire" in told
    report = engine.report()
    assert (report.state, report.last_iteration) == ("failed", 1 if "write" in answers else PAGES - 1)
    assert not (engine.folder / "out.json").exists()
    consumer = engine.start("consumer")
    engine.allow(PAGES)
    producer.ended()
    consumer.ended()
    engine.assert_done(PAGES)
    assert once(engine)


def test_an_error_in_a_transform_keeps_the_pages_before_it(rabbit: Engine) -> None:
    rabbit.allow(PAGES)
    rabbit.pipeline.destination(buffer_size=50)
    rabbit.pipeline.config["transforms"] = [
        {"label": "refuse", "python": "if int(data['page']) == 2: raise ValueError('refused')"}
    ]
    rabbit.run("producer")
    assert "refused" in rabbit.run("consumer", expect=1)
    assert rabbit.report().rows_written == 2 * PAGE_SIZE
    del rabbit.pipeline.config["transforms"]
    rabbit.run("consumer")
    rabbit.assert_done(PAGES)
    assert once(rabbit)
