"""Two commands with the same table and states in two folders, which do not know each other."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from connectors.destinations.postgres.kit import settings
from e2e.conftest import Pipeline
from e2e.faults import EVERYTHING, assert_clear_failure, fault, finished, noted, release
from postgres import Place

COMMIT = "create_destination_cursor"
REFUSED = "whose job the state of this run does not know: wait until it ends, or end it"
IDS = "SELECT source_record_id FROM items"
WaitFor = Callable[[Callable[[], bool]], None]


class TwoStates:
    """A pipeline in two folders. ``ids``: the record ids of the table, sorted."""

    def __init__(self, folder: Path, block: dict[str, Any], rows: Callable[[], list[tuple[Any, ...]]]) -> None:
        self.here, self.elsewhere = (Pipeline(folder / name) for name in ("here", "elsewhere"))
        self._rows = rows
        for each in (self.here, self.elsewhere):
            each.folder.mkdir()
            each.set("destination", block).set("engine.runner.config.lease_ttl", 1)

    def ids(self) -> list[int]:
        return sorted(int(id_) for (id_,) in self._rows())


@pytest.fixture(params=["duckdb", "postgres"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> TwoStates:
    more = {"destination_id": "items", "unnest": False, "buffer_size": 0}
    if request.param == "postgres":
        place: Place = request.getfixturevalue("postgres")
        block = {"name": "postgres", "config": settings(place, **more)}
        return TwoStates(tmp_path, block, lambda: place.rows(IDS))
    database = str(tmp_path / "items.duckdb")

    def rows() -> list[tuple[Any, ...]]:
        with duckdb.connect(database, read_only=True) as connection:
            return connection.execute(IDS).fetchall()

    return TwoStates(tmp_path, {"name": "duckdb", "config": {"database": database, **more}}, rows)


def held_at_page_2(pair: TwoStates, wait_for: WaitFor) -> Any:
    """A run that has committed two pages and is about to commit the third."""
    with fault(hold={COMMIT: 3}):
        child = pair.here.start()
    wait_for(lambda: noted(pair.here, COMMIT) != [])
    return child


def test_a_run_is_refused_before_it_fetches_while_another_one_writes_the_table(
    pair: TwoStates, wait_for: WaitFor
) -> None:
    """The second run used to drop what the first one had staged, and the first one failed."""
    child = held_at_page_2(pair, wait_for)
    assert REFUSED in pair.elsewhere.run(expect=1).stderr
    assert pair.elsewhere.trace() == []
    release(pair.here, COMMIT)
    done = finished(child)
    assert done.returncode == 0, done.stderr
    assert pair.ids() == EVERYTHING
    pair.elsewhere.run()
    assert pair.ids() == EVERYTHING


def test_a_run_that_was_killed_keeps_nobody_out(pair: TwoStates, wait_for: WaitFor) -> None:
    child = held_at_page_2(pair, wait_for)
    os.killpg(child.pid, signal.SIGKILL)
    finished(child)
    pair.elsewhere.run()
    assert pair.ids() == EVERYTHING


def test_a_frozen_run_keeps_out_the_other_state_and_not_its_own(pair: TwoStates, wait_for: WaitFor) -> None:
    frozen = held_at_page_2(pair, wait_for)
    os.killpg(frozen.pid, signal.SIGSTOP)
    assert REFUSED in pair.elsewhere.run(expect=1).stderr
    wait_for(lambda: pair.here.run(expect=None).returncode == 0)
    assert pair.ids() == EVERYTHING
    release(pair.here, COMMIT)
    os.killpg(frozen.pid, signal.SIGCONT)
    assert_clear_failure(finished(frozen), "another run")
    assert pair.ids() == EVERYTHING
