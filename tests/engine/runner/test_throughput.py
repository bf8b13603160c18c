"""Rate and lag of a stream: noted every few seconds, and never the reason why a run fails."""

from typing import Any

import pytest
from fakes import FakeClock, ScriptedSource, memory_backend, new_job, run_of

from bizon.cli.text.progress import progress_line
from bizon.common.errors.errors import BackendError
from bizon.engine.pipeline.models import Progress
from bizon.engine.runner.throughput import NOTE_EVERY, Throughput


class LaggingSource(ScriptedSource):
    lag: int | None = 7

    def get_lag(self) -> int | None:
        if self.lag is None:
            raise OSError("no answer")
        return self.lag


def test_rate_and_lag_are_noted_every_few_seconds(clock: FakeClock) -> None:
    backend, progress = memory_backend(), Progress()
    job_id = new_job(backend)
    throughput = Throughput(LaggingSource([]), backend, run_of(job_id), progress, clock)
    progress.committed(100, 0)
    clock.advance(NOTE_EVERY / 2)
    throughput.note_if_due()
    assert backend.get_stream_job_by_id(job_id).progress is None
    clock.advance(NOTE_EVERY / 2)
    throughput.note_if_due()
    noted = backend.get_stream_job_by_id(job_id).progress
    assert (noted["records_per_second"], noted["lag"]) == (100 / NOTE_EVERY, 7)
    clock.advance(NOTE_EVERY)
    throughput.note_if_due()
    assert backend.get_stream_job_by_id(job_id).progress["records_per_second"] == 0
    assert "lag 7 records" in progress_line(progress.snapshot(), 1)


def test_a_source_that_does_not_know_its_lag_is_not_asked_again(clock: FakeClock) -> None:
    source, progress = LaggingSource([]), Progress()
    source.lag = None
    backend = memory_backend()
    throughput = Throughput(source, backend, run_of(new_job(backend)), progress, clock)
    for lag in (None, 5):
        source.lag = lag
        clock.advance(NOTE_EVERY)
        throughput.note_if_due()
    assert progress.snapshot().lag is None
    assert "lag" not in progress_line(progress.snapshot(), 1)


def test_an_unreachable_state_does_not_fail_the_run(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, progress = memory_backend(), Progress()
    throughput = Throughput(LaggingSource([]), backend, run_of(new_job(backend)), progress, clock)

    def unreachable(*_: Any) -> None:
        raise BackendError("unreachable")

    monkeypatch.setattr(backend, "note_progress", unreachable)
    clock.advance(NOTE_EVERY)
    throughput.note_if_due()
    assert progress.snapshot().lag == 7
