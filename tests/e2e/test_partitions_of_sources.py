"""The built-in sources that plan partitions, killed inside of them and resumed: by two producer processes of one run,
and by commands that share the job (`--join`). Each record is there once."""

import json
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from connectors.sources.sql.sql_kit import sqlite_file
from connectors.sources.sql.test_sql_runs import SOURCE as KILLED_SQL
from standins.rest.server import RestStandIn, by_page, changed_within

if TYPE_CHECKING:
    from conftest import Pipeline

pytestmark = pytest.mark.matrix(share=4, pool="partitions of sources")

ROWS = 90
JOIN = ("--join", "--join-id", "once")
HERE = Path(__file__).parent


def a_table(folder: Path, _: RestStandIn) -> dict[str, Any]:
    """Four ranges of the key, of four pages each."""
    create, insert = "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)", "INSERT INTO items VALUES (?, 'name')"
    url = sqlite_file(folder / "shop.db", create, rows=[(number,) for number in range(ROWS)], insert=insert)
    return {"name": "sql", "source_file_path": str(KILLED_SQL), "url": url, "page_size": 6, "partitions": 4}


def files(folder: Path, _: RestStandIn) -> dict[str, Any]:
    """Nine files, of several pages each."""
    for first in range(0, ROWS, 10):
        lines = [json.dumps({"id": number, "text": "x" * 20}) for number in range(first, first + 10)]
        (folder / f"in-{first:02}.jsonl").write_text("\n".join(lines))
    path = f"{folder}/in-*.jsonl"
    killed = str(HERE / "killed_files.py")
    return {"name": "files", "source_file_path": killed, "path": path, "id": "id", "piece_size": 130}


def a_history(_: Path, api: RestStandIn) -> dict[str, Any]:
    """Four windows up to today, of many pages each."""
    start = datetime.now(UTC) - timedelta(days=4 * ROWS)
    records = [{"id": n, "updated_at": (start + timedelta(days=4 * n)).isoformat()} for n in range(ROWS)]
    api.routes["/items"] = lambda asked: by_page(changed_within(records, asked), asked, 5)
    limits = {"cursor_field": "updated_at", "since": {"param": "since"}, "until": {"param": "until"}}
    endpoint = {
        **{"path": "/items", "records": "items", "pages": {"type": "page", "param": "page"}},
        "incremental": {**limits, "start": start.isoformat(), "window": "95d"},
    }
    keys = {"sync_mode": "incremental", "base_url": api.url, "endpoints": {"items": endpoint}}
    return {"name": "rest", "source_file_path": str(HERE / "killed_rest.py"), **keys}


SOURCES: list[Callable[[Path, RestStandIn], dict[str, Any]]] = [a_table, files, a_history]


@pytest.fixture
def api() -> Iterator[RestStandIn]:
    with RestStandIn().running() as server:
        yield server


@pytest.fixture(params=SOURCES)
def divided(request: pytest.FixtureRequest, pipeline: "Pipeline", api: RestStandIn) -> "Pipeline":
    """A pipeline from each source into Parquet, with two partitions at the same time and a batch for each page."""
    pipeline.config["source"] = {"stream": "items", **request.param(pipeline.folder, api)}
    pipeline.set("engine.runner.config.max_parallel_partitions", 2)
    return pipeline.destination(format="parquet", buffer_size=0)


def check(pipeline: "Pipeline") -> None:
    assert sorted(pipeline.ids("out.parquet")) == list(range(ROWS))
    assert pipeline.in_state("SELECT status FROM stream_jobs") == [("succeeded",)]
    assert len(pipeline.in_state("SELECT job_id FROM stream_partitions")) > 2


@pytest.mark.parametrize("runner", ["thread", "process"])
def test_a_run_of_partitions_has_each_record_once(divided: "Pipeline", runner: str) -> None:
    divided.run("--runner", runner)
    check(divided)


@pytest.mark.parametrize("kill", [1, 2, 3])
def test_a_producer_process_that_is_killed_costs_no_record(
    divided: "Pipeline", kill: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KILL_AT", str(kill))
    failed = divided.run("--runner", "process", expect=1)
    assert "was killed by signal SIGKILL" in failed.stderr
    assert not (divided.folder / "out.parquet").exists()
    monkeypatch.delenv("KILL_AT")
    divided.run("--runner", "process")
    check(divided)


@pytest.mark.parametrize("runner", ["thread", "process"])
def test_commands_finish_the_partitions_of_a_command_that_was_killed(
    divided: "Pipeline", runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KILL_AT", "2")
    divided.run("--runner", runner, *JOIN, expect=-signal.SIGKILL if runner == "thread" else 1)
    assert not (divided.folder / "out.parquet").exists()
    monkeypatch.delenv("KILL_AT")
    both = [divided.start("--runner", runner, *JOIN) for _ in range(2)]
    told = [each.communicate(timeout=60)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], told
    check(divided)
