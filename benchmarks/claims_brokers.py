"""Claims about brokers: pages through a queue, and messages from a topic."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

from benchmarks.brokers import NoBrokerError, rabbitmq, tansu
from benchmarks.claims import Claim
from benchmarks.measure import Command, fresh_folder, run
from benchmarks.workload import Bench, Side, lines_are, pipeline, script

_LEAST = 0.6


def queues(bench: Bench) -> list[Claim]:
    """Throughput, against the queue inside the run."""
    names = {
        "rabbitmq": "throughput through rabbitmq / python_queue",
        "kafka": "throughput through kafka / python_queue",
    }
    sides: dict[str, Side] = {"python_queue": pipeline}
    with _blocks(bench) as blocks:
        sides |= {name: partial(_through, kind=name, block=block) for name, block in blocks.items()}
        samples = bench.compare(sides, bench.size.records)
    return [
        bench.ratio(text, samples, ("python_queue", name), "wall", "at least", _LEAST) for name, text in names.items()
    ]


def kafka_source(bench: Bench) -> list[Claim]:
    """Processor time, against a loop that consumes the same messages and writes their values."""
    sides = ("bizon", "bare consume loop")
    name, limit = "CPU / bare consume loop", 2.0

    def bare(total: int) -> Command:
        return script("bare_consume.py", address, total, topic_of(total), check=lines_are("out.json", total))

    try:
        with tansu() as address:
            for total in (bench.size.records, bench.size.start):
                with fresh_folder(bench.folder) as folder:
                    run(script("produce_messages.py", address, total, topic_of(total)), folder)
            bizon = partial(from_topic, address=address)
            samples = bench.compare({"bizon": bizon, "bare consume loop": bare}, bench.size.records)
    except NoBrokerError as error:
        return [Claim(name, None, "at most", limit, reason=str(error))]
    return [bench.ratio(name, samples, sides, "cpu", "at most", limit)]


def topic_of(total: int) -> str:
    """The topic with this many messages."""
    return f"bench-{total}"


@contextmanager
def _blocks(bench: Bench) -> Iterator[dict[str, Mapping[str, Any]]]:
    """Within: the ``queue`` blocks of the available brokers. Missing ones become failures of the bench."""
    blocks: dict[str, Mapping[str, Any]] = {}
    with ExitStack() as brokers:
        try:
            blocks["rabbitmq"] = rabbitmq()
        except NoBrokerError as error:
            bench.failures["rabbitmq"] = str(error)
        try:
            blocks["kafka"] = {"bootstrap_server": brokers.enter_context(tansu())}
        except NoBrokerError as error:
            bench.failures["kafka"] = str(error)
        yield blocks


def _through(total: int, kind: str, block: Mapping[str, Any]) -> Command:
    """A run through a broker. A unique name gives each run a separate queue or topic."""
    named = "queue_name" if kind == "rabbitmq" else "topic"
    queue = {"type": kind, "config": {"queue": {**block, named: f"bench-{uuid4().hex}"}}}
    return pipeline(total, engine={"queue": queue})


def from_topic(total: int, address: str, **how: Any) -> Command:
    """A full refresh of the topic with the ``kafka`` source; ``how`` goes to ``pipeline``."""
    source = {
        "name": "kafka",
        "stream": "topic",
        "topics": [{"name": topic_of(total), "destination_id": None}],
        "bootstrap_servers": address,
        "message_encoding": "utf-8",
        "batch_size": 10_000,
        "consumer_config": {"security.protocol": "PLAINTEXT"},
    }
    return pipeline(total, source=source, **how)
