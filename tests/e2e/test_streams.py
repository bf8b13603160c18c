"""Several streams in one file, through the real command: kills, stops, failures of one, splitting and joining."""

import json
import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from postgres import Place

if TYPE_CHECKING:
    from conftest import Pipeline

STREAMS = list("abcdef")
EVERYTHING = list(range(20))
WaitFor = Callable[[Callable[[], bool]], None]
Ids = Callable[[str], list[int]]


def six(pipeline: "Pipeline", *entries: Any) -> "Pipeline":
    """The pipeline with six streams, four at the same time, a batch per page. ``entries`` have keys of their
    own."""
    own = {entry["name"]: entry for entry in entries}
    pipeline.source(stream=None, source_file_path=str(Path(__file__).with_name("streams_source.py")))
    pipeline.set("streams", [own.get(name, name) for name in STREAMS])
    return pipeline.set("engine.runner.config.max_parallel_streams", 4).destination(
        destination_id="out/{stream}", buffer_size=0
    )


def pages_of(pipeline: "Pipeline", stream: str) -> list[int]:
    """The pages of a stream that were asked for, in order."""
    return [int(line.split()[2]) for line in pipeline.trace() if line.startswith(f"{stream} page")]


def in_files(pipeline: "Pipeline") -> Ids:
    return lambda stream: pipeline.ids(f"out/{stream}.json")


def into_duckdb(pipeline: "Pipeline") -> Ids:
    pipeline.set("destination", {"name": "duckdb", "config": {"database": "six.duckdb", "buffer_size": 0}})

    def ids(stream: str) -> list[int]:
        with duckdb.connect(pipeline.folder / "six.duckdb", read_only=True) as database:
            query = f"SELECT CAST(_source_record_id AS BIGINT) FROM items_{stream} ORDER BY 1"
            return [id_ for (id_,) in database.execute(query).fetchall()]

    return ids


def into_postgres(pipeline: "Pipeline", place: Place) -> Ids:
    keys = {key: getattr(place, key) for key in ("host", "port", "username", "password", "database", "schema")}
    pipeline.set("destination", {"name": "postgres", "config": {**keys, "buffer_size": 0}})
    query = "SELECT CAST(_source_record_id AS BIGINT) FROM items_{} ORDER BY 1"
    return lambda stream: [id_ for (id_,) in place.rows(query.format(stream))]


@pytest.mark.matrix(share=6)
@pytest.mark.parametrize(
    ("destination", "runner"),
    [("file", "thread"), ("duckdb", "thread"), ("postgres", "thread"), ("file", "process"), ("duckdb", "process")],
)
def test_a_kill_in_the_middle_leaves_each_record_of_each_stream_once(
    pipeline: "Pipeline", postgres: Place, destination: str, runner: str
) -> None:
    names = STREAMS if runner == "thread" else list("bcd")  # a process for each role takes its time

    def streams(**of_c: Any) -> None:
        pipeline.set("streams", [{"name": name, "source": of_c if name == "c" else {}} for name in names])

    six(pipeline)
    ids = {
        "file": lambda: in_files(pipeline),
        "duckdb": lambda: into_duckdb(pipeline),
        "postgres": lambda: into_postgres(pipeline, postgres),
    }[destination]()
    streams(kill_at=2)
    done = pipeline.run("--runner", runner, expect=None)
    assert done.returncode == (-signal.SIGKILL if runner == "thread" else 1)
    streams()
    done = pipeline.run("--runner", runner)
    assert f"Pipeline finished with status Success: {len(names)} streams" in done.stdout
    assert {stream: ids(stream) for stream in names} == dict.fromkeys(names, EVERYTHING)
    assert Counter(pages_of(pipeline, "c"))[3] == 1


def test_a_stream_that_fails_leaves_the_others_to_publish(pipeline: "Pipeline") -> None:
    six(pipeline, {"name": "b", "source": {"fail_at": 2}})
    done = pipeline.run("--result-json", "result.json", expect=1)
    assert [stream for stream in STREAMS if (pipeline.folder / f"out/{stream}.json").exists()] == list("acdef")
    assert "Error: b: failed (Producer: source_error, Consumer: success): " in done.stderr
    assert "1 of 6 streams failed: b" in done.stderr
    assert done.stderr.endswith("run again with --stream b to leave out those that are done\n")
    result = json.loads((pipeline.folder / "result.json").read_text())
    assert (result["status"], result["failure_class"]) == ("failure", "source")
    assert [(each["name"], each["status"]) for each in result["streams"]] == [
        (name, "failure" if name == "b" else "success") for name in STREAMS
    ]
    six(pipeline)
    done = pipeline.run("--stream", "b")
    assert in_files(pipeline)("b") == EVERYTHING
    assert pages_of(pipeline, "b") == [0, 1, 2, 2, 3]
    assert len(pages_of(pipeline, "a")) == 4


