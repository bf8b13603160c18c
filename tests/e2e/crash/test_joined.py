"""Several commands work on one job (`bizon run --join`): killed and frozen, late and alone. At the end every record is
there once, and one of them has published.
"""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import commands as cli
import polars as pl
import pytest
from e2e.crash.crash_kit import FORMATS, Rig, is_frozen, thaw
from e2e.crash.test_freeze_matrix import LEASE_TTL, frozen_at
from e2e.crash.test_partitions_crash import fetched, query, rig_of

PARTS, PAGES = 5, 12
JOIN = "--join"
POINTS = [
    "before_prepare",
    "after_claim",
    "after_prepare:2",
    "after_write:3",
    "after_cursor:1",
    "after_cursor:4",
    "after_verify",
    "before_finalize",
    "after_ready",
    "before_replace",
    "after_replace",
    "after_published",
    "before_success",
    "random:11",
    "random:37",
]
LOCKED = ["before_replace", "after_replace", "after_published", *(each for each in POINTS if "random" in each)]
"""In the middle of a step that nobody else may see half of: others wait for its end."""
LONGEST = 60.0  # seconds


@contextmanager
def commands_of(rig: Rig, count: int, *flags: str) -> Iterator["list[subprocess.Popen[str]]"]:
    """Within: several commands work on one job; one that starts when it is published begins no other."""
    with ExitStack() as started:
        yield [
            started.enter_context(
                rig.started(None, JOIN, "--join-id", "once", "--result-json", f"result-{number}.json", *flags)
            )
            for number in range(count)
        ]


def results(rig: Rig) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(rig.folder.glob("result-*.json"))]


def check(rig: Rig) -> None:
    """Every record is there once, of one job, whose parts are chains without a gap; nothing is left behind."""
    assert rig.rows() == rig.expected()
    assert rig.leftovers() == []
    assert set(rig.statuses()) == {"succeeded"}, rig.log()
    assert "Traceback" not in rig.log()
    pages: dict[tuple[str, int], list[int]] = {}
    for job_id, part, first, last in query(
        rig,
        "SELECT job_id, partition_number, from_source_iteration, to_source_iteration FROM destination_cursors "
        "ORDER BY 1, 2, 3",
    ):
        pages.setdefault((job_id, part), []).extend(range(first, last + 1))
    assert all(each == list(range(len(each))) for each in pages.values())
    assert sum(map(len, pages.values())) == rig.source["pages"] * len(rig.statuses())


@pytest.mark.parametrize(("format", "runner"), [("json", "thread"), ("parquet", "process"), ("csv", "thread")])
def test_several_commands_share_a_job_and_one_publishes_it(tmp_path: Path, format: str, runner: str) -> None:
    rig = rig_of(tmp_path, runner, format, delay=0.02)
    rig.producers = 2 if runner == "process" else 1
    with commands_of(rig, 3) as commands:
        assert [each.wait(LONGEST) for each in commands] == [0, 0, 0], rig.log()
    if format == "csv":
        assert len((rig.folder / "out.csv").read_text().splitlines()) == len(rig.expected()) + 1
        assert rig.statuses() == ["succeeded"]
        return
    check(rig)
    assert rig.statuses() == ["succeeded"]
    assert sorted(fetched(rig)) == [*range(PAGES)], "no page was fetched twice"
    assert sum(each["published"] for each in results(rig)) == 1
    assert sum(each["partitions"]["finished"] for each in results(rig)) == PARTS
    assert sum(each["records_written"] for each in results(rig)) == len(rig.expected())


@pytest.mark.matrix(share=24)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("format", FORMATS)
def test_another_command_finishes_what_a_killed_one_has_begun(tmp_path: Path, format: str, point: str) -> None:
    rig = rig_of(tmp_path, format=format)
    with rig.started(point, JOIN) as killed:
        assert killed.wait(LONGEST) == -signal.SIGKILL, rig.log()
        assert rig.rows() in (None, rig.expected()), "all of it or nothing is published"
        assert rig.run(None, JOIN) == 0, rig.log()
    check(rig)
    assert len(rig.statuses()) == 1


@pytest.mark.matrix(share=18)
@pytest.mark.parametrize("point", [each for each in POINTS if each not in LOCKED])
def test_a_command_that_is_frozen_past_its_lease_changes_nothing_any_more(tmp_path: Path, point: str) -> None:
    """It wakes up when others have taken its part, or have published, and ends like all who have joined."""
    rig = rig_of(tmp_path)
    rig.producers = 1  # other threads could be frozen within a transaction of SQLite, which locks the state
    with joined_and_frozen(rig, point) as frozen:
        assert rig.run(None, JOIN) == 0, rig.log()
        assert rig.rows() == rig.expected()
        thaw(frozen)
        assert frozen.wait(LONGEST) == 0, rig.log()
    check(rig)
    assert len(rig.statuses()) == 1


