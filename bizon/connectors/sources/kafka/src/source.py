"""The ``kafka`` source: topics as an endless stream, or from their start to their end."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from requests.auth import AuthBase

from bizon.common.errors.errors import MissingDependencyError, SourceError
from bizon.connectors.sources.kafka.src import places
from bizon.connectors.sources.kafka.src.config import KafkaSourceConfig, KafkaStreams
from bizon.source.auth.authenticators.basic import BasicHttpAuthParams
from bizon.source.auth.builder import AuthBuilder
from bizon.source.config import SourceConfig, SourceSyncModes
from bizon.source.source import AbstractSource

if TYPE_CHECKING:
    from bizon.connectors.sources.kafka.src.topics import TopicReader
    from bizon.source.models import SourceIteration


class KafkaSource(AbstractSource):
    """Sync mode ``stream``: a member of a consumer group, which commits the offsets of messages that are safe.
    ``full_refresh``: every partition up to the end it has when the run starts. The Kafka packages are loaded only when
    they are needed."""

    config: KafkaSourceConfig
    resumes_streams = True
    takes_members = True
    fetches_over_http = False  # the schema registry is asked over HTTP, for schemas and not for pages

    def __init__(self, config: KafkaSourceConfig) -> None:
        super().__init__(config)
        self._is_stream = config.sync_mode is SourceSyncModes.STREAM
        self._opened: TopicReader | None = None

    @staticmethod
    def streams() -> list[str]:
        return [stream.value for stream in KafkaStreams]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return KafkaSourceConfig

    @staticmethod
    def places_of(pagination: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """A place is a partition, by a name such as ``orders/3``."""
        return places.places_of(pagination)

    @staticmethod
    def pagination_of(places_: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """The checkpoint of several partitions."""
        return places.pagination_of(places_)

    def get_authenticator(self) -> AuthBase | None:
        """The authentication of the schema registry, the only server that the source talks to over HTTP."""
        found = self.config.authentication
        if found is None or not found.schema_registry_username:
            return None
        params = BasicHttpAuthParams(username=found.schema_registry_username, password=found.schema_registry_password)
        return AuthBuilder.basic(params)

    def check_connection(self) -> tuple[bool, Any | None]:
        try:
            self._reader().check()
        except SourceError as error:
            return False, str(error)
        return True, None

    def get_total_records_count(self) -> int | None:
        """The offsets between start and end of a full refresh; None for a stream, which has no end."""
        return None if self._is_stream else self._reader().total()

    def get(self, pagination: dict[str, Any] | None = None) -> "SourceIteration":
        """In sync mode stream: the next messages; none when none arrive within ``consumer_timeout``. Only the first
        call uses the pagination, to resume after that checkpoint; the partitions of a member bring theirs."""
        if self._is_stream:
            return self._reader().stream_page(pagination or {}, time.monotonic() + self.config.consumer_timeout)
        return self._reader().snapshot_page(pagination or {})

    def get_lag(self) -> int | None:
        return self._opened.lag() if self._is_stream and self._opened is not None else None

    def commit(self) -> None:
        if self._opened is not None:
            self._opened.commit()

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        super().close()

    def _reader(self) -> "TopicReader":
        if self._opened is None:
            self._opened = _open(self)
        return self._opened


def _open(source: KafkaSource) -> "TopicReader":
    """The only place that loads the Kafka packages."""
    try:
        from bizon.connectors.sources.kafka.src.topics import TopicReader
    except ModuleNotFoundError as error:
        raise MissingDependencyError("kafka", f"source 'kafka' (module {error.name})") from error
    config = source.config if source.member is None else source.config.of_member()
    return TopicReader(config, source.session, source.member)