@pytest.mark.parametrize(("runner", "at_once"), [("thread", 4), ("process", 2)])
def test_sigterm_stops_every_stream_and_each_resumes(
    pipeline: "Pipeline", wait_for: WaitFor, runner: str, at_once: int
) -> None:
    six(pipeline).set("streams", "*").source(gated=True)
    pipeline.set("engine.runner.config.max_parallel_streams", at_once)
    allowed = pipeline.folder / "allowed.txt"
    allowed.write_text("2")
    child = pipeline.start("--runner", runner)
    wait_for(lambda: sum(line.endswith("page 2") for line in pipeline.trace()) == at_once)
    os.kill(child.pid, signal.SIGTERM)
    assert child.stdout is not None
    before = [*takewhile(lambda line: "Stopping after" not in line, child.stdout)]  # it has stopped by then
    allowed.write_text("3")
    after, _ = child.communicate(timeout=60)
    output = "".join([*before, after])
    assert child.returncode == 130, output
    assert "6 of 6 streams stopped: a, b, c, d, e, f" in output
    assert "e: stopped on request before it began" in output
    allowed.write_text("4")
    pipeline.run()
    assert [in_files(pipeline)(stream) for stream in STREAMS] == [EVERYTHING] * 6
    assert [pages_of(pipeline, stream) for stream in STREAMS] == [[0, 1, 2, 3]] * 6


def test_a_pipeline_of_one_stream_becomes_one_of_several_and_back_without_fetching_again(
    pipeline: "Pipeline",
) -> None:
    def alone(**source: Any) -> None:
        six(pipeline).config.pop("streams")
        pipeline.source(stream="a", fail_at=None, **source).destination(destination_id="out/a")

    alone()
    pipeline.source(fail_at=2).run(expect=1)
    six(pipeline, {"name": "a", "source": {"fail_at": 3}}, *({"name": name} for name in "bcdef"))
    pipeline.source(fail_at=None).run(expect=1)
    assert pages_of(pipeline, "a") == [0, 1, 2, 2, 3]
    alone()
    pipeline.run()
    assert pages_of(pipeline, "a") == [0, 1, 2, 2, 3, 3]
    assert in_files(pipeline)("a") == EVERYTHING


def test_streams_of_two_sync_modes_keep_their_own_watermarks(pipeline: "Pipeline") -> None:
    six(pipeline).set("streams", ["a", {"name": "b", "source": {"sync_mode": "incremental"}}])
    for _ in range(2):
        pipeline.run()
    assert in_files(pipeline)("b") == EVERYTHING
    assert (len(pages_of(pipeline, "a")), len(pages_of(pipeline, "b"))) == (8, 4)
    with closing(sqlite3.connect(pipeline.folder / "state.sqlite3")) as state:
        rows = state.execute("SELECT stream_name, sync_mode, count(*) FROM stream_jobs GROUP BY 1, 2 ORDER BY 1")
        assert rows.fetchall() == [("a", "full_refresh", 2), ("b", "incremental", 2)]


def test_a_run_that_is_in_progress_keeps_out_a_second_one_of_the_same_stream_alone(
    pipeline: "Pipeline", wait_for: WaitFor
) -> None:
    six(pipeline).set("streams", ["a", "b"]).source(gated=True)
    allowed = pipeline.folder / "allowed.txt"
    allowed.write_text("1")
    child = pipeline.start("--stream", "a")
    wait_for(lambda: "a page 1" in pipeline.trace())
    pipeline.source(gated=None)
    done = pipeline.run(expect=3)
    assert "Error: a: pipeline 'pipe' (items.a) is being run by process" in done.stderr
    assert in_files(pipeline)("b") == EVERYTHING
    allowed.write_text("4")
    child.communicate(timeout=60)
    assert in_files(pipeline)("a") == EVERYTHING