@contextmanager
def joined_and_frozen(rig: Rig, point: str) -> Iterator["subprocess.Popen[str]"]:
    """A command that has joined, and stays frozen at the point for longer than its lease."""
    start = rig.start
    rig.start = lambda at=None, *flags: start(at, JOIN, *flags)  # type: ignore[method-assign]
    try:
        with frozen_at(rig, point) as frozen:
            rig.start = start  # type: ignore[method-assign]
            yield frozen
    finally:
        rig.start = start  # type: ignore[method-assign]


def test_a_late_command_joins_a_job_that_is_under_way(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, delay=0.1)
    with commands_of(rig, 1) as (first,):
        until = time.monotonic() + LONGEST
        while not (rig.folder / "trace.txt").exists() or len(fetched(rig)) < 2:
            assert time.monotonic() < until, rig.log()
            time.sleep(0.02)
        assert rig.run(None, JOIN) == 0, rig.log()
        assert first.wait(LONGEST) == 0, rig.log()
    check(rig)
    assert rig.statuses() == ["succeeded"]


def test_a_run_without_join_is_kept_out_while_a_joined_command_lives(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, delay=1)
    rig.producers, rig.lease_ttl = 1, 3 * LEASE_TTL  # a busy machine may renew it two seconds late
    with commands_of(rig, 1) as (joined,):
        wait_for_pages(rig, 1)
        time.sleep(rig.lease_ttl + 0.3)
        assert rig.run() == 3, rig.log()
        assert joined.wait(LONGEST) == 0, rig.log()
    check(rig)


def wait_for_pages(rig: Rig, count: int) -> None:
    wait_for(lambda: (rig.folder / "trace.txt").exists() and len(fetched(rig)) >= count, rig)


def wait_for(condition: Callable[[], bool], rig: Rig) -> None:
    until = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < until, rig.log()
        time.sleep(0.02)


def test_a_joined_command_is_kept_out_while_a_run_without_join_lives(tmp_path: Path) -> None:
    rig = rig_of(tmp_path)
    rig.producers = 1
    with stopped_at(rig, "after_cursor:2") as plain:
        assert rig.run(None, JOIN) == 3, rig.log()
        thaw(plain)
        assert plain.wait(LONGEST) == 0, rig.log()
    assert rig.rows() == rig.expected()


@contextmanager
def stopped_at(rig: Rig, point: str, *flags: str) -> Iterator["subprocess.Popen[str]"]:
    """Within: a command holds still at the point, and keeps its lease."""
    with rig.started(f"{point}@frozen", *flags) as child:
        until = time.monotonic() + LONGEST
        while not is_frozen(child):
            assert child.poll() is None, rig.log()
            assert time.monotonic() < until, rig.log()
            time.sleep(0.05)
        yield child


def test_a_job_is_finished_the_way_it_was_begun(tmp_path: Path) -> None:
    rig = rig_of(tmp_path)
    rig.lease_ttl = 1.0
    assert rig.run("after_cursor:2", JOIN) == -signal.SIGKILL
    time.sleep(rig.lease_ttl + 0.2)
    assert rig.run() == 2, rig.log()
    assert "run with --join to finish it, or with --fresh" in rig.log()
    assert rig.run(None, "--fresh") == 0, rig.log()
    assert rig.statuses() == ["cancelled", "succeeded"]
    assert rig.run("after_cursor:2") == -signal.SIGKILL
    assert rig.run(None, JOIN) == 2, rig.log()
    assert "run without --join to finish it, or with --fresh" in rig.log()
    assert rig.run() == 0, rig.log()
    assert rig.rows() == rig.expected()
    assert rig.leftovers() == []


def test_a_source_that_plans_no_parts_can_be_joined(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "full_refresh", "json")
    rig.source["pages"] = 4
    with commands_of(rig, 2) as commands:
        assert [each.wait(LONGEST) for each in commands] == [0, 0], rig.log()
    check(rig)
    assert sorted(each["partitions"]["finished"] for each in results(rig)) == [0, 1]


@pytest.mark.matrix(share=0)
def test_a_hundred_parts_are_shared_by_eight_commands(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, pages=200, partitions=100)
    with commands_of(rig, 8) as commands:
        assert [each.wait(LONGEST) for each in commands] == [0] * 8, rig.log()
    check(rig)
    assert sum(each["published"] for each in results(rig)) == 1
    assert sum(each["partitions"]["finished"] for each in results(rig)) == 100


def test_a_source_that_fails_ends_every_command_and_leaves_the_job_resumable(tmp_path: Path) -> None:
    rig = rig_of(tmp_path)
    rig.transforms = [{"label": "refuse", "python": "if data['id'] == 20: raise ValueError('refused')"}]
    with commands_of(rig, 2) as commands:
        assert [each.wait(LONGEST) for each in commands] == [1, 1], rig.log()
    assert rig.rows() is None
    assert rig.statuses() == ["failed"]
    rig.transforms = []
    assert rig.run(None, JOIN) == 0, rig.log()
    check(rig)


def test_a_stopped_command_gives_its_parts_back(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, delay=0.1)
    with commands_of(rig, 1) as (command,):
        wait_for_pages(rig, 2)
        command.send_signal(signal.SIGINT)
        assert command.wait(LONGEST) == 130, rig.log()
    assert query(rig, "SELECT count(*) FROM stream_partitions WHERE worker IS NOT NULL") == [(0,)]
    assert rig.run(None, JOIN) == 0, rig.log()
    check(rig)
    assert sorted(fetched(rig)) == [*range(PAGES)], "what was fetched before the stop is committed"


