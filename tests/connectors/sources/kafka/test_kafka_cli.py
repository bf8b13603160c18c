"""The Kafka source through the real command, into files: kills, signals, routing, dead letters, a group of two."""

import base64
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import commands
import pytest
import yaml
from connectors.sources.kafka.kafka_kit import committed, numbered, produce, wait_until

from bizon.connectors.sources import kafka

Topics = Callable[..., str]
KILLED = Path(__file__).with_name("killed_source.py")
EXAMPLE = Path(kafka.__path__[0]) / "config/kafka.example.yml"
SIGKILLED = -signal.SIGKILL


class Pipeline:
    """A pipeline from topics into files, in its own folder."""

    def __init__(self, folder: Path, url: str, *topics: str, **source: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        named = [dict(zip(("name", "destination_id"), topic.split(":"), strict=False)) for topic in topics]
        self.config: dict[str, Any] = {
            "name": folder.name,
            "source": {
                "name": "kafka",
                "stream": "topic",
                "sync_mode": "stream",
                "source_file_path": str(KILLED),
                "topics": named,
                "bootstrap_servers": url,
                "group_id": f"group-{topics[0].partition(':')[0]}" if topics else "group",
                "message_encoding": "utf-8",
                "batch_size": 10,
                "consumer_config": {"security.protocol": "PLAINTEXT"},
                **source,
            },
            "destination": {"name": "file", "config": {"destination_id": "out"}},
            "engine": {
                "backend": {"type": "sqlite", "config": {"database": "state"}},
                "runner": {"config": {"micro_batch": {"max_records": 1}}},  # page by page
            },
        }

    def command(self, **source: Any) -> list[str]:
        config = {**self.config, "source": {**self.config["source"], **source}}
        (self.folder / "config.yml").write_text(yaml.safe_dump(config))
        return [*commands.BIZON, "run", "config.yml"]

    def run(self, *, kill_at: str = "", expect: int = 0, **source: Any) -> str:
        """Run to the end, or until it is killed; returns its output."""
        done = commands.run(
            self.command(**source),
            cwd=self.folder,
            env={**os.environ, "KILL_AT": kill_at},
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    @contextmanager
    def running(self, **source: Any) -> Iterator[commands.Popen[bytes]]:
        """Within: the command is running and receives signals. It is killed if it still runs at the end."""
        path = self.folder / "log.txt"
        with path.open("ab") as log:
            begun = log.tell()
            child = commands.Popen(self.command(**source), cwd=self.folder, stdout=log, stderr=log)
        try:
            wait_until(lambda: b"ing job " in path.read_bytes()[begun:])  # Starting or Resuming
            yield child
        finally:
            child.kill()
            child.wait()

    def stop(self, child: commands.Popen[bytes]) -> None:
        """SIGTERM, and a graceful stop."""
        child.terminate()
        assert child.wait(60) == 130, (self.folder / "log.txt").read_text()

    def records(self, name: str = "out") -> list[dict[str, Any]]:
        path = self.folder / f"{name}.json"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(json.loads(line)["source_data"]) for line in lines if line.endswith("}")]

    def numbers(self, name: str = "out") -> list[int]:
        return [record["value"]["n"] for record in self.records(name)]


@pytest.fixture
def pipeline(tmp_path: Path, kafka_url: str) -> Callable[..., Pipeline]:
    """``pipeline("topic", key=value)``: keys of the source block; ``name`` of the pipeline, default pipe."""
    return lambda *topics, name="pipe", **source: Pipeline(tmp_path / name, kafka_url, *topics, **source)


def test_a_stream_is_written_to_its_file_and_resumes_after_it(
    kafka_url: str, kafka_topics: Topics, pipeline: Callable[..., Pipeline]
) -> None:
    topic = kafka_topics()
    pipe = pipeline(topic, batch_size=100, consumer_timeout=60)
    for start in (0, 20):
        produce(kafka_url, topic, numbered(range(start, start + 20)))
        pipe.run(max_iterations=1)
        assert pipe.numbers() == list(range(start + 20))
        assert committed(kafka_url, f"group-{topic}", topic) == [start + 20]


@pytest.mark.parametrize("point", ["get 3", "commit 2"])
def test_a_stream_that_is_killed_delivers_each_message_once(
    kafka_url: str, kafka_topics: Topics, pipeline: Callable[..., Pipeline], point: str
) -> None:
    """Also when it dies between a checkpoint and the commit of its offsets: the checkpoint decides."""
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(50)))
    pipe = pipeline(topic, consumer_timeout=1)
    pipe.run(kill_at=point, expect=SIGKILLED)
    stands = max(committed(kafka_url, f"group-{topic}", topic)[0], 0)
    written = len(pipe.records())
    produce(kafka_url, topic, numbered(range(50, 60)))
    with pipe.running() as child:
        wait_until(lambda: set(pipe.numbers()) == set(range(60)))
        pipe.stop(child)
    assert Counter(pipe.numbers()) == Counter(range(60))
    assert (written > stands) is point.startswith("commit")
    assert committed(kafka_url, f"group-{topic}", topic) == [60]


