"""Through the real command: messages that are gone, and two pipelines on one host without a named group."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from connectors.sources.kafka.kafka_kit import committed, delete_group, delete_records, numbered, produce, wait_until
from connectors.sources.kafka.test_kafka_cli import Pipeline

Topics = Callable[..., str]
SETTINGS = {"security.protocol": "PLAINTEXT", "group.instance.id": ""}


def stream(folder: Path, url: str, topic: str) -> Pipeline:
    return Pipeline(folder, url, topic, batch_size=100, consumer_timeout=60, consumer_config=SETTINGS)


def test_a_stream_whose_messages_are_gone_fails_until_it_is_allowed_to_continue(
    tmp_path: Path, kafka_url: str, kafka_topics: Topics
) -> None:
    topic = kafka_topics()
    pipe = stream(tmp_path / "pipe", kafka_url, topic)
    produce(kafka_url, topic, numbered(range(10)))
    pipe.run(max_iterations=1)
    produce(kafka_url, topic, numbered(range(10, 25)))
    delete_records(kafka_url, topic, 15)
    for _ in range(2):
        said = pipe.run(max_iterations=1, expect=1)
        assert f"topic '{topic}', partition 0: 5 messages (offsets 10 to 14) were removed" in said
        assert "Traceback" not in said
    assert "5 messages missing in this run" in pipe.run(max_iterations=1, on_data_loss="warn")
    assert pipe.numbers() == [*range(10), *range(15, 25)]
    produce(kafka_url, topic, numbered([25]))
    pipe.run(max_iterations=1)
    assert pipe.numbers()[-2:] == [24, 25]


def test_a_group_that_an_operator_deletes_is_read_from_the_start(
    tmp_path: Path, kafka_url: str, kafka_topics: Topics
) -> None:
    topic = kafka_topics()
    pipe = stream(tmp_path / "pipe", kafka_url, topic)
    produce(kafka_url, topic, numbered(range(5)))
    pipe.run(max_iterations=1)
    delete_group(kafka_url, f"group-{topic}")
    assert "5 messages will be delivered again" in pipe.run(max_iterations=1)
    assert pipe.numbers() == [*range(5), *range(5)]
    assert committed(kafka_url, f"group-{topic}", topic) == [5]


def test_two_pipelines_of_one_host_leave_each_other_alone(tmp_path: Path, kafka_url: str, kafka_topics: Topics) -> None:
    topics = [kafka_topics(), kafka_topics()]
    settings = {"security.protocol": "PLAINTEXT"}  # static members, as by default
    pipes = [
        Pipeline(tmp_path / topic, kafka_url, topic, consumer_timeout=1, consumer_config=settings) for topic in topics
    ]
    for pipe, topic in zip(pipes, topics, strict=True):
        del pipe.config["source"]["group_id"]
        produce(kafka_url, topic, numbered(range(30)))
    with pipes[0].running() as first, pipes[1].running() as second:
        wait_until(lambda: all(len(pipe.records()) == 30 for pipe in pipes))
        for topic in topics:
            produce(kafka_url, topic, numbered(range(30, 60)))
        wait_until(lambda: all(len(pipe.records()) >= 60 for pipe in pipes))
        pipes[0].stop(first)
        pipes[1].stop(second)
    for pipe in pipes:
        assert Counter(pipe.numbers()) == Counter(range(60))
        assert "evicted" not in (pipe.folder / "log.txt").read_text()
