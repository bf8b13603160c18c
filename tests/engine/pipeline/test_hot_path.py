"""The cost of a record in Python, counted and not timed: calls and objects per record on its way to the destination."""

import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from fakes import ListDestination, memory_backend, new_job, run_of, sync_metadata

from bizon.destination.buffer import DestinationBuffer
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.pipeline.consumer import Consumer
from bizon.engine.pipeline.loader import Loader
from bizon.engine.pipeline.models import Progress
from bizon.engine.queue.adapters.python_queue.config import PythonQueueConfigDetails
from bizon.engine.queue.adapters.python_queue.queue import PythonQueue
from bizon.engine.queue.models import QueueMessage
from bizon.monitoring.monitor import NoOpMonitor
from bizon.rows.frames import records_to_frame
from bizon.rows.pages import page_to_frame, records_of
from bizon.source.models import JsonLines, SourceIteration, SourceRecord
from bizon.transform.config import TransformModel
from bizon.transform.transform import Transform

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RECORDS = 2_000
DATA = {"id": 1, "name": "someone", "tags": ["a", "b"], "nested": {"a": {"b": 1.5}}}


def calls_per_record(work: Callable[[], Any]) -> tuple[float, float]:
    """Calls of Python functions and of C functions, per record."""
    found: Counter[str] = Counter()

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        found[event] += 1

    work()  # what is done once only is not counted
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found["call"] / RECORDS, found["c_call"] / RECORDS


def records() -> list[SourceRecord]:
    return [SourceRecord(id=str(n), data=DATA) for n in range(RECORDS)]


def test_a_record_is_made_by_one_call() -> None:
    python, _ = calls_per_record(records)
    assert python < 1.1


def test_a_record_becomes_a_row_in_one_pass() -> None:
    python, c = calls_per_record(lambda: page_to_frame(records_of(SourceIteration({}, records())), NOW))
    made, _ = calls_per_record(records)
    assert python - made < 1.2, "the next record"
    assert c < 7.2, "taken from the page, encoded, decoded as text, appended to four columns"


class Noted(dict[str, Any]):
    freed = 0

    def __del__(self) -> None:
        Noted.freed += 1


@pytest.mark.parametrize("kept", [False, True])
def test_records_are_freed_while_the_page_is_read_unless_another_reference_holds_them(kept: bool) -> None:
    page = SourceIteration({}, [SourceRecord(id=n, data=Noted(n=n)) for n in range(100)])
    owner = page if kept else None
    Noted.freed = 0
    in_turn = iter(records_of(page))
    del page
    assert [next(in_turn).id for _ in range(50)] == [str(n) for n in range(50)]
    assert Noted.freed == (0 if kept else 50)
    if owner is not None:
        assert [record.data["n"] for record in owner.records] == list(range(100))


def test_a_line_becomes_a_row_without_a_call_of_python() -> None:
    lines = JsonLines([b'{"id":1}'] * RECORDS, ids=["1"] * RECORDS)
    python, c = calls_per_record(lambda: page_to_frame(lines, NOW))
    assert python < 0.2
    assert c < 2.2


def test_a_transform_costs_the_snippet_and_a_few_calls() -> None:
    frame = records_to_frame(records(), NOW)
    transform = Transform([TransformModel(label="t", python="data['n'] = 1")])
    python, c = calls_per_record(lambda: transform.apply_transforms(frame))
    assert python < 3.2
    assert c < 5.2


def test_a_page_of_rows_crosses_queue_buffer_and_loader_without_work_per_record(tmp_path: Path) -> None:
    class Rows(ListDestination):
        def write_records(self, df_destination_records: Any) -> tuple[bool, str | None]:
            return True, None

    backend: AbstractBackend = memory_backend()
    job_id, destination, frame = new_job(backend), Rows(), records_to_frame(records(), NOW)
    queue = PythonQueue(PythonQueueConfigDetails())
    monitor = NoOpMonitor(sync_metadata())
    loader = Loader(
        destination=destination,
        backend=backend,
        run=run_of(job_id),
        ack=lambda to: queue.ack(job_id, to),
        callback=destination.source_callback,
        monitor=monitor,
        progress=Progress(),
    )
    consumer = Consumer(
        queue=queue,
        transform=Transform([]),
        buffer=DestinationBuffer(0, 0),
        loader=loader,
        run=run_of(job_id),
        poll_interval=1,
    )
    iterations = iter(range(10))

    def cross() -> None:
        queue.put(QueueMessage(job_id, 0, next(iterations), frame, NOW, {"page": 1}), timeout=0)
        message = queue.get(timeout=0)
        assert message is not None
        consumer.handle(message)
        consumer.flush_if_due()

    python, _ = calls_per_record(cross)
    assert python * RECORDS < 4_000, "calls per page, most of them inside SQLAlchemy"


@pytest.mark.parametrize("rows", [1_000, 4_000])
def test_rows_are_not_python_objects(rows: int) -> None:
    def kept() -> int:
        before = sys.getallocatedblocks()
        frame = records_to_frame([SourceRecord(id=str(n), data={"n": n}) for n in range(rows)], NOW)
        after = sys.getallocatedblocks()
        assert frame.height == rows
        return after - before

    kept()
    assert kept() < rows / 10