@pytest.mark.lesson("F-15")
def test_a_stream_that_is_stopped_delivers_each_message_once(
    kafka_url: str, kafka_topics: Topics, pipeline: Callable[..., Pipeline]
) -> None:
    topic = kafka_topics(partitions=2)
    pipe = pipeline(topic, consumer_timeout=1)
    for start in (0, 200):
        for partition in range(2):
            first = start + partition * 100
            produce(kafka_url, topic, numbered(range(first, first + 100)), partition)
        with pipe.running() as child:
            wait_until(lambda start=start: len(pipe.records()) > start + 50)  # type: ignore[misc]
            pipe.stop(child)
    with pipe.running() as child:
        wait_until(lambda: len(pipe.records()) >= 400)
        pipe.stop(child)
    assert Counter(pipe.numbers()) == Counter(range(400))


@pytest.mark.lesson("F-45")
def test_the_example_runs(kafka_url: str, kafka_topics: Topics, pipeline: Callable[..., Pipeline]) -> None:
    """With the topics and group of this test, and with an end."""
    pipe = pipeline()
    pipe.config = yaml.safe_load(EXAMPLE.read_text())
    for topic in pipe.config["source"]["topics"]:
        topic["name"] = kafka_topics()
        produce(kafka_url, topic["name"], numbered([7]))
    group = pipe.config["source"]["topics"][0]["name"]
    with pipe.running(bootstrap_servers=kafka_url, group_id=group, consumer_timeout=1) as child:
        wait_until(lambda: pipe.numbers("orders") == pipe.numbers("payments") == [7])
        pipe.stop(child)


@pytest.mark.lesson("F-20")
def test_topics_go_to_the_files_they_name(
    kafka_url: str, kafka_topics: Topics, pipeline: Callable[..., Pipeline]
) -> None:
    """A record without a table used to override the configured table, and ended up in None.json."""
    topics = [kafka_topics() for _ in range(3)]
    for number, topic in enumerate(topics):
        produce(kafka_url, topic, numbered([number]))
    pipe = pipeline(f"{topics[0]}:first", f"{topics[1]}:second", topics[2], consumer_timeout=1)
    with pipe.running() as child:
        wait_until(lambda: [pipe.numbers(name) for name in ("first", "second", "out")] == [[0], [1], [2]])
        pipe.stop(child)
    assert sorted(path.name for path in pipe.folder.glob("*.json")) == ["first.json", "out.json", "second.json"]


def test_a_streams_block_names_topics_tables_and_columns(
    kafka_url: str, kafka_topics: Topics, pipeline: Callable[..., Pipeline]
) -> None:
    topics = {"a": kafka_topics(), "b": kafka_topics()}
    for topic in topics.values():
        produce(kafka_url, topic, numbered([5]))
    pipe = pipeline(consumer_timeout=1, group_id=topics["a"])
    del pipe.config["source"]["topics"]
    columns = [{"name": "offset", "type": "integer"}, {"name": "value", "type": "json"}]
    columns += [
        {"name": name, "type": kind}
        for name, kind in {
            "topic": "string",
            "partition": "integer",
            "timestamp": "integer",
            "keys": "json",
            "headers": "json",
        }.items()
    ]
    pipe.config["streams"] = [
        {
            "name": name,
            "source": {"topic": topic},
            "destination": {"table_id": f"p.d.{name}", "record_schema": columns},
        }
        for name, topic in topics.items()
    ]
    pipe.config["destination"]["config"]["unnest"] = True
    files = [pipe.folder / f"p.d.{name}.json" for name in topics]
    with pipe.running() as child:
        wait_until(lambda: all(file.exists() and file.read_text().endswith("}\n") for file in files))
        pipe.stop(child)
    for file, topic in zip(files, topics.values(), strict=True):
        row = json.loads(file.read_text())
        assert (row["offset"], row["topic"]) == (0, topic)


