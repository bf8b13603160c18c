"""Runs into a DuckDB file die by SIGKILL at each transaction, and at random; the next run finishes the job, and every
record is there once. In between a reader sees the old table or the new one. The points are in ``crash_cli.py``."""

import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from e2e.crash.conftest import MOST_PAGES
from e2e.crash.crash_kit import MODES, STREAMED, Row
from e2e.crash.table_rig import KILLED, TableRig, check_between, finish

pytestmark = pytest.mark.matrix(share=55, pool="crashes of tables")

STEPS = ["after_prepare", "after_write:2", "after_receipt:2", "after_cursor:3", "after_verify", "before_finalize"]
MOST_COMMITS = 24
"""More transactions than a run has: later ones are never reached."""
COMMITS = [f"{when}_commit:{number}" for number in range(1, MOST_COMMITS + 1) for when in ("before", "after")]
KILLS = 8
"""In one test, at random moments of a run; there are 25 such tests for each way to write."""
LOCK_TIMEOUT = 30 if os.environ.get("BIZON_TEST_LONG") else 1
MOST_RUNS = 3
LARGE_PAGE = 20_000  # records
HOLD = """
import duckdb, sys, time
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[3] == "reader")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""
HOLDERS = ["reader", "writer"]


class DuckdbRig(TableRig):
    """A pipeline into a table of a DuckDB file."""

    def __init__(self, folder: Path, mode: str, runner: str = "thread", **settings: Any) -> None:
        source = {"max_iterations": MOST_PAGES} if mode == STREAMED else {}
        super().__init__(folder, mode, "json", runner, **source)
        self.database = folder / "warehouse.duckdb"
        self.destination = {"database": "warehouse.duckdb", "destination_id": "items", "buffer_size": 0, **settings}

    @property
    def destination_block(self) -> dict[str, Any]:
        return {"name": "duckdb", "config": self.destination}

    def rows(self) -> list[Row] | None:
        """The rows of the table, sorted; None when there is no table."""
        if not self.database.exists():
            return None
        with duckdb.connect(str(self.database)) as connection:
            names = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
            if "items" not in names:
                return None
            columns = {row[0] for row in connection.execute("DESCRIBE items").fetchall()}
            if "version" not in columns:
                return []
            return connection.execute("SELECT id, version FROM items ORDER BY ALL").fetchall()

    def tables(self) -> list[str]:
        with duckdb.connect(str(self.database)) as connection:
            return sorted(name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall())


Build = Callable[..., DuckdbRig]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a finished first run, by sync mode."""
    made: dict[str, Path] = {}

    def get(mode: str) -> Path:
        if mode not in made:
            made[mode] = tmp_path_factory.mktemp("duckdb")
            rig = DuckdbRig(made[mode], mode)
            assert rig.run() == 0, rig.log()
            assert rig.rows() == rig.expected()
        return made[mode]

    return get


@pytest.fixture
def build(tmp_path: Path, finished: Callable[[str], Path]) -> Build:
    """A pipeline that has loaded version 1, and whose source has version 2 now."""

    def make(mode: str, runner: str = "thread", **settings: Any) -> DuckdbRig:
        folder = tmp_path / "run"
        shutil.copytree(finished(mode), folder)
        rig = DuckdbRig(folder, mode, runner, **settings)
        rig.change()
        return rig

    return make


@pytest.mark.parametrize("mode", [*MODES, STREAMED])
@pytest.mark.parametrize("point", [*STEPS, *COMMITS])
def test_a_run_that_dies_is_finished_by_the_next(build: Build, point: str, mode: str) -> None:
    rig = build(mode)
    old = rig.rows()
    code = rig.run(point)
    assert code == -signal.SIGKILL or (code == 0 and is_late(point, mode)), rig.log()
    check_between(rig, old)
    finish(rig, MOST_RUNS)


def is_late(point: str, mode: str) -> bool:
    """Whether a run may end before it reaches the point."""
    if mode == STREAMED and point in ("after_verify", "before_finalize"):
        return True
    return point in COMMITS and int(point.partition(":")[2]) > FEWEST_COMMITS[mode]


