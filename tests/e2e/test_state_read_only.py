"""``bizon status`` for somebody who may only read the state."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import commands
import pytest
from e2e.faults import Mount, fault, noted, read_only
from postgres import Place
from psycopg import sql

if TYPE_CHECKING:
    from conftest import Pipeline

WaitFor = Callable[[Callable[[], bool]], None]
STATE = "engine.backend.config.database"


def status_in(mount: Mount, pipeline: "Pipeline") -> "subprocess.CompletedProcess[str]":
    change_folder = ["sh", "-c", 'cd "$0" && exec "$@"', str(pipeline.folder)]
    command = [*mount.enter, *change_folder, sys.executable, "-m", "bizon", "status", "config.yml"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_state_of_a_run_that_ended_can_be_read_where_nothing_can_be_written(pipeline: "Pipeline") -> None:
    """SQLite wants to create files next to a database with a write-ahead log even to read it."""
    pipeline.set(STATE, "states/state").run()
    with read_only(pipeline.folder / "states") as mount:
        shown = status_in(mount, pipeline)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "State: succeeded" in shown.stdout
    assert "Records: 20" in shown.stdout
    assert [path.name for path in (pipeline.folder / "states").iterdir()] == ["state.sqlite3"]


def test_the_state_of_a_run_that_was_killed_can_be_read_there_too(pipeline: "Pipeline", wait_for: WaitFor) -> None:
    """Its last commits are in the write-ahead log."""
    pipeline.set(STATE, "states/state").destination(buffer_size=0)
    with fault(hold={"create_destination_cursor": 3}):
        child = pipeline.start()
    wait_for(lambda: noted(pipeline, "create_destination_cursor") != [])
    os.killpg(child.pid, 9)
    child.communicate()
    with read_only(pipeline.folder / "states") as mount:
        shown = status_in(mount, pipeline)
    assert (shown.returncode, shown.stderr) == (1, "")
    assert "State: running, but its run is gone" in shown.stdout
    assert "Checkpoint: iteration 1, continues at" in shown.stdout


def test_a_copy_with_spaces_and_signs_in_its_name_can_be_read(pipeline: "Pipeline") -> None:
    pipeline.run()
    (pipeline.folder / "a #1? copy%20").mkdir()
    shutil.copy(pipeline.folder / "state.sqlite3", pipeline.folder / "a #1? copy%20" / "state.sqlite3")
    pipeline.set(STATE, "a #1? copy%20/state")
    assert pipeline.command
    with read_only(pipeline.folder / "a #1? copy%20") as mount:
        shown = status_in(mount, pipeline)
    assert "State: succeeded" in shown.stdout, shown.stderr


@pytest.mark.parametrize("words", ["status", "run"])
def test_a_role_that_may_only_select_sees_the_state_and_cannot_run(
    pipeline: "Pipeline", postgres: Place, words: str
) -> None:
    pipeline.set("engine.backend", postgres.config()).run()
    reader = f"reader_{os.getpid()}"
    with postgres.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'read'").format(sql.Identifier(reader)))
        for right in ("USAGE ON SCHEMA {}", "SELECT ON ALL TABLES IN SCHEMA {}"):
            granted = sql.SQL(f"GRANT {right} TO {{}}")
            connection.execute(granted.format(sql.Identifier(postgres.schema), sql.Identifier(reader)))
    try:
        pipeline.set("engine.backend", postgres.config(username=reader, password="read"))
        assert pipeline.command
        command = [*commands.BIZON, words, "config.yml"]
        shown = commands.run(command, cwd=pipeline.folder, capture_output=True, text=True, timeout=60)
    finally:
        with postgres.connect() as connection:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(reader)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(reader)))
    if words == "status":
        assert shown.returncode == 0, shown.stderr
        assert "State: succeeded" in shown.stdout
    else:
        assert shown.returncode == 1
        assert "permission denied" in shown.stderr
