"""Engines of the tests in this folder: each test has its own schema, queue or topic, gone when it ends."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from e2e.engines.kit import Engine, PostgresState, SQLiteState, closing_engine
from kafka import delete_topics
from postgres import Place
from proxy import Proxy
from rabbitmq_server import Broker, rabbitmq_at

if TYPE_CHECKING:
    from conftest import Pipeline

BROKERS = ["rabbitmq", "kafka"]
MakeEngine = Callable[..., Engine]


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A RabbitMQ, at most one per worker."""
    with rabbitmq_at(tmp_path_factory.mktemp("rabbitmq")) as broker:
        yield broker


@pytest.fixture
def make_engine(pipeline: "Pipeline", request: pytest.FixtureRequest) -> Iterator[MakeEngine]:
    """``make_engine(state, queue, pages=8, **details)``: servers are looked for only when they are named, and those
    that a test has started are named in ``details``, which go to ``engine.queue.config.queue``. ``proxy``: between the
    commands and Postgres. A second engine has a folder and a schema of its own."""
    unused = iter([pipeline])
    with ExitStack() as until_the_end:

        def make(state: str, queue: str, pages: int = 8, proxy: Proxy | None = None, **details: Any) -> Engine:
            first = next(unused, None)
            own = first or another(pipeline)
            block: dict[str, Any] | None = None
            if queue == "rabbitmq":
                block = {"type": queue, "config": {"queue": details}}
                if "port" not in details:
                    broker: Broker = request.getfixturevalue("rabbitmq")
                    details |= broker._asdict()
                    until_the_end.callback(lambda: broker.delete(engine.queue_name))
            elif queue == "kafka":
                block = {"type": queue, "config": {"queue": details}}
                if "bootstrap_server" not in details:
                    url = details["bootstrap_server"] = request.getfixturevalue("kafka_url")
                    until_the_end.callback(lambda: delete_topics(url, [engine.queue_name]))
            if state == "postgres":
                place: Place = request.getfixturevalue("postgres")
                if first is None:
                    place = place.with_own_schema()
                    until_the_end.callback(place.drop)
                kept = PostgresState(place, proxy)
                until_the_end.callback(kept.close)
                engine = Engine(own, kept, block)
            else:
                engine = Engine(own, SQLiteState(own.folder), block)
            own.source(pages=pages)
            return until_the_end.enter_context(closing_engine(engine))

        yield make


@pytest.fixture(params=BROKERS)
def engine(make_engine: MakeEngine, request: pytest.FixtureRequest) -> Engine:
    """State in Postgres, and each broker."""
    return make_engine("postgres", request.param)


def another(pipeline: "Pipeline") -> "Pipeline":
    folder = pipeline.folder / uuid4().hex
    folder.mkdir()
    return type(pipeline)(folder)
