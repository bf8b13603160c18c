"""Pipelines into the typed tables of an engine, with the parts of the loader and of the state played by the test."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from bizon.destination.config import AbstractDestinationConfig
from bizon.destination.destination import DestinationFactory
from bizon.engine.backend.backend import BackendFactory
from bizon.source.config import SourceSyncModes
from bizon.source.models import SourceRecord
from bizon.testing.destination_jobs import Pipeline

FULL_REFRESH, INCREMENTAL, STREAM = SourceSyncModes.FULL_REFRESH, SourceSyncModes.INCREMENTAL, SourceSyncModes.STREAM
MODES = [FULL_REFRESH, INCREMENTAL, STREAM]


@contextmanager
def pipeline(config: AbstractDestinationConfig, mode: SourceSyncModes, name: str = "conformance") -> Iterator[Pipeline]:
    """Within: a pipeline whose state is in memory."""

    def build(metadata: Any, details: Any, backend: Any, callback: Any, monitor: Any) -> Any:
        whole = config.model_copy(update={"config": details})
        return DestinationFactory.get_destination(metadata, whole, backend, callback, monitor)

    with BackendFactory.in_memory() as backend:
        backend.create_all_tables()
        into = Pipeline(build, config, mode, backend, name)
        try:
            yield into
        finally:
            into.close()


def load(config: AbstractDestinationConfig, mode: SourceSyncModes, *pages: list[SourceRecord]) -> None:
    """Run a job that is not the first of its pipeline."""
    with pipeline(config, mode) as into:
        into.has_history = True
        into.load(*pages)


def page(*records: dict[str, Any]) -> list[SourceRecord]:
    """A page of records; the key ``id`` is the id of the record, else its position."""
    return [SourceRecord(id=str(data.get("id", place)), data=data) for place, data in enumerate(records)]


class Target(ABC):
    """A database of one engine."""

    @abstractmethod
    def block(self, **settings: Any) -> AbstractDestinationConfig:
        """The ``destination`` block of the table ``items``."""

    @abstractmethod
    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Read or change the database behind bizon's back."""

    @abstractmethod
    def columns(self, table: str = "items") -> Mapping[str, str]:
        """The columns of the records, with the types of the engine."""

    @abstractmethod
    def tables(self) -> list[str]:
        """The names of all tables."""

    def pipeline(
        self, mode: SourceSyncModes, name: str = "conformance", **settings: Any
    ) -> AbstractContextManager[Pipeline]:
        """Within: a pipeline whose state is in memory."""
        return pipeline(self.block(**settings), mode, name)

    def load(self, mode: SourceSyncModes, *pages: list[SourceRecord], **settings: Any) -> None:
        """Run a job that is not the first of its pipeline."""
        load(self.block(**settings), mode, *pages)
