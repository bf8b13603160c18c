"""Sources whose timestamps are coarser than a run: windows begin and end at whole units, and tile."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from fakes import memory_backend, pipeline

from bizon import RunnerFactory
from bizon.common.errors.errors import ConfigError
from bizon.connectors.sources.dummy.src.source import DummySource
from bizon.engine.backend.adapters.sqlalchemy import job_table as tables
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.pipeline.models import PipelineReturnStatus
from bizon.engine.runner.jobs import OpenedJob, close_job, open_job
from bizon.engine.runner.models import RunnerStatus
from bizon.source.models import SourceIncrementalState

DAY = datetime(2026, 1, 1, tzinfo=UTC)


def at(clock: str) -> datetime:
    """A moment of the day, from 10:00:30.5 or so."""
    hours, minutes, seconds = clock.split(":")
    return DAY + timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what the state takes for now when it makes a job."""

    def clock(text: str) -> None:
        monkeypatch.setattr(tables, "naive_now", lambda: at(text).replace(tzinfo=None))

    return clock


@pytest.fixture
def backend() -> AbstractBackend:
    return memory_backend()


def succeed(backend: AbstractBackend, opened: OpenedJob) -> None:
    success = PipelineReturnStatus.SUCCESS
    close_job(backend, opened, RunnerStatus(opened.job.id, producer=success, consumer=success, published=True))


def incremental(**source: Any) -> Any:
    return pipeline(**{"name": "dummy", "stream": "plants", "sync_mode": "incremental", **source})


def window(backend: AbstractBackend, config: Any, *, ends: bool = True) -> tuple[datetime, datetime | None] | None:
    """The window of the next run, which succeeds when it ``ends``."""
    opened = open_job(backend, config)
    if ends:
        succeed(backend, opened)
    state = opened.incremental
    return None if state is None else (state.last_run, state.run_started_at)


def test_windows_are_whole_units_and_tile(backend: AbstractBackend, clock: Any) -> None:
    config = incremental(cursor_resolution=60)
    windows = []
    for time in ("10:00:30", "10:01:10", "10:01:50", "10:05:00", "10:05:00.5"):
        clock(time)
        windows.append(window(backend, config))
    assert windows == [
        None,
        (at("10:00:00"), at("10:01:00")),
        (at("10:01:00"), at("10:01:00")),
        (at("10:01:00"), at("10:05:00")),
        (at("10:05:00"), at("10:05:00")),
    ]


@pytest.mark.parametrize(
    ("unit", "begins"),
    [(0, "10:00:30.5"), (0.001, "10:00:30.5"), (1, "10:00:30"), (60, "10:00:00"), (3600, "10:00:00"), (86400, "0:0:0")],
)
def test_any_unit_may_be_configured(backend: AbstractBackend, clock: Any, unit: float, begins: str) -> None:
    config = incremental(cursor_resolution=unit)
    clock("10:00:30.5")
    window(backend, config)
    clock("11:00:00")
    assert window(backend, config) == (at(begins), at("0:0:0" if unit == 86400 else "11:00:00"))


@pytest.mark.parametrize(("lookback", "begins"), [(0, "10:00:00"), (90, "09:58:00"), (120, "09:58:00")])
def test_a_lookback_reaches_behind_the_unit(backend: AbstractBackend, clock: Any, lookback: int, begins: str) -> None:
    config = incremental(cursor_resolution=60, incremental_lookback=lookback)
    clock("10:00:30")
    window(backend, config)
    clock("10:03:30")
    assert window(backend, config) == (at(begins), at("10:03:00"))


def test_a_resumed_job_has_the_window_it_began_with_whatever_is_configured(
    backend: AbstractBackend, clock: Any
) -> None:
    config = incremental(cursor_resolution=60)
    clock("10:00:30")
    window(backend, config)
    clock("10:03:30")
    first = window(backend, config, ends=False)
    clock("10:09:30")
    assert window(backend, config, ends=False) == first
    assert window(backend, incremental(), ends=False) == first
    assert window(backend, config) == first


@pytest.mark.parametrize(("before", "after"), [(60, 0), (3600, 60), (60, 3600), (0, 60)])
def test_a_change_of_the_unit_leaves_no_gap(backend: AbstractBackend, clock: Any, before: float, after: float) -> None:
    clock("10:00:30")
    window(backend, incremental(cursor_resolution=before))
    clock("11:20:30")
    old = window(backend, incremental(cursor_resolution=before))
    clock("12:40:30")
    new = window(backend, incremental(cursor_resolution=after))
    assert old is not None
    assert new is not None
    assert old[1] is not None
    assert new[0] <= old[1]


