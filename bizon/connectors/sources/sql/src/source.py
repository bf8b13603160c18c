"""The ``sql`` source: tables, views and queries of any database that SQLAlchemy knows."""

from typing import TYPE_CHECKING, Any

from requests.auth import AuthBase

from bizon.common.errors.errors import SourceError
from bizon.connectors.sources.sql.src.config import SqlSourceConfig
from bizon.source.models import OfferedStream
from bizon.source.source import AbstractSource

if TYPE_CHECKING:
    from bizon.connectors.sources.sql.src.stream import SqlStream
    from bizon.source.config import SourceConfig
    from bizon.source.models import SourceIncrementalState, SourceIteration


class SqlSource(AbstractSource):
    """Reads a stream in pages that begin after the key of the last record, so that a run resumes inside of a table.
    SQLAlchemy and the driver are loaded only when they are needed."""

    config: SqlSourceConfig
    fetches_over_http = False

    def __init__(self, config: SqlSourceConfig) -> None:
        super().__init__(config)
        self._opened: SqlStream | None = None

    @staticmethod
    def streams() -> list[str]:
        return ["*"]

    @staticmethod
    def get_config_class() -> type["SourceConfig"]:
        return SqlSourceConfig

    def get_authenticator(self) -> AuthBase | None:
        return None

    def offered_streams(self) -> list[OfferedStream]:
        """The tables and views of the database, and the queries of the configuration."""
        queries = [OfferedStream(name, "query") for name in self.config.queries]
        return [*queries, *self._stream().offered()]

    def check_connection(self) -> tuple[bool, Any | None]:
        try:
            self._stream().check()
        except SourceError as error:
            return False, str(error)
        return True, None

    def get_partitions(self) -> list[dict[str, Any]]:
        """Ranges of the key, with about as many records each."""
        return self._stream().partitions(self.config.partitions)

    def get(self, pagination: dict[str, Any] | None = None) -> "SourceIteration":
        return self._stream().page(pagination or self.partition or {}, None)

    def get_records_after(
        self, source_state: "SourceIncrementalState", pagination: dict[str, Any] | None = None
    ) -> "SourceIteration":
        return self._stream().page(pagination or {}, source_state)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        super().close()

    def _stream(self) -> "SqlStream":
        if self._opened is None:
            self._opened = _open(self)
        return self._opened


def _open(source: SqlSource) -> "SqlStream":
    """The only place that loads SQLAlchemy."""
    from bizon.connectors.sources.sql.src.stream import SqlStream

    return SqlStream(source.config)
