"""The topic of a pipeline: found or created."""

from time import monotonic
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # not in its stubs' __all__

from bizon.common.errors.errors import QueueError
from bizon.common.safe_log import logger
from bizon.engine.queue.adapters.kafka.client import ClientEvents
from bizon.engine.queue.adapters.kafka.settings import CONNECT_TIMEOUT, built, settings

if TYPE_CHECKING:
    from bizon.engine.queue.adapters.kafka.config import KafkaQueueConfig

_ATTEMPT = 2.0  # seconds; between attempts, a refusal by the brokers is noticed


def ensure_topic(config: "KafkaQueueConfig", name: str) -> None:
    """Return once the topic's partition 0 can be used. Both sides call it, perhaps at the same time.

    Raises QueueError when no broker answers within 20 seconds, or the topic is missing and cannot be created.
    """
    events = ClientEvents(config)
    admin = built(AdminClient, events, settings(config, events))
    deadline = monotonic() + CONNECT_TIMEOUT
    # This lists all topics: a request for a missing one makes some brokers create it with their own settings.
    found = _metadata(admin, events, deadline).topics.get(name)
    if found is None:
        _create(admin, events, config, name)
    while found is None or 0 not in found.partitions or found.partitions[0].leader < 0:
        if monotonic() > deadline:
            raise QueueError(f"partition 0 of Kafka topic '{name}' has no leader; check the brokers' state")
        admin.poll(0.1)
        found = _metadata(admin, events, deadline, name).topics.get(name)
    if len(found.partitions) > 1:
        logger.info(f"Kafka topic '{name}' has {len(found.partitions)} partitions, only partition 0 is used")


def _metadata(admin: Any, events: ClientEvents, deadline: float, name: str | None = None) -> Any:
    while True:
        try:
            return admin.list_topics(name, timeout=_ATTEMPT)
        except KafkaException:
            events.serve(lambda: admin.poll(0.1))
            events.check_admitted()
            if monotonic() > deadline:
                raise events.unreachable(f"within {CONNECT_TIMEOUT:.0f} seconds") from None


def _create(admin: Any, events: ClientEvents, config: "KafkaQueueConfig", name: str) -> None:
    new = NewTopic(name, num_partitions=1, replication_factor=config.replication_factor)
    try:
        admin.create_topics([new], request_timeout=CONNECT_TIMEOUT)[name].result(2 * CONNECT_TIMEOUT)
    except KafkaException as error:
        if error.args[0].name() == "TOPIC_ALREADY_EXISTS":  # the other side was faster
            return
        raise QueueError(
            f"Kafka topic '{name}' could not be created ({events.reason(error)}); set replication_factor, or create "
            "the topic yourself, with one partition, and name it in engine.queue.config.queue.topic"
        ) from None
    logger.debug(f"Kafka topic '{name}' was created")
