"""Puts the made-up records into a topic of two partitions: ``produce_messages.py BROKER TOPIC TOTAL``."""

import sys

import orjson
from bench_records import record
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

broker, topic, total = sys.argv[1], sys.argv[2], int(sys.argv[3])
admin = AdminClient({"bootstrap.servers": broker})
for made in admin.create_topics([NewTopic(topic, 2)]).values():
    made.result()
producer = Producer({"bootstrap.servers": broker, "acks": "all", "linger.ms": 20, "batch.num.messages": 10_000})
for n in range(total):
    while True:
        try:
            producer.produce(topic, orjson.dumps(record(n)), key=str(n), partition=n % 2)
            break
        except BufferError:
            producer.poll(0.1)
if producer.flush(60):
    sys.exit("messages were not confirmed")
