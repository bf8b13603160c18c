"""Runs into Postgres die by SIGKILL at each transaction, and at random, or their server does; the next run finishes the
job, and every record is there once. In between a reader sees the old table or the new one. The points are in
``crash_cli.py``."""

import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from shutil import copytree
from typing import Any

import matrices
import pytest
from e2e.crash.conftest import MOST_PAGES
from e2e.crash.crash_kit import MODES, STREAMED, Row, is_frozen, thaw
from e2e.crash.table_rig import KILLED, TableRig, check_between, finish
from postgres import Place, PrivateServer

pytestmark = pytest.mark.matrix(share=55, pool="crashes of tables")

STEPS = ["after_prepare", "after_write:2", "after_receipt:2", "after_cursor:3", "after_verify", "before_finalize"]
MOST_COMMITS = 28
"""More transactions than a run has: later ones are never reached."""
COMMITS = [f"{when}_commit:{number}" for number in range(1, MOST_COMMITS + 1) for when in ("before", "after")]
FROZEN = [f"{when}_commit:{number}" for number in range(6, 22) for when in ("before", "after")]
KILLS = 200 if matrices.is_long() else 6
CRASHES = 20 if matrices.is_long() else 2
LOCK_TIMEOUT = 30 if matrices.is_long() else 1
MOST_WAITS = 6  # a write is tried again as often, and pauses in between
MOST_RUNS = 4
LONGEST = 2.5  # seconds until a random kill
LARGE_PAGE = 20_000  # records
LARGEST_FILE = 5 * 1024 * 1024
PATIENCE = 30  # seconds
DATABASE = "crash"


class PostgresRig(TableRig):
    """A pipeline into a table of a Postgres server."""

    def __init__(self, folder: Path, mode: str, place: Place, runner: str = "thread", **settings: Any) -> None:
        source = {"max_iterations": MOST_PAGES} if mode == STREAMED else {}
        super().__init__(folder, mode, "json", runner, **source)
        self.place = Place(place.host, place.port, place.username, place.password, DATABASE)
        where = {key: getattr(self.place, key) for key in ("host", "port", "username", "password", "database")}
        self.destination = {**where, "destination_id": "items", "buffer_size": 0, "idle_timeout": 2, **settings}

    @property
    def destination_block(self) -> dict[str, Any]:
        return {"name": "postgres", "config": self.destination}

    def rows(self) -> list[Row] | None:
        """The rows of the table, sorted; None when there is no table."""
        columns = self.place.rows("SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('items')")
        if not columns:
            return None
        return self.place.rows("SELECT id, version FROM items ORDER BY 1, 2") if ("version",) in columns else []

    def tables(self) -> list[str]:
        found = self.place.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        return [name for (name,) in found]


Build = Callable[..., PostgresRig]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, _private_postgres: PrivateServer) -> Callable[[str], Path]:
    """The folder of a finished first run, by sync mode. Its database is ``done_<mode>``."""
    made: dict[str, Path] = {}

    def get(mode: str) -> Path:
        if mode not in made:
            place = _private_postgres.place
            recreate(place, "template0")
            made[mode] = tmp_path_factory.mktemp("postgres")
            rig = PostgresRig(made[mode], mode, place)
            assert rig.run() == 0, rig.log()
            assert rig.rows() == rig.expected()
            place.rows(f"ALTER DATABASE {DATABASE} RENAME TO done_{mode}")
        return made[mode]

    return get


def recreate(place: Place, template: str) -> None:
    """The database of a rig has the same name in each test: it is part of what identifies the output."""
    place.rows(f"DROP DATABASE IF EXISTS {DATABASE} (FORCE)")
    place.rows(f"CREATE DATABASE {DATABASE} TEMPLATE {template}")


@pytest.fixture
def build(tmp_path: Path, finished: Callable[[str], Path], private_postgres: PrivateServer) -> Iterator[Build]:
    """A pipeline that has loaded version 1, and whose source has version 2 now."""

    def make(mode: str, runner: str = "thread", **settings: Any) -> PostgresRig:
        folder = tmp_path / "run"
        copytree(finished(mode), folder)
        recreate(private_postgres.place, f"done_{mode}")
        rig = PostgresRig(folder, mode, private_postgres.place, runner, **settings)
        rig.change()
        return rig

    yield make
    private_postgres.start()


def is_late(point: str, mode: str) -> bool:
    """Whether a run may end before it reaches the point."""
    if mode == STREAMED and point in ("after_verify", "before_finalize"):
        return True
    return point in COMMITS and int(point.partition(":")[2]) > FEWEST_COMMITS[mode]


FEWEST_COMMITS = {"full_refresh": 18, "incremental": 18, STREAMED: 9}
"""Transactions that every run has, at least."""


@pytest.mark.parametrize("mode", [*MODES, STREAMED])
@pytest.mark.parametrize("point", [*STEPS, *COMMITS])
def test_a_run_that_dies_is_finished_by_the_next(build: Build, point: str, mode: str) -> None:
    rig = build(mode)
    old = rig.rows()
    code = rig.run(point)
    assert code == -signal.SIGKILL or (code == 0 and is_late(point, mode)), rig.log()
    check_between(rig, old)
    finish(rig, MOST_RUNS)


