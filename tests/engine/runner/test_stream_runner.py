"""Sync mode ``stream``: pages written and committed together, and offsets returned to the source."""

from collections.abc import Callable
from typing import Any

import pytest
from fakes import ListDestination, ScriptedSource, memory_backend

from bizon.common.models import BizonConfig
from bizon.destination.dead_letters import DeadLetters
from bizon.engine.backend.adapters.sqlalchemy.backend import SQLAlchemyBackend
from bizon.engine.backend.adapters.sqlalchemy.tables import destination_cursors
from bizon.engine.runner import sources, writing
from bizon.engine.runner.adapters import streaming
from bizon.engine.runner.models import RunnerStatus
from bizon.source.models import SourceIteration, SourceRecord
from bizon.transform.config import TransformModel


class Log(ScriptedSource):
    """Continues from its current offset, as a log does, whatever the pagination."""

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        page = self.pages[len(self.asked)]
        self.asked.append(dict(pagination or {}))
        if isinstance(page, Exception):
            raise page
        if callable(page):
            page = page()
        return SourceIteration({"next": len(self.asked)}, [SourceRecord(id=id_, data={"n": id_}) for id_ in page])

    def commit(self) -> None:
        self.commits += 1
        self.destination.calls.append("offsets")


class Bench:
    """A stream pipeline from a script into a list."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pages: list[Any], **batch: Any) -> None:
        self.source, self.destination = Log(pages), ListDestination(sync_mode="stream")
        self.source.destination = self.destination
        self.config = BizonConfig.model_validate(
            {
                "name": "pipe",
                "source": {
                    "name": "scripted",
                    "stream": "items",
                    "sync_mode": "stream",
                    "max_iterations": len(pages),
                },
                "destination": {"name": "logger"},
                "engine": {
                    "backend": {"type": "sqlite_in_memory"},
                    "queue": {"type": "python_queue", "config": {"consumer": {"poll_interval": 0.001}}},
                    "runner": {"config": {"micro_batch": {"max_seconds": 1000, **batch}}},
                },
            }
        )
        monkeypatch.setattr(sources, "build_source", lambda _: self.source)
        monkeypatch.setattr(streaming, "source_callback", lambda *_: _Nothing())
        monkeypatch.setattr(writing, "build_destination", lambda *_: self.destination)
        monkeypatch.setattr(writing, "build_dead_letters", lambda *_: DeadLetters())
        self.cursors: list[Any] = []
        close = SQLAlchemyBackend.close

        def look_and_close(backend: SQLAlchemyBackend) -> None:
            self.cursors = backend._transactions.run(
                lambda connection: connection.execute(destination_cursors.select()).all()
            )
            close(backend)

        monkeypatch.setattr(SQLAlchemyBackend, "close", look_and_close)

    def run(self) -> RunnerStatus:
        self.runner = streaming.StreamingRunner(self.config)
        return self.runner.run()

    @property
    def written(self) -> list[str]:
        return [call for call in self.destination.calls if not call.startswith("prepare")]


class _Nothing:
    needs_every_page = True

    def __enter__(self) -> "_Nothing":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def on_iterations_written(self, iterations: list[SourceIteration]) -> None:
        return None


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    return lambda pages, **batch: Bench(monkeypatch, pages, **batch)


def test_pages_are_written_together_and_then_their_offsets_are_returned(bench: Callable[..., Bench]) -> None:
    stream = bench([[1], [2], [3], [4, 5], [6], [7]], max_records=3)
    assert stream.run().is_success
    assert stream.written == ["write table 0-2", "offsets", "write table 3-4", "offsets", "write table 5-5", "offsets"]
    assert stream.destination.rows == {"table": list("1234567")}


@pytest.mark.lesson("F-33")
def test_a_job_that_never_ends_has_one_cursor(bench: Callable[..., Bench]) -> None:
    stream = bench([[1], [2, 3], [4]], max_records=1)
    stream.run()
    (cursor,) = stream.cursors
    assert (cursor.from_source_iteration, cursor.to_source_iteration, cursor.rows_written) == (0, 2, 4)


def test_a_page_without_records_flushes_waiting_rows(bench: Callable[..., Bench]) -> None:
    stream = bench([[1], [2], [], [], [3]])
    stream.run()
    assert stream.written == ["write table 0-1", "offsets", "write table 2-2", "offsets"]


def test_waiting_rows_are_written_when_they_are_old_enough(bench: Callable[..., Bench]) -> None:
    stream = bench([[1], [2], [3]], max_seconds=1e-9)
    stream.run()
    assert stream.written == [call for n in range(3) for call in (f"write table {n}-{n}", "offsets")]


def test_a_stop_flushes_waiting_rows(bench: Callable[..., Bench]) -> None:
    def stop() -> list[int]:
        stream.runner.stop()
        return [2]

    stream = bench([[1], stop, [3]])
    assert stream.run().interrupted
    assert stream.written == ["write table 0-1", "offsets"]


@pytest.mark.parametrize("part", ["source", "transform"])
def test_after_an_error_only_offsets_of_written_rows_are_returned(bench: Callable[..., Bench], part: str) -> None:
    """``commit`` covers all fetched pages, including the failed one: it would never be read again."""

    def with_a_fault() -> list[Any]:
        return [2, object() if part == "source" else 99]

    stream = bench([[1], with_a_fault, [3]])
    fault = TransformModel(label="fault", python="if data['n'] == 99: raise ValueError")
    stream.config = stream.config.model_copy(update={"transforms": [fault]})
    assert not stream.run().is_success
    assert stream.written == []
    assert stream.source.commits == 0


@pytest.mark.parametrize("resumes", [False, True])
def test_a_source_may_request_the_first_page_of_a_run_at_the_checkpoint(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, resumes: bool
) -> None:
    monkeypatch.setattr(Log, "resumes_streams", resumes)
    stream = bench([[1], [2]])
    backend = memory_backend()
    monkeypatch.setattr(SQLAlchemyBackend, "close", lambda _: None)
    monkeypatch.setattr("bizon.engine.runner.runner.build_backend", lambda _: backend)
    stream.run()
    assert stream.source.asked == [{}, {}]
    stream.source.asked.clear()
    stream.run()
    assert stream.source.asked == [{"next": 2} if resumes else {}, {}]
