"""The hooks through which a run reports to a metrics system."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bizon.common.sync import SyncMetadata
    from bizon.engine.pipeline.models import PipelineReturnStatus


class AbstractMonitor:
    """Every hook is optional and does nothing by default; a hook must not raise.

    The consumer calls the hooks, except ``track_source_iteration``, which the producer calls.
    """

    def __init__(self, sync_metadata: "SyncMetadata") -> None:
        self.sync_metadata = sync_metadata

    def track_pipeline_status(self, pipeline_status: "PipelineReturnStatus") -> None:
        """A worker ended with this status. Called once per worker."""

    def track_source_iteration(self, nb_records: int) -> None:
        """A page was fetched. Called once per page."""

    def track_records_synced(self, num_records: int, destination_id: str) -> None:
        """Rows were written and committed. Called once per table and batch."""

    @contextmanager
    def trace(self, operation_name: str) -> Iterator[None]:
        """Surround an operation (``source.get``, ``destination.write``) with a span."""
        yield


class NoOpMonitor(AbstractMonitor):
    """Used when no monitoring is configured."""


class MonitorFactory:
    """Builds the monitor of a run."""

    @staticmethod
    def get_monitor(sync_metadata: "SyncMetadata") -> AbstractMonitor:
        """The monitor of a run: it does nothing, since bizon itself sends no metrics."""
        return NoOpMonitor(sync_metadata)