def test_the_resolution_declared_by_the_source_applies_unless_configured(
    backend: AbstractBackend, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DummySource, "cursor_resolution", 3600)
    clock("10:00:30")
    window(backend, incremental())
    clock("11:20:30")
    assert window(backend, incremental(), ends=False) == (at("10:00:00"), at("11:00:00"))
    clock("10:00:30")
    other = memory_backend()
    window(other, incremental())
    clock("11:20:30")
    assert window(other, incremental(cursor_resolution=0)) == (at("10:00:30"), at("11:20:30"))


@pytest.mark.parametrize("declared", [-1, "60", None, True])
def test_a_declaration_that_is_not_a_number_of_seconds_is_an_error(
    backend: AbstractBackend, monkeypatch: pytest.MonkeyPatch, declared: Any
) -> None:
    monkeypatch.setattr(DummySource, "cursor_resolution", declared)
    window(backend, incremental())
    with pytest.raises(ConfigError, match="cursor_resolution of DummySource must be a number of seconds"):
        window(backend, incremental())


def test_a_state_covers_its_beginning_and_not_its_end() -> None:
    state = SourceIncrementalState(last_run=at("10:00:00"), run_started_at=at("10:05:00"))
    moments = [at("09:59:59"), at("10:00:00"), datetime(2026, 1, 1, 10, 4, 59), at("10:05:00")]
    assert [state.covers(moment) for moment in moments] == [False, True, True, False]
    assert SourceIncrementalState(last_run=at("10:00:00")).covers(at("23:00:00"))


def test_changes_of_the_minute_in_which_a_run_begins_are_neither_lost_nor_doubled(
    tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that changed after a run had begun had the timestamp of earlier changes, and was never fetched."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "minutes.py").write_text(dedent(SOURCE))
    config = {
        "name": "minutes",
        "source": {
            "name": "minutes", "stream": "items", "source_file_path": "minutes.py", "sync_mode": "incremental",
        },
        "destination": {"name": "file", "config": {"destination_id": "out"}},
        "engine": {"backend": {"type": "sqlite", "config": {"database": "state"}}},
    }  # fmt: skip
    changes: list[dict[str, str]] = []

    def change(time: str, name: str) -> None:
        changes.append({"id": name, "at": at(time).replace(second=0).isoformat()})
        (tmp_path / "changes.json").write_text(json.dumps(changes))

    def run(time: str) -> list[str]:
        clock(time)
        seen = len(delivered())
        assert RunnerFactory.create_from_config_dict(config).run().is_success
        return delivered()[seen:]

    def delivered() -> list[str]:
        file = tmp_path / "out.json"
        return [json.loads(line)["source_record_id"] for line in file.read_text().splitlines()] if file.exists() else []

    change("10:00:10", "before the first")
    (tmp_path / "during.json").write_text(json.dumps({"id": "during the first", "at": at("10:00:00").isoformat()}))
    assert run("10:00:30") == ["before the first"]
    changes = json.loads((tmp_path / "changes.json").read_text())
    change("10:00:50", "after the first")
    change("10:01:05", "before the second")
    (tmp_path / "during.json").write_text(json.dumps({"id": "during the second", "at": at("10:01:00").isoformat()}))
    assert run("10:01:10") == ["before the first", "during the first", "after the first"]
    changes = json.loads((tmp_path / "changes.json").read_text())
    change("10:01:40", "after the second")
    change("10:02:10", "later")
    assert run("10:03:00") == ["before the second", "during the second", "after the second", "later"]
    assert run("10:03:20") == []


SOURCE = """
    import json
    from datetime import datetime
    from pathlib import Path

    from bizon.source.config import SourceConfig
    from bizon.source.models import SourceIteration, SourceRecord
    from bizon.source.source import AbstractSource


    class Minutes(AbstractSource):
        cursor_resolution = 60

        @staticmethod
        def streams():
            return ["items"]

        @staticmethod
        def get_config_class():
            return SourceConfig

        def get_authenticator(self):
            return None

        def check_connection(self):
            return True, None

        def get(self, pagination=None):
            changes = json.loads(Path("changes.json").read_text())
            during = Path("during.json")
            if during.exists():  # somebody changes a record while the page is on its way
                Path("changes.json").write_text(json.dumps([*changes, json.loads(during.read_text())]))
                during.unlink()
            records = [SourceRecord(id=each["id"], data=each) for each in changes]
            return SourceIteration(records=records, next_pagination={})

        def get_records_after(self, source_state, pagination=None):
            page = self.get(pagination)
            covered = [source_state.covers(datetime.fromisoformat(each.data["at"])) for each in page.records]
            page.records = [each for each, is_covered in zip(page.records, covered) if is_covered]
            return page
"""
