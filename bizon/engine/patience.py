"""How long one part of a run waits for another. Two waits whose order matters are both in this module.

The part that knows the cause gives up first, so that the error names it: a queue that cannot reach RabbitMQ before the
consumer that misses a page, and the consumer that misses a page before the one that misses the end of the stream. Kafka
may be unreachable for longer than a page may be missing: its one partition keeps the order, so a page that is missing
when a later one arrives does not come after the outage either.
``tests/engine/test_patience.py`` checks the order.
"""

RABBITMQ_OUTAGE = 90.0
"""Seconds that a RabbitMQ broker may be unreachable before the run fails."""

KAFKA_OUTAGE = 300.0
"""Seconds that the Kafka brokers may be unreachable before the run fails."""

MISSING_PAGE = 120.0
"""Seconds that the consumer waits for a page when later ones have arrived. RabbitMQ delivers it by
then, if its outage was shorter than ``RABBITMQ_OUTAGE``."""

END_OF_STREAM = 300.0
"""Seconds that the consumer waits for the end of the stream once the producer has sent it."""

END_OF_STREAM_DRAINED = 5.0
"""The same while the broker reports that it has no message left."""

TOKEN_LEASE = 150.0
"""Seconds after which the exclusive use of a refresh token expires, as when the host of its holder died."""

TOKEN_WAIT = 240.0
"""Seconds that a run waits for the exclusive use of a refresh token."""
