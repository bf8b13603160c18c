"""From the default group of older releases to the pipeline's own.

``group_id`` was "bizon" by default, for all pipelines alike. One that relied on it has its offsets there, and must
neither read its topics again nor skip anything: they are adopted where the own group has none. That they are this
pipeline's, and not another's that reads the same topic, its checkpoint says. Where it says nothing, the user has to.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaException

from bizon.common.errors.errors import SourceFetchError
from bizon.common.safe_log import logger
from bizon.connectors.sources.kafka.src.client import Client, Partition, error_of, fetch_error
from bizon.connectors.sources.kafka.src.config import OLDER_GROUP, KafkaSourceConfig
from bizon.connectors.sources.kafka.src.lookups import stands


class OlderGroup:
    """The offsets of that group, as far as they are this pipeline's."""

    def __init__(self, config: KafkaSourceConfig, client: Client) -> None:
        self._config = config
        self._client = client
        self._may_matter = False
        self._is_ours = False

    def heed(self, pagination: Mapping[str, Any]) -> None:
        """``pagination``: of the last checkpoint. Those of this release name their group."""
        is_default = self._config.group_id is None and self._config.group != OLDER_GROUP
        self._may_matter = is_default and "group" not in pagination
        self._is_ours = bool(pagination)

    def offsets(self, keys: Iterable[Partition]) -> dict[Partition, int]:
        """What to adopt of partitions of which the own group has nothing. Raises SourceFetchError when that is not
        for bizon to say."""
        wanted = list(keys)
        if not self._may_matter or not wanted:
            return {}
        found = self._committed(wanted)
        if found and not self._is_ours:
            raise SourceFetchError(
                f"kafka: group '{OLDER_GROUP}', the default of older releases, has offsets of topic "
                f"'{next(iter(found))[0]}', and the state does not tell whether they are this pipeline's: set "
                f"source.group_id to {OLDER_GROUP} to go on from them, or to another name to begin by auto.offset.reset"
            )
        if found:
            logger.info(
                f"kafka: group '{self._config.group}' goes on where group '{OLDER_GROUP}', the default of older "
                f"releases, stands: {len(found)} partitions"
            )
        return found

    def _committed(self, keys: list[Partition]) -> dict[Partition, int]:
        consumer = self._client.consumer(**{"group.id": OLDER_GROUP, "group.instance.id": ""})
        try:
            return {key: stand.offset for key, stand in stands(consumer, keys).items() if stand.offset >= 0}
        except KafkaException as error:
            if self._is_ours:
                raise fetch_error(f"offsets of group '{OLDER_GROUP}'", error_of(error)) from None
            return {}  # a pipeline that may not look there has not read under that name
        finally:
            consumer.close()
