"""Puts the made-up records into topics of two partitions: ``produce_messages.py BROKER TOTAL TOPIC...``."""

import sys

import orjson
from bench_records import record
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

broker, total, topics = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
admin = AdminClient({"bootstrap.servers": broker})
for made in admin.create_topics([NewTopic(topic, 2) for topic in topics]).values():
    made.result()
producer = Producer({"bootstrap.servers": broker, "acks": "all", "linger.ms": 20, "batch.num.messages": 10_000})
for n in range(total):
    while True:
        try:
            producer.produce(
                topics[n % len(topics)], orjson.dumps(record(n)), key=str(n), partition=n // len(topics) % 2
            )
            break
        except BufferError:
            producer.poll(0.1)
if producer.flush(60):
    sys.exit("messages were not confirmed")
