"""Puts the made-up records into a topic of two partitions: ``produce_messages.py BROKER TOTAL TOPIC``.

The last message of each partition is sent alone, since the broker takes the first message of a batch for the end of
its partition.
"""

import sys

import orjson
from bench_records import record
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

broker, total, topic = sys.argv[1], int(sys.argv[2]), sys.argv[3]
admin = AdminClient({"bootstrap.servers": broker})
admin.create_topics([NewTopic(topic, 2)])[topic].result()
producer = Producer({"bootstrap.servers": broker, "acks": "all", "linger.ms": 20, "batch.num.messages": 10_000})
for n in range(total):
    if n >= total - 2:
        producer.flush(60)
    while True:
        try:
            producer.produce(topic, orjson.dumps(record(n)), key=str(n), partition=n % 2)
            break
        except BufferError:
            producer.poll(0.1)
if producer.flush(60):
    sys.exit("messages were not confirmed")
