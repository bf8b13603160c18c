"""Several streams side by side: how many run at once, and what a failure, a stop or an error of one does to others."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import EmptySource
from sqlalchemy import Engine, event

from bizon.common.errors.errors import BackendError, ConfigError, JobLockedError, RunFailedError
from bizon.config.loading import LoadedConfig
from bizon.engine.backend.adapters.sqlalchemy import backend as sql_backend
from bizon.engine.engine import RunnerFactory, load_config_dict
from bizon.engine.pipeline.models import PipelineReturnStatus, ProgressSnapshot
from bizon.engine.runner.models import RunnerStatus
from bizon.engine.runner.streams import StreamsRunner
from bizon.engine.runner.windows import Scope

NAMES = ["a", "b", "c", "d", "e", "f"]
SUCCESS = PipelineReturnStatus.SUCCESS
BOUND = 30  # seconds; reached only when something hangs


class Six(EmptySource):
    @staticmethod
    def streams() -> list[str]:
        return NAMES


class One:
    """Stands in for the runner of one stream; ``work`` replaces its run."""

    def __init__(self, loaded: LoadedConfig, work: "Callable[[One], None]") -> None:
        self.name = loaded.config.source.stream
        self.buffer_size = loaded.config.destination.config.buffer_size
        self.scope: Scope | None = None
        self.stopped = threading.Event()
        self._work = work

    def run(self) -> RunnerStatus:
        self._work(self)
        return RunnerStatus(
            self.name, producer=SUCCESS, consumer=SUCCESS, interrupted=self.stopped.is_set(), records_written=2
        )

    def stop(self) -> None:
        self.stopped.set()

    def progress(self) -> ProgressSnapshot:
        return ProgressSnapshot(pages=1, records_fetched=3, bytes_fetched=10, records_written=2, total_records=5)


def runner(work: Callable[[One], None] = lambda _one: None, at_once: int = 4, chosen: Any = ()) -> StreamsRunner:
    engine = {"runner": {"config": {"max_parallel_streams": at_once}}}
    data = {"name": "six", "streams": NAMES, "destination": {"name": "logger"}, "engine": engine}
    loaded = load_config_dict(data, Six)
    return StreamsRunner(loaded, lambda each: One(each, work), lambda _loaded: NAMES, chosen)  # type: ignore[arg-type, return-value]


def test_every_stream_runs_and_no_more_than_the_bound_at_the_same_time() -> None:
    together = threading.Barrier(2, timeout=BOUND)
    running: list[str] = []
    most = 0

    def work(one: One) -> None:
        nonlocal most
        running.append(one.name)
        most = max(most, len(running))
        together.wait()
        running.remove(one.name)
        together.wait()

    status = runner(work, at_once=2).run()
    assert [end.name for end in status.streams] == NAMES
    assert status.is_success
    assert (most, status.records_written) == (2, 12)


def test_a_stream_that_is_slow_leaves_the_other_places_to_the_others() -> None:
    others = threading.Semaphore(0)

    def work(one: One) -> None:
        if one.name != "a":
            others.release()
            return
        for _ in range(len(NAMES) - 1):
            assert others.acquire(timeout=BOUND)

    assert runner(work, at_once=2).run().is_success


def test_an_error_of_one_stream_leaves_the_others_alone() -> None:
    def work(one: One) -> None:
        if one.name == "b":
            raise JobLockedError("another run is in progress")

    status = runner(work, at_once=1).run()
    assert [end.name for end in status.failed] == ["b"]
    assert not status.is_success
    assert not status.interrupted
    assert status.stream_end("b").reason == "another run is in progress"
    assert status.stream_end("f").is_success
    with pytest.raises(RunFailedError, match=r"1 of 6 streams failed: b\): b: another run is in progress") as caught:
        status.raise_on_failure()
    assert caught.value.status is status


def test_a_stop_reaches_the_streams_that_run_and_no_other_begins() -> None:
    begun = threading.Semaphore(0)
    many = runner(lambda one: (begun.release(), one.stopped.wait(BOUND))[0], at_once=2)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(many.run()))
    thread.start()
    for _ in range(2):
        assert begun.acquire(timeout=BOUND)
    many.stop()
    thread.join(BOUND)
    (status,) = found
    assert status.interrupted
    assert [end.status is not None for end in status.streams] == [True, True, False, False, False, False]
    assert status.stream_end("c").reason == "stopped on request before it began"


def test_an_exception_in_the_calling_thread_stops_all_streams_and_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_workers: Any) -> None:
        monkeypatch.undo()
        raise TimeoutError("a time limit")

    monkeypatch.setattr("bizon.engine.runner.streams._join", interrupted)
    many = runner(lambda one: one.stopped.wait(BOUND) and None, at_once=2)
    with pytest.raises(TimeoutError, match="a time limit"):
        many.run()
    assert not any(end is None for _, end in many.progress_of_streams().values())


def test_chosen_streams_run_in_the_order_of_the_file() -> None:
    assert [end.name for end in runner(chosen=["e", "b"]).run().streams] == ["b", "e"]
    with pytest.raises(ConfigError, match="there is no stream 'x'; the pipeline has a, b"):
        runner(chosen=["x"])


def test_each_stream_gets_its_part_of_the_buffer_and_the_scope_of_the_run() -> None:
    seen: list[tuple[int, Scope | None]] = []
    many = runner(lambda one: seen.append((one.buffer_size, one.scope)), at_once=4)
    many.scope = Scope(everything=True)
    many.run()
    assert seen == [(12, Scope(everything=True))] * 6


def test_the_progress_of_each_stream_is_known_and_their_sum() -> None:
    many = runner(at_once=1)
    assert many.progress().records_written == 0
    many.run()
    assert list(many.progress_of_streams()) == NAMES
    assert (many.progress().records_written, many.progress().total_records) == (12, 30)


def test_a_star_runs_what_the_connection_offers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = {"name": "sql", "url": "sqlite:///x.db"}
    loaded = load_config_dict({"name": "db", "source": source, "streams": "*", "destination": {"name": "logger"}})
    many = StreamsRunner(loaded, lambda each: One(each, lambda _one: None), lambda _loaded: ["t", "u"])  # type: ignore[arg-type, return-value]
    assert [end.name for end in many.run().streams] == ["t", "u"]


def six_into_files(folder: Path) -> StreamsRunner:
    """The six streams with runners of their own, and their state in a file."""
    data = {
        "name": "six",
        "streams": NAMES,
        "destination": {"name": "file", "config": {"destination_id": str(folder / "{stream}")}},
        "engine": {"backend": {"type": "sqlite", "config": {"database": str(folder / "state")}}},
    }
    many = RunnerFactory.create_from_config_dict(data, source=Six)
    assert isinstance(many, StreamsRunner)
    return many


def test_the_streams_of_a_run_open_the_state_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    connected: list[Any] = []
    database = sql_backend.open_database
    monkeypatch.setattr(sql_backend, "open_database", lambda *given: opened.append(given) or database(*given))

    def note(connection: Any, _record: Any) -> None:
        connected.append(connection)

    event.listen(Engine, "connect", note)
    try:
        assert six_into_files(tmp_path).run().is_success
    finally:
        event.remove(Engine, "connect", note)
    assert len(opened) == 1
    assert len(connected) == 1


def test_a_run_after_another_opens_the_state_again(tmp_path: Path) -> None:
    many = six_into_files(tmp_path)
    assert many.run().is_success
    assert many.run().is_success


def test_a_state_that_could_not_be_opened_for_one_stream_is_opened_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, create = six_into_files(tmp_path), sql_backend.SQLAlchemyBackend.create_all_tables

    def fails_once(_backend: Any) -> None:
        monkeypatch.setattr(sql_backend.SQLAlchemyBackend, "create_all_tables", create)
        raise BackendError("the state is unreachable")

    monkeypatch.setattr(sql_backend.SQLAlchemyBackend, "create_all_tables", fails_once)
    status = many.run()
    (failed,) = status.failed
    assert failed.reason == "the state is unreachable"
    assert status.records_written == 0
