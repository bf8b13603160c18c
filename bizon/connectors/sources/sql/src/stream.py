"""One stream of a database, opened at its first use."""

from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import SourceConnectionError
from bizon.connectors.sources.sql.src.catalogue import Catalogue
from bizon.connectors.sources.sql.src.databases import database_of
from bizon.connectors.sources.sql.src.open_cursor import CursorReader
from bizon.connectors.sources.sql.src.reader import KeyedReader
from bizon.connectors.sources.sql.src.relation import relation_of
from bizon.connectors.sources.sql.src.scope import RunScope

if TYPE_CHECKING:
    from bizon.connectors.sources.sql.src.config import SqlSourceConfig
    from bizon.source.models import OfferedStream, SourceIncrementalState, SourceIteration


class SqlStream:
    """The stream of a configuration. Used on one thread. Its methods raise SourceError, ConfigError for an address that
    cannot be right, and MissingDependencyError."""

    def __init__(self, config: "SqlSourceConfig") -> None:
        self._config = config
        self._database = database_of(config)
        self._reader: KeyedReader | CursorReader | None = None

    def offered(self) -> "list[OfferedStream]":
        """The tables and views of the database."""
        self._check_address()
        return Catalogue(self._database).offered()

    def check(self) -> None:
        """Connect, and find the stream with its columns."""
        self._opened()

    def page(self, pagination: dict[str, Any], state: "SourceIncrementalState | None") -> "SourceIteration":
        """One page."""
        return self._opened().page(pagination, state)

    def partitions(self, most: int) -> list[dict[str, Any]]:
        """Ranges of the key; none for a stream without a key."""
        reader = self._opened()
        return reader.partitions(most) if isinstance(reader, KeyedReader) else []

    def close(self) -> None:
        """End all connections."""
        if self._reader is not None:
            self._reader.close()
        self._database.close()

    def _check_address(self) -> None:
        reason = self._database.flavour.check(self._database.url)
        if reason is not None:
            raise SourceConnectionError(reason)

    def _opened(self) -> KeyedReader | CursorReader:
        if self._reader is None:
            self._check_address()
            relation = relation_of(self._config, self._database)
            scope = RunScope(self._config, self._database.flavour, relation)
            reader = KeyedReader if relation.key else CursorReader
            self._reader = reader(self._database, relation, scope, self._config.page_size)
        return self._reader
