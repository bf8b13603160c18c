"""A destination outside a run, and rows for it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import polars as pl

from bizon.common.sync import SyncMetadata
from bizon.destination.config import AbstractDestinationConfig
from bizon.destination.destination import AbstractDestination, DestinationFactory
from bizon.destination.models import CommittedBatch, ResumePoint
from bizon.engine.backend.adapters.sqlalchemy.config import SQLiteInMemoryConfig
from bizon.engine.backend.backend import BackendFactory
from bizon.engine.backend.config import BackendTypes
from bizon.monitoring.monitor import MonitorFactory
from bizon.rows.frames import DESTINATION_SCHEMA, encode_data
from bizon.source.callback import NoOpSourceCallback
from bizon.source.config import SourceConfig, SourceSyncModes
from bizon.testing.destination import DestinationConformance

if TYPE_CHECKING:
    from bigquery import Warehouse

MOMENT = datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@contextmanager
def open_destination(
    config: AbstractDestinationConfig, mode: str = "full_refresh", job_id: str | None = None, name: str = "pipe"
) -> Iterator[AbstractDestination]:
    """The destination of a pipeline's job in a sync mode; closed afterwards."""
    metadata = SyncMetadata(
        name=name,
        job_id=job_id or uuid4().hex,
        source_name="made",
        stream_name="up",
        sync_mode=SourceSyncModes(mode),
        destination_name=config.name.value,
        destination_alias=config.alias,
    )
    callback = NoOpSourceCallback(config=SourceConfig(name="made", stream="up"))
    with BackendFactory.get_backend(SQLiteInMemoryConfig(type=BackendTypes.SQLITE_IN_MEMORY)) as backend:
        monitor = MonitorFactory.get_monitor(metadata)
        destination = DestinationFactory.get_destination(metadata, config, backend, callback, monitor)
        try:
            yield destination
        finally:
            destination.close()


def rows_of(records: Sequence[dict[str, Any]], first: int = 0) -> pl.DataFrame:
    """A destination frame of records; their ids are their positions, from ``first``."""
    ids = [str(first + position) for position in range(len(records))]
    return pl.DataFrame(
        {
            "bizon_id": [f"b{id_}" for id_ in ids],
            "bizon_extracted_at": [MOMENT] * len(ids),
            "bizon_loaded_at": [MOMENT] * len(ids),
            "source_record_id": ids,
            "source_timestamp": [MOMENT] * len(ids),
            "source_data": [encode_data(record).decode() for record in records],
        },
        schema=DESTINATION_SCHEMA,
    )


def write(destination: AbstractDestination, rows: pl.DataFrame) -> CommittedBatch:
    """Write a batch; returns it as a checkpoint would record it."""
    assert destination.write_records(rows) == (True, None)
    first, last = destination.batch.from_iteration, destination.batch.to_iteration
    return CommittedBatch(first, last, rows.height, destination.receipt())


def publish(destination: AbstractDestination, *committed: CommittedBatch) -> None:
    """The loader's last calls of a job."""
    destination.verify(committed)
    assert destination.finalize()


def resumed(job_id: str, *committed: CommittedBatch, **more: Any) -> ResumePoint:
    """The resume point for the next start of a job with these batches."""
    rows = sum(batch.rows for batch in committed)
    last = committed[-1].to_iteration
    return ResumePoint(
        job_id, **{"last_iteration": last, "rows_written": rows, "committed": committed, "epoch": 2, **more}
    )


class InWarehouse(DestinationConformance):
    """The behaviours of every destination, for one that writes to BigQuery. Its ``config`` sets ``warehouse``."""

    survives_interruptions = (
        False  # it takes hundreds of requests; test_bigquery_faults.py and tests/e2e/bigquery do it
    )
    warehouse: "Warehouse"

    def leftovers(self, config: Any) -> list[str]:
        """Staging tables and objects."""
        return [*(name for name in self.warehouse.tables() if name != "items"), *self.warehouse.objects()]

    def read(self, config: Any, destination_id: str | None) -> list[dict[str, Any]]:
        return self.warehouse.records((destination_id or config.config.destination_id).rpartition(".")[2])
