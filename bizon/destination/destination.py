"""The interface a destination connector implements, and the factory that builds one."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bizon.common.errors.errors import DestinationError, of_extra
from bizon.destination.config import AbstractDestinationConfig, AbstractDestinationDetailsConfig, DestinationTypes
from bizon.destination.models import BatchRange, CommittedBatch, OutputState, ResumePoint

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import polars as pl

    from bizon.common.sync import SyncMetadata
    from bizon.destination.config import DestinationColumn
    from bizon.destination.readable import TableReader
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.monitoring.monitor import AbstractMonitor
    from bizon.source.callback import AbstractSourceCallback


class AbstractDestination(ABC):
    """Writes rows somewhere. A destination never decides when to write, and never records a checkpoint.

    One instance serves one run, on one thread. The loader calls, in this order: ``check_connection`` once, ``output``
    and ``prepare`` once, ``write_records`` any number of times (perhaps never), each followed by ``receipt``; then, if
    and only if the source was exhausted without an error and every row is committed, ``verify``, ``finalize`` and
    ``output`` once each; ``close`` once in any case.

    Set by the loader before each ``write_records``: ``destination_id``, the table the rows belong to, and ``batch``,
    the range of pages they come from. ``only_looks`` is true in ``bizon check``, which calls ``check_connection`` and
    ``close`` alone: nothing may be created then.
    ``single_writer``: only one process at a time can stage. A class that takes parts (see ``ResumePoint``) says False.
    ``takes_members``: True for a class that tells the rows of members apart in sync mode ``stream``.
    """

    single_writer: ClassVar[bool] = True
    takes_members: ClassVar[bool] = False

    def __init__(
        self,
        sync_metadata: "SyncMetadata",
        config: AbstractDestinationDetailsConfig,
        backend: "AbstractBackend",
        source_callback: "AbstractSourceCallback",
        monitor: "AbstractMonitor",
    ) -> None:
        self.sync_metadata = sync_metadata
        self.config = config
        self.backend = backend
        self.source_callback = source_callback
        self.monitor = monitor
        self.destination_id: str = self.default_destination_id
        self.batch = BatchRange(0, 0)
        self.only_looks = False

    @staticmethod
    def get_config_class() -> type[AbstractDestinationDetailsConfig]:
        """The class of ``destination.config``. A destination in a user's file or in a plug-in overrides it when it has
        keys of its own; the class of a built-in one is registered."""
        return AbstractDestinationDetailsConfig

    @abstractmethod
    def check_connection(self) -> bool:
        """True when the target can be reached and written. Called once, before anything is fetched."""

    @abstractmethod
    def write_records(self, df_destination_records: "pl.DataFrame") -> tuple[bool, str | None]:
        """Write one batch durably; return ``(True, None)``, or ``(False, reason)`` when any row was not written.

        The frame has the columns ``bizon_id``, ``bizon_extracted_at``, ``bizon_loaded_at``, ``source_record_id``,
        ``source_timestamp`` and ``source_data`` (JSON text); it is never empty. After ``(True, None)`` a checkpoint
        is recorded and the rows are not sent again, so return it only when they survive a crash. After an error or
        an exception nothing is recorded; the next run sends the same pages again.
        """

    def landed(self, *, wait: bool) -> int:
        """The last page up to which all rows that ``write_records`` has taken are durable.

        For destinations that continue while rows are in flight: they return ``(True, None)`` once the rows are handed
        over, and a checkpoint is recorded only for rows that have landed, in order. ``wait``: return once all have.
        Raises DestinationWriteError for rows that did not arrive. By default rows have landed when ``write_records``
        returns.
        """
        return self.batch.to_iteration

    def receipt(self) -> Mapping[str, Any] | None:
        """How to recognise the rows of the last ``write_records`` call in staging: where they are, and a checksum, as a
        small JSON object. The checkpoint of the batch keeps it, and ``prepare`` and ``verify`` get it back. None, the
        default, for destinations that do not stage, or that count their rows in another way."""
        return None

    def rescued(self) -> int:
        """The values of the last ``write_records`` call that had no room in their column, and are kept next to it.
        0, the default, for destinations without typed columns."""
        return 0

    def verify(self, committed: Sequence[CommittedBatch]) -> None:
        """Check that staging holds exactly the rows of the committed batches, unchanged. Called before ``finalize``.

        ``committed``: every batch of the job as its checkpoint records it, in page order, also batches without rows.
        Raises FinalizeError when rows are missing, foreign or damaged; nothing is published then. The default suits
        destinations that write to their final place.
        """
        return None

    def output(self) -> OutputState:
        """The published output as it is now. Called before ``prepare`` and after ``finalize``.

        The state keeps the answer after publishing: an incremental run whose watermark belongs to another output, or to
        one that is missing or empty now, stops before anything is fetched. The default knows only the name.
        """
        return OutputState({"destination": self.sync_metadata.destination_name, "place": self.default_destination_id})

    def finalize(self) -> bool:
        """Publish what was staged. Return True when the output is complete.

        Called after the last row of a job is committed, and called again after a crash in its middle or just after
        it: a second call must leave the same output as one. Not called when the source failed or the run was
        stopped. The default suits destinations that write to their final place.
        """
        return True

    def prepare(self, resume: ResumePoint) -> None:
        """Make the staging area hold exactly the rows of the committed pages.

        Called once per run before anything is written. For a fresh job (``resume.last_iteration`` is None) empty the
        staging area of this job; for a resumed one drop what was staged after ``resume.last_iteration``: a crash
        between a write and its checkpoint leaves such rows. ``resume.committed`` lists the batches that count.

        A run may be frozen here and wake up when another start has taken over. So every step that removes or replaces
        something checks ``resume.fence`` in the same place and step: a start that finds a higher fence than its own
        raises OvertakenError and touches nothing. The default does nothing, which makes the destination at-least-once:
        the pages of a torn batch are written twice.
        """
        return None

    def reading(self) -> "AbstractContextManager[TableReader]":
        """Within: the table can be read. ``bizon show`` and ``bizon schema`` call it, instead of ``check_connection``
        and all that follows it. It opens the target for reading only; waits for others have a bound. Raises
        NoTableError and DestinationConnectionError. The default raises DestinationError: there is no table to read."""
        name, own = self.sync_metadata.destination_alias, type(self).__name__
        raise DestinationError(f"destination '{name}' has no table to show: {own} does not override `reading`")

    def refuses_members(self) -> str | None:
        """Why several members of a stream cannot write at once; None when they can. Asked before anything is opened.
        The reason ends a sentence that begins with the destination."""
        can = self.takes_members and not self.single_writer
        return None if can else "takes the rows of one process at a time"

    @property
    def infers_columns(self) -> bool:
        """Whether columns are inferred; the receipt of each staged batch then names those that it has added or widened,
        as ``ColumnReceipts`` writes them. False, the default, where the columns follow from the configuration alone."""
        return False

    def describe(self) -> str:
        """Where the records are, for a person to read: a path, a table. Shown at the end of a run."""
        return f"{self.sync_metadata.destination_alias} {self.default_destination_id}"

    def close(self) -> None:
        """Release connections. Called once at the end of every run, also when it failed."""
        return None

    @property
    def default_destination_id(self) -> str:
        """The configured table, else ``<source>_<stream>``."""
        return self.config.destination_id or f"{self.sync_metadata.source_name}_{self.sync_metadata.stream_name}"

    @property
    def dead_letter_id(self) -> str:
        """Path, without extension, of the file for rows that cannot be delivered."""
        return f"{self.default_destination_id}.dead_letters"

    @property
    def record_schemas(self) -> "dict[str, Sequence[DestinationColumn]]":
        """The columns of each table, by destination_id, from ``config.record_schemas``; empty when there are none."""
        return {schema.destination_id: schema.record_schema for schema in self.config.record_schemas or ()}

    @property
    def clustering_keys(self) -> dict[str, list[str] | None]:
        """The clustering columns of each table, by destination_id; None where its schema names none."""
        schemas = self.config.record_schemas or ()
        return {schema.destination_id: getattr(schema, "clustering_keys", None) for schema in schemas}


class DestinationFactory:
    """Builds the destination that a config names, and imports its module only then."""

    @staticmethod
    def get_destination(
        sync_metadata: "SyncMetadata",
        config: AbstractDestinationConfig,
        backend: "AbstractBackend",
        source_callback: "AbstractSourceCallback",
        monitor: "AbstractMonitor",
    ) -> AbstractDestination:
        """Registration 3 of 3: a new destination adds its branch here."""
        parts: dict[str, Any] = {
            "sync_metadata": sync_metadata,
            "config": config.config,
            "backend": backend,
            "source_callback": source_callback,
            "monitor": monitor,
        }
        if config.name == DestinationTypes.LOGGER:
            from bizon.connectors.destinations.logger.src.destination import LoggerDestination

            return LoggerDestination(**parts)

        elif config.name == DestinationTypes.FILE:
            from bizon.connectors.destinations.file.src.destination import FileDestination

            return FileDestination(**parts)

        elif config.name == DestinationTypes.DUCKDB:
            with of_extra("duckdb", config.name):
                from bizon.connectors.destinations.duckdb.src.destination import DuckdbDestination

            return DuckdbDestination(**parts)

        elif config.name == DestinationTypes.POSTGRES:
            with of_extra("postgres", config.name):
                from bizon.connectors.destinations.postgres.src.destination import PostgresDestination

            return PostgresDestination(**parts)

        elif config.name == DestinationTypes.BIGQUERY:
            with of_extra("bigquery", config.name):
                from bizon.connectors.destinations.bigquery.src.destination import BigQueryDestination

            return BigQueryDestination(**parts)

        elif config.name == DestinationTypes.BIGQUERY_STREAMING:
            with of_extra("bigquery", config.name):
                from bizon.connectors.destinations.bigquery_streaming.src.destination import (
                    BigQueryStreamingDestination,
                )

            return BigQueryStreamingDestination(**parts)

        elif config.name == DestinationTypes.BIGQUERY_STREAMING_V2:
            with of_extra("bigquery", config.name):
                from bizon.connectors.destinations.bigquery_streaming_v2.src.destination import (
                    BigQueryStreamingV2Destination,
                )

            return BigQueryStreamingV2Destination(**parts)

        from bizon.destination.discover import outside_class

        destination_class = outside_class(config)
        if destination_class is not None:
            return destination_class(**parts)

        raise ValueError(f"destination '{config.name}' has no branch in DestinationFactory.get_destination")
