"""The parts of a run learn from their context what the run is."""

import pytest
from fakes import KEY, memory_backend, pipeline

from bizon.destination.models import ResumePoint, WriteMode
from bizon.engine.pipeline.run import Run
from bizon.engine.runner.models import RunContext
from bizon.engine.runner.writing import build_destination
from bizon.monitoring.monitor import MonitorFactory
from bizon.source.callback import NoOpSourceCallback


@pytest.mark.parametrize(("replaces", "write_mode"), [(False, WriteMode.APPEND), (True, WriteMode.REPLACE)])
def test_a_job_that_replaces_its_output_keeps_its_sync_mode(replaces: bool, write_mode: WriteMode) -> None:
    """It used to pose as a full refresh, also to the monitor."""
    config = pipeline(sync_mode="incremental")
    run = Run("job", KEY, epoch=1, producer_epoch=1, resume=ResumePoint("job"))
    context = RunContext(config, run, incremental=None, replaces=replaces)
    monitor = MonitorFactory.get_monitor(context.sync_metadata)
    with memory_backend() as backend:
        destination = build_destination(context, backend, NoOpSourceCallback(config.source), monitor)
    assert (destination.sync_metadata.sync_mode, destination.sync_metadata.write_mode) == ("incremental", write_mode)
    assert monitor.sync_metadata == destination.sync_metadata