FEWEST_COMMITS = {"full_refresh": 15, "incremental": 15, STREAMED: 8}
"""Transactions that every run has, at least."""


@pytest.mark.parametrize("mode", [*MODES, STREAMED])
def test_a_copied_table_survives_kills_too(build: Build, mode: str) -> None:
    """With a view, a full refresh deletes and inserts in place of a swap."""
    rig = build(mode)
    with duckdb.connect(str(rig.database)) as connection:
        connection.execute("CREATE VIEW seen AS SELECT id, version FROM items")
    for point in ("before_commit:14", "after_commit:14"):
        old = rig.rows()
        assert rig.run(point) in (0, -signal.SIGKILL), rig.log()
        check_between(rig, old)
    finish(rig, MOST_RUNS)
    with duckdb.connect(str(rig.database)) as connection:
        assert connection.execute("SELECT * FROM seen ORDER BY ALL").fetchall() == rig.expected()


@pytest.mark.timeout(600)  # on a busy machine
@pytest.mark.parametrize(("mode", "how"), KILLED)
@pytest.mark.parametrize("seed", range(25))
def test_runs_that_are_killed_at_random_lose_nothing_and_bring_nothing_twice(
    build: Build, mode: str, how: str, seed: int
) -> None:
    rig, delays = build(mode), random.Random(seed)
    rig.write_by(how)
    begun = time.monotonic()
    assert rig.run() == 0, rig.log()
    usual = time.monotonic() - begun
    rig.change()
    for _ in range(KILLS):
        old = rig.rows()
        was_killed, code = rig.run_and_kill(delays.uniform(usual / 4, usual * 1.1))
        assert was_killed or code == 0, rig.log()
        check_between(rig, old)
        if not was_killed:
            assert rig.rows() == rig.expected()
            rig.change()
    finish(rig, MOST_RUNS)


@contextmanager
def held(database: Path, seconds: float, holder: str) -> Iterator["subprocess.Popen[str]"]:
    """Within: another process has the file open, for a number of seconds at most."""
    command = [sys.executable, "-c", HOLD, str(database), str(seconds), holder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("mode", [*MODES, STREAMED])
def test_a_run_waits_for_a_file_that_another_process_has_open(build: Build, mode: str, holder: str) -> None:
    rig = build(mode)
    with held(rig.database, 4, holder):
        assert rig.run() == 0, rig.log()
    assert rig.rows() == rig.expected()


@pytest.mark.timeout(300)  # with the real limit
@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("mode", [*MODES, STREAMED])
def test_a_file_that_stays_open_ends_the_run_which_resumes(build: Build, mode: str, holder: str) -> None:
    rig = build(mode, lock_timeout=LOCK_TIMEOUT)
    old = rig.rows()
    assert rig.run("after_write:2") == -signal.SIGKILL, rig.log()
    check_between(rig, old)
    with held(rig.database, 600, holder) as process:
        assert rig.run(timeout=60 + LOCK_TIMEOUT) == 1  # it has waited once
        assert f"(PID {process.pid})" in rig.log()
        assert f"waited {LOCK_TIMEOUT} s" in rig.log()
        assert "DuckDB lets one process write a file" in rig.log()
    finish(rig, MOST_RUNS)


@pytest.mark.parametrize("mode", [*MODES, STREAMED])
def test_a_full_disk_ends_the_run_which_resumes(build: Build, mode: str) -> None:
    """The limit of a process on the size of its files stands in for the end of a disk."""
    rig = build(mode)
    rig.source["page_size"] = LARGE_PAGE
    old, room = rig.rows() or [], rig.database.stat().st_size // 1024
    limited = f"ulimit -f {room}; trap '' XFSZ; exec {shlex.join(rig.command())}"
    done = subprocess.run(["bash", "-c", limited], cwd=rig.folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"warehouse\.duckdb: .*File too large", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert set(old) <= set(rig.rows() or []) if mode == STREAMED else rig.rows() == old
    assert rig.run() == 0, rig.log()
    found = rig.rows() or []
    assert len(found) == len(set(found)) == len(old) * (mode != "full_refresh") + 3 * LARGE_PAGE
