"""From the default group of older releases to the pipeline's own.

``group_id`` used to be "bizon" by default, for all pipelines. A pipeline that relied on it has its offsets in that
group, and must neither read its topics again nor skip messages. So it adopts these offsets wherever its own group has
none. The checkpoint proves that they belong to this pipeline, and not to another one that reads the same topic. Without
a checkpoint the user has to decide."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException

from bizon.common.errors.errors import SourceFetchError
from bizon.common.safe_log import logger
from bizon.connectors.sources.kafka.src.broker_calls import committed_offsets
from bizon.connectors.sources.kafka.src.client_errors import error_of, fetch_error
from bizon.connectors.sources.kafka.src.config import LEGACY_GROUP, KafkaSourceConfig

if TYPE_CHECKING:
    from bizon.connectors.sources.kafka.src.client import Client, Partition


class LegacyGroup:
    """The offsets of the legacy group that belong to this pipeline."""

    def __init__(self, config: KafkaSourceConfig, client: "Client") -> None:
        self._config = config
        self._client = client
        self._is_relevant = False
        self._is_ours = False

    def resume(self, pagination: Mapping[str, Any]) -> None:
        """Take over the last checkpoint; a checkpoint of the current release names its group."""
        is_default = self._config.group_id is None and self._config.group != LEGACY_GROUP
        self._is_relevant = is_default and "group" not in pagination
        self._is_ours = bool(pagination)

    def offsets_to_adopt(self, keys: Iterable["Partition"]) -> dict["Partition", int]:
        """Offsets of partitions for which the pipeline's own group has none. Raises SourceFetchError when only the user
        can tell whose offsets they are."""
        wanted = list(keys)
        if not self._is_relevant or not wanted:
            return {}
        found = self._committed(wanted)
        if found and not self._is_ours:
            raise SourceFetchError(
                f"kafka: group '{LEGACY_GROUP}', the default of older releases, has offsets of topic "
                f"'{next(iter(found))[0]}', and the state does not tell whether they belong to this pipeline: set "
                f"source.group_id to {LEGACY_GROUP} to continue from them, or to another name to start by "
                "auto.offset.reset"
            )
        if found:
            logger.info(
                f"kafka: group '{self._config.group}' continues from the offsets of group '{LEGACY_GROUP}', the "
                f"default of older releases: {len(found)} partitions"
            )
        return found

    def _committed(self, keys: list["Partition"]) -> dict["Partition", int]:
        consumer = self._client.consumer(**{"group.id": LEGACY_GROUP, "group.instance.id": ""})
        try:
            found = committed_offsets(consumer, keys)
        except KafkaException as error:
            if self._is_ours:
                raise fetch_error(f"could not read the offsets of group '{LEGACY_GROUP}'", error_of(error)) from None
            return {}  # a pipeline that may not read this group has never used it
        finally:
            consumer.close()
        return {key: committed.offset for key, committed in found.items() if committed.offset >= 0}
