"""The commit point: write, then record, then acknowledge; publish only when asked."""

from datetime import UTC, datetime
from threading import Event
from typing import Any

import polars as pl
import pytest
from fakes import ListDestination, RecordingCallback, memory_backend, new_job, run_of

from bizon.common.errors.errors import BackendError, DestinationWriteError, FinalizeError, QueueError, StoppedError
from bizon.common.waiting import pause
from bizon.destination.dead_letters import DeadLetters
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.pipeline.failures import RETRY_WAITS
from bizon.engine.pipeline.loader import Loader
from bizon.engine.pipeline.models import Batch, PageMark, Progress
from bizon.monitoring.monitor import NoOpMonitor
from bizon.rows.frames import SourcePage, records_to_frame, to_destination_frame
from bizon.source.models import SourceRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Bench:
    """A loader with everything around it."""

    def __init__(self, resume_at: int = 0, routed: bool = False, dead_letters: DeadLetters | None = None) -> None:
        self.destination = ListDestination(sync_mode="stream" if routed else "full_refresh")
        self.backend: AbstractBackend = memory_backend()
        self.job_id = new_job(self.backend)
        self.acks: list[int] = []
        self.waits: list[float] = []
        self.callback = RecordingCallback()
        self.progress = Progress()
        self.loader = Loader(
            destination=self.destination,
            backend=self.backend,
            run=run_of(self.job_id, last_iteration=resume_at - 1 if resume_at else None),
            ack=self.acks.append,
            callback=self.callback,
            monitor=NoOpMonitor(self.destination.sync_metadata),
            progress=self.progress,
            dead_letters=dead_letters or DeadLetters(),
        )
        self.loader.sleep = self.waits.append

    def write(self, first: int, last: int, rows: int = 1, **record: Any) -> None:
        self.loader.write(batch(first, last, rows, **record))

    def committed(self) -> int | None:
        cursor = self.backend.get_last_cursor_by_job_id(self.job_id)
        return None if cursor is None else cursor.to_source_iteration


def batch(first: int, last: int, rows: int = 1, **record: Any) -> Batch:
    records = [SourceRecord(id=n, data={"n": n}, **record) for n in range(rows)]
    frame = to_destination_frame([SourcePage(first, NOW, records_to_frame(records, NOW))], "job", NOW)
    pages = tuple(PageMark(n, {"page": n + 1, "more": True, "gap": None}) for n in range(first, last + 1))
    return Batch(frame, pages)


def test_a_batch_is_written_recorded_and_acknowledged_in_this_order() -> None:
    bench = Bench()
    bench.write(0, 2, rows=3)
    cursor = bench.backend.get_last_cursor_by_job_id(bench.job_id)
    assert bench.destination.calls == ["write table 0-2"]
    assert cursor is not None
    assert (cursor.from_source_iteration, cursor.to_source_iteration, cursor.rows_written) == (0, 2, 3)
    assert cursor.pagination == {"page": 3, "more": True, "gap": None}
    assert bench.acks == [2]
    assert [pages[-1]["page"] for pages in bench.callback.written] == [3]
    assert bench.progress.snapshot().records_written == 3


def test_a_batch_is_acknowledged_once_its_checkpoint_is_there() -> None:
    bench = Bench()
    committed: list[int | None] = []
    bench.loader.ack = lambda _to: committed.append(bench.committed())
    bench.callback.on_iterations_written = lambda _pages: committed.append(bench.committed())  # type: ignore[method-assign]
    bench.write(0, 2)
    bench.write(3, 3)
    assert committed == [2, 2, 3, 3]


def test_pages_without_rows_are_recorded_without_a_write() -> None:
    bench = Bench()
    bench.write(0, 1, rows=0)
    assert bench.destination.calls == []
    assert bench.committed() == 1


@pytest.mark.lesson("F-03")
@pytest.mark.parametrize("answer", [(False, "503 from the warehouse"), (None, None), ConnectionError("503 from")])
def test_a_failed_write_records_nothing_and_ends_the_run(answer: Any) -> None:
    """Used to be swallowed: later batches were recorded after the hole, which was skipped forever."""
    bench = Bench()
    bench.destination.answers = [(True, None), answer]
    bench.write(0, 0)
    with pytest.raises(DestinationWriteError, match=r"writing pages 1-2 to 'table' failed, nothing was recorded"):
        bench.write(1, 2)
    assert bench.committed() == 0
    assert bench.acks == [0]


@pytest.mark.lesson("F-03")
def test_a_transient_failure_is_retried() -> None:
    bench = Bench()
    busy = DestinationWriteError("503", retryable=True)
    bench.destination.answers = [busy, busy, (True, None)]
    bench.write(0, 0, rows=2)
    assert bench.committed() == 0
    assert bench.waits == [1, 2]
    assert bench.destination.rows == {"table": ["0", "1"]}