@pytest.mark.parametrize("write_mode", ["append", "merge"])
@pytest.mark.parametrize("mode", [*MODES, STREAMED])
def test_a_copied_or_merged_table_survives_kills_too(build: Build, mode: str, write_mode: str) -> None:
    """With a view, a full refresh deletes and inserts in place of a swap."""
    rig = build(mode, write_mode=write_mode)
    if write_mode == "merge":  # a key for each version, so that all of them are in the table
        rig.destination["primary_key"] = ["id", "version"]
    rig.place.rows("CREATE VIEW seen AS SELECT id, version FROM items")
    for point in ("before_commit:17", "after_commit:17", "before_commit:5", "after_commit:6"):
        old = rig.rows()
        assert rig.run(point) in (0, -signal.SIGKILL), rig.log()
        check_between(rig, old)
    finish(rig, MOST_RUNS)
    assert rig.place.rows("SELECT id, version FROM seen ORDER BY 1, 2") == rig.expected()


@pytest.mark.timeout(1800)  # 200 kills on a busy machine
@pytest.mark.parametrize(("mode", "how"), KILLED)
def test_runs_that_are_killed_at_random_lose_nothing_and_bring_nothing_twice(build: Build, mode: str, how: str) -> None:
    rig, delays = build(mode), random.Random(17)
    rig.write_by(how)
    for _ in range(KILLS):
        old = rig.rows()
        was_killed, code = rig.run_and_kill(delays.uniform(0.3, LONGEST))
        assert was_killed or code == 0, rig.log()
        check_between(rig, old)
        if not was_killed:
            assert rig.rows() == rig.expected()
            rig.change()
    finish(rig, MOST_RUNS)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", [*MODES, STREAMED])
def test_a_server_that_crashes_at_random_and_comes_back_loses_nothing(
    build: Build, private_postgres: PrivateServer, mode: str
) -> None:
    rig, delays = build(mode), random.Random(23)
    for _ in range(CRASHES):
        old = rig.rows()
        with rig.started() as child:
            time.sleep(delays.uniform(0.5, 2))
            private_postgres.stop(signal.SIGQUIT)
            time.sleep(delays.uniform(0, 1))
            private_postgres.start()
            assert child.wait(PATIENCE * 2) in (0, 1), rig.log()
        check_between(rig, old)
    finish(rig, MOST_RUNS)


@pytest.mark.parametrize("mode", [*MODES, STREAMED])
@pytest.mark.parametrize("point", ["after_write:2", "before_commit:9", "after_cursor:2"])
def test_a_server_that_is_killed_while_a_run_waits_loses_no_batch(
    build: Build, private_postgres: PrivateServer, point: str, mode: str
) -> None:
    rig = build(mode)
    with rig.started(f"{point}@frozen") as child:
        until(lambda: is_frozen(child))
        private_postgres.stop(signal.SIGQUIT)
        private_postgres.start()
        thaw(child)
        assert child.wait(PATIENCE * 2) in (0, 1), rig.log()
    finish(rig, MOST_RUNS)


@pytest.mark.matrix(share=55, pool="crashes of tables")
@pytest.mark.parametrize("mode", [*MODES, STREAMED])
@pytest.mark.parametrize("point", FROZEN)
def test_a_run_that_was_frozen_past_its_lease_changes_nothing(build: Build, point: str, mode: str) -> None:
    rig = build(mode)
    rig.lease_ttl = 1.0
    with rig.started(f"{point}@frozen") as frozen:
        until(lambda: is_frozen(frozen) or frozen.poll() is not None)
        if frozen.poll() is None:
            time.sleep(rig.lease_ttl + 0.3)
            finish(rig, MOST_RUNS)
            thaw(frozen)
            assert frozen.wait(PATIENCE) in (0, 1), rig.log()  # 0: everything was done but the note of it
    finish(rig, MOST_RUNS)


@pytest.mark.parametrize("mode", MODES)
def test_a_full_disk_of_the_server_ends_the_run_which_resumes(
    build: Build, private_postgres: PrivateServer, mode: str
) -> None:
    rig = build(mode)
    rig.source["page_size"] = LARGE_PAGE
    old = rig.rows()
    private_postgres.stop()
    private_postgres.start(LARGEST_FILE)
    assert rig.run() == 1
    private_postgres.stop()
    private_postgres.start()
    assert re.search(r"schema public: could not extend file .*: File too large", rig.log()), rig.log()
    assert "Traceback" not in rig.log()
    assert rig.rows() == old
    assert rig.run() == 0, rig.log()
    assert len(rig.rows() or []) == len(old or []) * (mode == "incremental") + 3 * LARGE_PAGE


@pytest.mark.timeout(600)  # with the real limit
@pytest.mark.parametrize("mode", [*MODES, STREAMED])
def test_a_reader_that_holds_its_lock_ends_the_run_with_a_clear_error_and_the_run_resumes(
    build: Build, mode: str
) -> None:
    rig = build(mode, lock_timeout=LOCK_TIMEOUT)
    with closing(rig.place.connect()) as reader:
        reader.execute("BEGIN")
        reader.execute("LOCK TABLE items IN SHARE MODE")
        assert rig.run(timeout=60 + LOCK_TIMEOUT * MOST_WAITS) == 1
        assert f"session {reader.info.backend_pid} (user 'bizon') holds ShareLock on table 'items'" in rig.log()
    assert f"`lock_timeout` of {LOCK_TIMEOUT} s is over" in rig.log()
    assert "the run resumes" in rig.log()
    finish(rig, MOST_RUNS)


@pytest.mark.parametrize("mode", MODES)
def test_a_reader_that_is_done_in_time_delays_the_run(build: Build, mode: str) -> None:
    rig = build(mode)
    with closing(rig.place.connect()) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM items").fetchone() is not None
        done = threading.Timer(3, lambda: reader.execute("COMMIT"))
        done.start()
        assert rig.run() == 0, rig.log()
        done.join()
    assert rig.rows() == rig.expected()


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)
