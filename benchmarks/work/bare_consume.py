"""The bare consume loop: reads a topic from its start and writes one value per line: BROKER TOTAL TOPIC."""

import sys
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

broker, total, topic = sys.argv[1], int(sys.argv[2]), sys.argv[3]
consumer = Consumer({"bootstrap.servers": broker, "group.id": "bare", "enable.auto.commit": False})
consumer.assign([TopicPartition(topic, number, 0) for number in range(2)])
seen = 0
with Path("out.json").open("wb") as file:
    while seen < total:
        messages = consumer.consume(10_000, 0.1)
        for message in messages:
            if message.error() is None:
                file.write(message.value())
                file.write(b"\n")
                seen += 1
consumer.close()
