"""Servers that are unreachable for some time, and a broker that dies: the run waits and then continues."""

import time
from collections.abc import Iterator

import pytest
from e2e.engines.conftest import MakeEngine
from e2e.engines.kit import Engine
from kafka import tansu
from ports import free_port
from postgres import Place
from proxy import Proxy
from rabbitmq_server import Broker, Node, node_at
from servers import server_or_skip

PAGES = 8
INTERRUPTED = 130
OUTAGE = 30  # seconds; longer than any one attempt to connect, shorter than every patience


@pytest.fixture
def to_postgres(postgres_server: Place) -> Iterator[Proxy]:
    with Proxy(postgres_server.host, postgres_server.port) as proxy:
        yield proxy


@pytest.fixture
def to_rabbitmq(rabbitmq: Broker) -> Iterator[Proxy]:
    with Proxy(rabbitmq.host, rabbitmq.port) as proxy:
        yield proxy


@pytest.fixture
def to_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A broker that sends its clients to the proxy, as Kafka brokers advertise an address."""
    port = free_port()
    with Proxy("127.0.0.1", port) as proxy:
        try:
            folder = tmp_path_factory.mktemp("tansu")
            broker = tansu(folder, port=port, seen_at=f"{proxy.host}:{proxy.port}").start()
        except (OSError, RuntimeError) as error:
            server_or_skip("tansu", str(error))
        yield proxy
        broker.stop()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A broker that a test may kill, or have run short of disk."""
    with node_at(tmp_path_factory.mktemp("node"), "a test kills it") as started:
        yield started


@pytest.mark.timeout(240)
def test_a_run_and_two_roles_wait_for_broker_and_state(
    make_engine: MakeEngine, rabbitmq: Broker, to_rabbitmq: Proxy, to_kafka: Proxy, to_postgres: Proxy
) -> None:
    """All servers go down at the same moment, mid-run; a backlog waits when they return."""
    through = rabbitmq._replace(host=to_rabbitmq.host, port=to_rabbitmq.port)
    whole = make_engine("postgres", "rabbitmq", PAGES, to_postgres, **through._asdict())
    url = f"{to_kafka.host}:{to_kafka.port}"
    divided = make_engine("postgres", "kafka", PAGES, to_postgres, bootstrap_server=url)
    commands = [divided.start("producer"), divided.start("consumer")]
    run = whole.start()
    silent_for_a_while(divided, to_kafka)
    whole.allow(3)
    for engine in (whole, divided):
        engine.wait_for_commit(2)
    for proxy in (to_rabbitmq, to_kafka, to_postgres):
        proxy.cut()
    for engine in (whole, divided):
        engine.allow(PAGES)
    time.sleep(OUTAGE)
    for proxy in (to_rabbitmq, to_kafka, to_postgres):
        proxy.restore()
    told = run.ended()
    for command in commands:
        command.ended()
    for engine in (whole, divided):
        engine.assert_done(PAGES)
        assert set(engine.asked().values()) == {1}
    assert "the connection was lost" in told
    assert "reconnected" in told
    rabbitmq.delete(whole.queue_name)


def silent_for_a_while(engine: Engine, broker: Proxy) -> None:
    """The broker is silent for a few seconds, with all connections open; then three pages may pass."""
    engine.allow(1)
    engine.wait_for_commit(1)
    broker.stall()
    engine.allow(3)
    engine.wait_for_page(3)
    time.sleep(3)
    assert engine.committed() == 1
    broker.resume()


def test_a_broker_that_dies_still_has_the_pages_when_it_is_back(make_engine: MakeEngine, node: Node) -> None:
    engine = make_engine("postgres", "rabbitmq", PAGES, **node.broker._asdict())
    engine.allow(4)
    producer = engine.start("producer")
    engine.wait_for_page(4)
    consumer = engine.start("consumer", hold={"create_destination_cursor": 3})
    engine.wait_for_commit(2)
    node.remember()
    node.kill()
    engine.allow(PAGES)
    (engine.folder / "go.create_destination_cursor").touch()
    engine.wait_for_commit(3)
    node.start()
    producer.ended()
    consumer.ended()
    engine.assert_done(PAGES)
    assert set(engine.asked().values()) == {1}


def test_a_stop_need_not_wait_for_a_broker_that_accepts_nothing(make_engine: MakeEngine, node: Node) -> None:
    """By SIGTERM, as an orchestrator does. The next run fetches the pages again that the broker did not take."""
    engine = make_engine("postgres", "rabbitmq", PAGES, **node.broker._asdict())
    engine.allow(2)
    stopped = engine.start()
    engine.wait_for_page(2)
    with node.short_of_disk():
        engine.allow(PAGES)
        engine.wait(lambda: "accepts no pages (low on disk): it has raised a resource alarm" in stopped.text)
        stopped.stop()
        assert "run again to resume" in stopped.ended(INTERRUPTED)
    assert (engine.report().state, engine.report().is_running) == ("failed", False)
    engine.run()
    engine.assert_done(PAGES)
