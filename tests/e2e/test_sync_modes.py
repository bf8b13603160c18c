"""Every runner with every sync mode into every built-in destination, through the real command."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Pipeline

RUNNERS = ["thread", "process", "stream"]
EVERYTHING = list(range(20))


def change(folder: Path, *ids: int) -> None:
    """Items change now."""
    with (folder / "changes.txt").open("a") as changes:
        changes.writelines(f"{id_} {datetime.now(UTC).isoformat()}\n" for id_ in ids)


def logged_ids(output: str) -> list[int]:
    return [int(found) for found in re.findall(r'"page":(\d+)', output)]


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("format", ["json", "parquet"])
def test_full_refresh_replaces_the_file(pipeline: "Pipeline", runner: str, format: str) -> None:
    pipeline.destination(format=format)
    for _ in range(2):
        done = pipeline.run("--runner", runner)
        assert pipeline.ids(f"out.{format}") == EVERYTHING
        assert "Pipeline finished successfully." in done.stdout
        assert "20 records" in done.stdout.splitlines()[-1]
    assert pipeline.jobs() == [("succeeded", None)] * 2


@pytest.mark.parametrize("runner", RUNNERS)
def test_full_refresh_logs_each_record(pipeline: "Pipeline", runner: str) -> None:
    pipeline.config["destination"] = {"name": "logger", "config": {}}
    done = pipeline.run("--runner", runner)
    assert logged_ids(done.stderr) == [page for page in range(4) for _ in range(5)]
    assert "[full_refresh]" in done.stderr


@pytest.mark.parametrize("runner", RUNNERS)
def test_incremental_appends_exactly_what_changed(pipeline: "Pipeline", runner: str) -> None:
    pipeline.source(sync_mode="incremental", cursor_field="changed")
    pipeline.run("--runner", runner)
    assert pipeline.ids() == EVERYTHING
    change(pipeline.folder, 3, 7)
    pipeline.run("--runner", runner)
    assert pipeline.ids() == [*EVERYTHING, 3, 7]
    pipeline.run("--runner", runner)
    assert pipeline.ids() == [*EVERYTHING, 3, 7]
    change(pipeline.folder, 9)
    pipeline.run("--runner", runner)
    assert pipeline.ids() == [*EVERYTHING, 3, 7, 9]
    assert pipeline.jobs() == [("succeeded", None)] * 4


@pytest.mark.parametrize("runner", RUNNERS)
def test_incremental_logs_exactly_what_changed(pipeline: "Pipeline", runner: str) -> None:
    pipeline.config["destination"] = {"name": "logger", "config": {}}
    pipeline.source(sync_mode="incremental", cursor_field="changed")
    assert len(logged_ids(pipeline.run("--runner", runner).stderr)) == 20
    change(pipeline.folder, 3)
    done = pipeline.run("--runner", runner)
    assert done.stderr.count("[incremental] {") == 1


@pytest.mark.lesson("F-21")
@pytest.mark.parametrize("runner", [None, *RUNNERS])
def test_stream_runs_on_the_stream_runner_whatever_is_configured(pipeline: "Pipeline", runner: str | None) -> None:
    """The default of --runner used to beat the YAML: a stream read one batch and reported success."""
    pipeline.source(sync_mode="stream", max_iterations=4)
    if runner is not None:
        pipeline.set("engine.runner.type", runner)
    done = pipeline.run()
    assert pipeline.ids() == EVERYTHING
    assert pipeline.trace() == [line for page in range(4) for line in (f"page {page}", "commit")]
    assert "max_iterations" in done.stdout
    pipeline.run()
    assert pipeline.ids() == [*EVERYTHING, *EVERYTHING], "a stream continues where its source stands"
    assert pipeline.jobs() == [("running", None)]


@pytest.mark.parametrize("runner", RUNNERS)
def test_stream_logs_each_record(pipeline: "Pipeline", runner: str) -> None:
    pipeline.config["destination"] = {"name": "logger", "config": {}}
    pipeline.source(sync_mode="stream", max_iterations=2)
    done = pipeline.run("--runner", runner)
    assert done.stderr.count("[stream] {") == 10


def test_transforms_are_applied_and_may_drop_records(pipeline: "Pipeline") -> None:
    pipeline.config["transforms"] = [
        {"label": "odd pages", "python": "if data['page'] % 2 == 0:\n    data = None\nelse:\n    data['x'] = [1]\n"}
    ]
    pipeline.run()
    rows = pipeline.lines()
    assert len(rows) == 10
    assert all('"x":[1]' in row["source_data"] for row in rows)
    assert pipeline.jobs() == [("succeeded", None)]
