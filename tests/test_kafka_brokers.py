"""The Kafka brokers of the tests return the messages that they receive."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import answers, noida
from ports import free_port


def send(url: str, topic: str, *values: bytes) -> None:
    errors: list[object] = []
    producer = Producer({"bootstrap.servers": url, "enable.idempotence": True, "message.max.bytes": 10_000_000})
    for value in values:
        producer.produce(topic, value, partition=0, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(20) == 0
    assert errors == [None] * len(values)


def read(url: str, topic: str, count: int) -> list[bytes | None]:
    consumer = Consumer({"bootstrap.servers": url, "group.id": uuid4().hex, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    messages = consumer.consume(count, timeout=20)
    consumer.close()
    assert not any(message.error() for message in messages)
    return [message.value() for message in messages]


def test_a_message_goes_through_the_broker(kafka_url: str, kafka_topics: Callable[..., str]) -> None:
    topic = kafka_topics()
    send(kafka_url, topic, b"one", b"two")
    assert read(kafka_url, topic, 2) == [b"one", b"two"]


def test_a_topic_has_the_requested_partitions_and_settings(kafka_url: str, kafka_topics: Callable[..., str]) -> None:
    topic = kafka_topics(3, max_message_bytes="2000000")
    send(kafka_url, topic, b"x" * 1_500_000)
    assert len(read(kafka_url, topic, 1)[0] or b"") == 1_500_000


def test_the_second_broker_takes_messages_too(tansu_url: str) -> None:
    topic = f"test-{uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": tansu_url})
    admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])[topic].result(10)
    send(tansu_url, topic, b"one", b"two")
    assert read(tansu_url, topic, 2) == [b"one", b"two"]


def test_a_broker_that_is_stopped_has_its_messages_when_it_is_started_again(tmp_path: Path) -> None:
    broker = noida(tmp_path).start()
    try:
        send(broker.url, "kept", b"one")
        broker.stop()
        assert not answers(broker.url, timeout=1)
        broker.start()
        assert read(broker.url, "kept", 1) == [b"one"]
    finally:
        broker.stop()


def test_a_port_where_nobody_listens_does_not_answer() -> None:
    assert not answers(f"127.0.0.1:{free_port()}")