def test_a_full_refresh_that_is_killed_resumes_to_the_same_end(
    kafka_url: str, kafka_topics: Topics, pipeline: Callable[..., Pipeline]
) -> None:
    topic = kafka_topics(partitions=2)
    for partition in range(2):
        produce(kafka_url, topic, numbered(range(partition * 30, partition * 30 + 30)), partition)
    pipe = pipeline(topic, sync_mode="full_refresh")
    pipe.config["destination"]["config"]["buffer_size"] = 0
    pipe.config["engine"]["runner"] = {"type": "stream"}  # it commits a page before it fetches the next one
    pipe.run(kill_at="get 4", expect=SIGKILLED)
    produce(kafka_url, topic, numbered(range(100, 110)))
    assert "Resuming job" in pipe.run()
    assert sorted(pipe.numbers()) == list(range(60))


def test_a_full_refresh_runs_in_two_processes(
    kafka_url: str, kafka_topics: Topics, pipeline: Callable[..., Pipeline]
) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(25)))
    pipe = pipeline(topic, sync_mode="full_refresh")
    pipe.config["engine"]["runner"] = {"type": "process"}
    output = pipe.run()
    assert pipe.numbers() == list(range(25))
    assert "25 records" in output


BAD = b'{"secret": "not Avro"}'


@pytest.mark.parametrize(
    ("mode", "on_error"),
    [("stream", "fail"), ("stream", "skip"), ("stream", "dead_letter"), ("full_refresh", "dead_letter")],
)
def test_a_poison_message_is_handled_as_on_error_says(
    kafka_url: str, kafka_topics: Topics, pipeline: Callable[..., Pipeline], on_error: str, mode: str
) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, [BAD], key=b"k")
    registry = {"schema_registry_url": "http://127.0.0.1:1"}  # never called: the message fails before
    pipe = pipeline(topic, sync_mode=mode, message_encoding="avro", authentication=registry)
    pipe.config["on_error"] = on_error
    output = pipe.run(expect=1 if on_error == "fail" else 0, **({"max_iterations": 1} if mode == "stream" else {}))
    assert f"message at offset 0 of topic '{topic}', partition 0" in output
    assert "secret" not in output
    assert pipe.records() == []
    stands = committed(kafka_url, f"group-{topic}", topic)[0]
    assert (stands == 1) is (mode == "stream" and on_error != "fail")
    letters = pipe.folder / "out.dead_letters.json"
    assert letters.exists() is (on_error == "dead_letter")
    if on_error == "dead_letter":
        letter = json.loads(letters.read_text())
        data = json.loads(letter["source_data"])
        assert base64.b64decode(data["value_base64"]) == BAD
        assert (data["topic"], data["partition"], data["offset"], data["keys"]) == (topic, 0, 0, "k")


def test_two_processes_share_a_group_and_lose_nothing(
    kafka_url: str, kafka_topics: Topics, pipeline: Callable[..., Pipeline]
) -> None:
    """The second joins while the first is running, then the first is stopped: partitions move twice."""
    topic = kafka_topics(partitions=4)
    group = {"group_id": topic, "consumer_timeout": 1, "batch_size": 20}
    settings = {
        "security.protocol": "PLAINTEXT",
        "group.instance.id": "",
    }  # a member that leaves releases its partitions at once
    first = pipeline(topic, name="first", **group, consumer_config=settings)
    second = pipeline(topic, name="second", **group, consumer_config=settings)

    def both() -> set[int]:
        return {*first.numbers(), *second.numbers()}

    def send(start: int) -> None:
        for partition in range(4):
            produce(
                kafka_url, topic, numbered(range(start + partition * 100, start + partition * 100 + 100)), partition
            )

    send(0)
    with first.running() as one:
        wait_until(lambda: len(first.records()) > 50)
        with second.running() as two:
            total = 400
            while not second.records():
                send(total)
                total += 400
                wait_until(lambda expected=total: len(both()) == expected)  # type: ignore[misc]
            first.stop(one)
            send(total)
            total += 400
            wait_until(lambda: sum(committed(kafka_url, topic, topic, 4)) == total)
            second.stop(two)
    assert both() == set(range(total))