@pytest.mark.lesson("F-03")
def test_retries_have_a_limit_after_which_the_run_fails_and_nothing_is_recorded() -> None:
    bench = Bench()
    bench.destination.answers = [DestinationWriteError("503", retryable=True)] * 100
    with pytest.raises(DestinationWriteError, match="503"):
        bench.write(0, 0)
    assert bench.waits == list(RETRY_WAITS)
    assert bench.committed() is None


def test_the_end_of_the_run_ends_the_wait_before_a_write_is_retried() -> None:
    bench = Bench()
    sign = Event()
    bench.loader.sleep = lambda seconds: pause(seconds, sign)
    bench.destination.answers = [DestinationWriteError("503", retryable=True)] * 100
    sign.set()
    with pytest.raises(StoppedError):
        bench.write(0, 0)
    assert bench.committed() is None
    assert len(bench.destination.answers) == 99


@pytest.mark.lesson("F-03")
@pytest.mark.parametrize("answer", [(False, "no"), DestinationWriteError("no"), ValueError("no")])
def test_a_permanent_failure_is_not_retried(answer: Any) -> None:
    bench = Bench()
    bench.destination.answers = [answer]
    with pytest.raises(DestinationWriteError):
        bench.write(0, 0)
    assert bench.waits == []


@pytest.mark.lesson("F-03")
def test_a_gap_is_refused() -> None:
    bench = Bench()
    bench.write(0, 0)
    with pytest.raises(QueueError, match="page 1 is missing"):
        bench.write(2, 2)
    assert bench.committed() == 0


def test_a_repeated_batch_is_acknowledged_and_skipped() -> None:
    bench = Bench(resume_at=3)
    bench.write(1, 2)
    assert bench.destination.calls == []
    assert bench.acks == [2]
    assert bench.loader.next_iteration == 3


def test_prepare_hands_over_the_resume_point() -> None:
    bench = Bench(resume_at=5)
    bench.loader.prepare()
    assert bench.destination.calls == ["prepare 4"]


@pytest.mark.parametrize("answer", [False, None, RuntimeError("no space left")])
def test_a_finalize_that_returns_false_is_an_error(answer: Any) -> None:
    bench = Bench()
    bench.destination.finalize_answer = answer
    with pytest.raises(FinalizeError, match="publishing failed"):
        bench.loader.publish()


@pytest.mark.lesson("F-20")
def test_routed_rows_go_to_the_table_they_name_else_to_the_configured_one() -> None:
    """Used to override the configured table with None, which became the file None.json."""
    bench = Bench(routed=True)
    bench.write(0, 0)
    bench.write(1, 1, rows=2, destination_id="elsewhere")
    bench.write(2, 2)
    assert bench.destination.rows == {"table": ["0", "0"], "elsewhere": ["0", "1"]}


def test_the_monitor_counts_the_rows_of_each_table_once_they_are_committed() -> None:
    """It used to receive only the configured table, with the rows of all tables."""

    class Counter(NoOpMonitor):
        def track_records_synced(self, num_records: int, destination_id: str) -> None:
            counted.append((destination_id, num_records, bench.committed()))

    counted: list[tuple[str, int, int | None]] = []
    bench = Bench(routed=True)
    bench.loader.monitor = Counter(bench.destination.sync_metadata)
    bench.write(0, 0)
    bench.write(1, 1, rows=0)
    both = pl.concat([batch(2, 2).frame, batch(2, 2, rows=2, destination_id="elsewhere").frame])
    bench.loader.write(Batch(both, batch(2, 2).pages))
    assert counted == [("table", 1, 0), ("table", 1, 2), ("elsewhere", 2, 2)]


def test_rows_are_not_routed_unless_asked() -> None:
    bench = Bench()
    bench.write(0, 0, destination_id="elsewhere")
    assert bench.destination.rows == {"table": ["0"]}


def test_the_last_state_of_a_batch_is_kept_with_the_job() -> None:
    bench = Bench()
    pages = (PageMark(0, {"p": 1}, {"high": 1}), PageMark(1, {"p": 2}, None))
    bench.loader.write(Batch(batch(0, 0).frame, pages))
    job = bench.backend.get_stream_job_by_id(bench.job_id)
    assert job is not None
    assert job.incremental_state == {"high": 1}


def test_a_superseded_run_publishes_nothing() -> None:
    bench = Bench()
    bench.backend.open_epoch(bench.job_id)
    with pytest.raises(BackendError, match="taken over by another run"):
        bench.loader.publish()
    assert bench.destination.calls == []