def test_a_cap_ends_a_command_and_others_go_on(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, max_iterations=5)
    assert rig.run(None, JOIN) == 0, rig.log()
    assert rig.rows() is None
    assert len(fetched(rig)) == 5
    for _ in range(PAGES):
        if rig.rows() is None:
            assert rig.run(None, JOIN) == 0, rig.log()
    check(rig)


def test_dead_letters_of_all_parts_are_published_once(tmp_path: Path) -> None:
    rig = rig_of(tmp_path)
    rig.dead_letters = True
    with commands_of(rig, 2) as commands:
        assert [each.wait(LONGEST) for each in commands] == [0, 0], rig.log()
    check(rig)


def test_the_status_shows_who_works_on_which_part(tmp_path: Path) -> None:
    rig = rig_of(tmp_path)
    rig.producers = 1
    with stopped_at(rig, "after_cursor:1", JOIN) as command:
        done = cli.run([*cli.BIZON, "status", "config.yml"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert f"Checkpoint: 0 of {PARTS} parts are done, 1 held" in done.stdout
    assert f"Part 0: held by process {command.pid} on host" in done.stdout


@pytest.mark.parametrize("format", ["json", "parquet"])
def test_the_columns_that_parts_have_inferred_apart_are_united(tmp_path: Path, format: str) -> None:
    rig = rig_of(tmp_path, format=format)
    rig.destination["unnest"] = True
    rig.transforms = [{"label": "more", "python": "if data['id'] > 20: data['late'] = data['id'] / 2"}]
    with commands_of(rig, 2) as commands:
        assert [each.wait(LONGEST) for each in commands] == [0, 0], rig.log()
    frame = pl.read_parquet(rig.output) if format == "parquet" else pl.read_ndjson(rig.output)
    found = {row["id"]: row.get("late") for row in frame.to_dicts()}
    assert found == {id_: id_ / 2 if id_ > 20 else None for id_, _ in rig.expected()}
    assert frame.height == len(found)


def test_types_of_a_column_without_one_in_common_publish_nothing(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, format="parquet")
    rig.destination["unnest"] = True
    rig.transforms = [{"label": "mixed", "python": "if data['id'] > 20: data['version'] = 'one'"}]
    assert rig.run(None, JOIN) == 1
    assert "column 'version' is int64 in one part of the job and text in another: declare its type" in rig.log()
    assert rig.rows() is None


def test_a_named_job_that_is_published_is_left_alone(tmp_path: Path) -> None:
    rig = rig_of(tmp_path)
    assert rig.run(None, JOIN, "--join-id", "monday") == 0, rig.log()
    assert rig.run(None, JOIN, "--join-id", "monday") == 0, rig.log()
    assert len(fetched(rig)) == PAGES
    assert rig.run(None, JOIN, "--join-id", "tuesday") == 0, rig.log()
    assert rig.statuses() == ["succeeded", "succeeded"]
    assert rig.rows() == rig.expected()


REFUSED: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "state in memory": ({"state": None}, [], "backend type 'sqlite_in_memory' cannot keep the leases"),
    "runner stream": ({"runner": "stream"}, [], "each command is a whole pipeline"),
    "sync mode stream": ({"mode": "stream"}, [], "has one reader: several commands would read the same records"),
    "destination": ({"to": {"name": "logger", "config": {}}}, [], "destination 'logger' takes the rows of one process"),
    "window": ({"mode": "incremental"}, ["--since", "2026-01-01"], "is one chain of pages; run it without --join"),
    "role": ({}, ["--role", "producer"], "--join runs both roles"),
    "id alone": ({"join": False}, ["--join-id", "x"], "give --join too"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_run_that_cannot_join_says_why_before_anything_is_opened(tmp_path: Path, name: str) -> None:
    how, flags, text = REFUSED[name]
    rig = RefusedRig(tmp_path, how.get("mode", "full_refresh"), "json", how.get("runner", "thread"))
    rig.state, rig.to = how.get("state", "state"), how.get("to")
    assert rig.run(None, *([JOIN] if how.get("join", True) else []), *flags) == 2, rig.log()
    assert text in rig.log()
    assert rig.statuses() == []
    assert rig.rows() is None


class RefusedRig(Rig):
    """A pipeline into any destination."""

    to: dict[str, Any] | None

    @property
    def destination_block(self) -> dict[str, Any]:
        return self.to or super().destination_block


def test_changes_are_fetched_without_join(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "incremental", "json")
    assert rig.run(None, JOIN) == 0, rig.log()
    rig.change()
    assert rig.run(None, JOIN) == 2
    assert "fetches what has changed since the last one" in rig.log()
    assert rig.run() == 0, rig.log()
    assert rig.rows() == rig.expected()
    assert rig.run(None, JOIN, "--full-refresh") == 0, rig.log()
    assert rig.statuses() == ["succeeded"] * 3
