"""Without configuration a run sends no metrics."""

from fakes import sync_metadata

from bizon.engine.pipeline.models import PipelineReturnStatus
from bizon.monitoring.monitor import MonitorFactory, NoOpMonitor


def test_the_default_monitor_does_nothing_and_every_hook_works() -> None:
    monitor = MonitorFactory.get_monitor(sync_metadata())
    assert type(monitor) is NoOpMonitor
    monitor.track_pipeline_status(PipelineReturnStatus.SUCCESS)
    monitor.track_source_iteration(1)
    monitor.track_records_synced(1, "table")
    with monitor.trace("source.get"):
        pass
