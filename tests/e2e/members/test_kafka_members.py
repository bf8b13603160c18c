"""Members of a Kafka consumer group under one pipeline: the group moves the partitions.

The broker is Tansu: its groups notice members that die or freeze, which the groups of the other test broker do not.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from e2e.crash.crash_kit import freeze, kill_group, thaw
from e2e.members.members_kit import SIX, Stream, stop, until
from postgres import Place
from proxy import Proxy

PARTITIONS = 4
FOREVER = 600_000  # milliseconds
SHORT = 10_000
PATIENCE = 10  # seconds
AWAY_FOR, CUT_FOR = 13.0, 3.0  # seconds; the first is longer than SHORT, and than a lease


class Feed:
    """Produces numbered messages to all partitions until it is stopped."""

    def __init__(self, url: str, topic: str) -> None:
        self._url, self._topic = url, topic
        self._over = Event()
        self._thread = Thread(target=self._run)
        self.sent = 0

    def __enter__(self) -> "Feed":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """How many messages there are."""
        self._over.set()
        self._thread.join()
        return self.sent

    def _run(self) -> None:
        producer = Producer({"bootstrap.servers": self._url, "log_level": 0})
        while not self._over.wait(0.05):
            for _ in range(PARTITIONS):
                value = json.dumps({"n": self.sent}).encode()
                producer.produce(self._topic, value, partition=self.sent % PARTITIONS)
                self.sent += 1
            assert producer.flush(PATIENCE) == 0


@pytest.fixture
def topic(tansu_url: str) -> Iterator[str]:
    name, admin = f"members-{uuid4().hex}", AdminClient({"bootstrap.servers": tansu_url, "log_level": 0})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(PATIENCE)
    yield name
    admin.delete_topics([name])[name].result(PATIENCE)


def stream_of(folder: Path, place: Place, url: str, topic: str, session: int, state: Place | None = None) -> Stream:
    """``state``: how the commands reach it."""
    stream = Stream(folder, place, SIX)
    settings: dict[str, Any] = {"security.protocol": "PLAINTEXT", "session.timeout.ms": session}
    stream.source = {
        "name": "kafka",
        "stream": "topic",
        "sync_mode": "stream",
        "topics": [{"name": topic}],
        "bootstrap_servers": url,
        "message_encoding": "utf-8",
        "consumer_timeout": 0.5,
        "consumer_config": {**settings, "heartbeat.interval.ms": 300},
    }
    stream.micro_batch = {"max_seconds": 0.2}
    stream.state = state or place
    return stream


def is_whole(stream: Stream, sent: int) -> Callable[[], bool]:
    """Whether the output has every message, each once."""

    def whole() -> bool:
        rows = stream.rows()
        return len(rows) == len({*rows}) == sent

    return whole


def reads(stream: Stream, members: int) -> Callable[[], bool]:
    """Whether that many members share all partitions."""

    def share() -> bool:
        places = [each for each in stream.places() if each]
        return len(places) == members and sum(map(len, places)) == PARTITIONS

    return share


@pytest.mark.timeout(300)
def test_members_share_a_topic_and_one_that_leaves_hands_its_partitions_over_at_once(
    tmp_path: Path, postgres: Place, kafka_url: str, kafka_topics: Callable[..., str]
) -> None:
    """The group would wait ten minutes for a member that does not leave, this broker forever. A plain run goes on in
    the end. The broker does not wait for the old owner of a partition, as others do: it comes too late then."""
    topic = kafka_topics(PARTITIONS)
    stream = stream_of(tmp_path, postgres, kafka_url, topic, FOREVER)
    with Feed(kafka_url, topic) as feed:
        with stream.member("one") as one, stream.member("two") as two:
            until(reads(stream, 2), stream, "two members that read")
            with stream.member("late") as late:
                until(reads(stream, 3), stream, "three members that read")
                stop(one, stream)
                until(reads(stream, 2), stream, "two members that read everything")
                stop(late, stream)
            until(reads(stream, 1), stream, "one member that reads everything")
            stop(two, stream)
        with stream.started() as plain:
            until(is_whole(stream, feed.stop()), stream, "every message once")
            stop(plain, stream)
    assert "Traceback" not in stream.log()


@pytest.mark.matrix(share=0)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("event", ["kill", "freeze", "cut"])
def test_a_member_that_dies_or_freezes_and_a_state_that_is_cut_off_lose_and_double_nothing(
    tmp_path: Path, postgres: Place, tansu_url: str, topic: str, event: str
) -> None:
    """A frozen member wakes up after its session has timed out, when others have its partitions."""
    with Proxy(postgres.host, postgres.port) as proxy, Feed(tansu_url, topic) as feed, ExitStack() as alive:
        state = Place(**{**postgres.config()["config"], "host": proxy.host, "port": proxy.port})
        stream = stream_of(tmp_path, postgres, tansu_url, topic, SHORT, state)
        members = [alive.enter_context(stream.member(f"member {number}")) for number in range(3)]
        until(reads(stream, 3), stream, "three members that read")
        if event == "kill":
            kill_group(members.pop())
        elif event == "freeze":
            freeze(members[0])
            time.sleep(AWAY_FOR)
            thaw(members[0])
        else:
            proxy.cut()
            time.sleep(CUT_FOR)
            proxy.restore()
        until(reads(stream, len(members)), stream, "all partitions in the hands of those who live")
        until(is_whole(stream, feed.stop()), stream, "every message once")
        for child in members:
            stop(child, stream)
    assert "Traceback" not in stream.log()
