"""State in Postgres, through the command: where it is, what a kill and a restart of the server leave behind."""

import os
import signal
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import commands
import pytest
from e2e.faults import EVERYTHING, assert_clear_failure, fault, finished, noted, release
from postgres import PASSWORD, Place, PrivateServer

if TYPE_CHECKING:
    from conftest import Pipeline

RUNNERS = ["thread", "process"]
COMMIT = "create_destination_cursor"
ELSEWHERE = "UPDATE stream_leases SET host = 'elsewhere', place = 'another boot'"
CURSORS = "SELECT from_source_iteration, to_source_iteration, rows_written FROM destination_cursors ORDER BY 1"
FOUR_PAGES = [(page, page, 5) for page in range(4)]
JOBS = "SELECT status, error_message FROM stream_jobs ORDER BY created_at"
WaitFor = Callable[[Callable[[], bool]], None]


def with_state_in(place: Place, pipeline: "Pipeline", **changes: Any) -> "Pipeline":
    """The pipeline, a batch per page, with its state in a schema."""
    return pipeline.set("engine.backend", place.config(**changes)).destination(buffer_size=0)


def bizon(pipeline: "Pipeline", *words: str) -> "subprocess.CompletedProcess[str]":
    """Another command on the same config."""
    assert pipeline.command
    command = [*commands.BIZON, *words, "config.yml"]
    return commands.run(command, cwd=pipeline.folder, capture_output=True, text=True, timeout=60)


def held_at_page_2(pipeline: "Pipeline", wait_for: WaitFor, *flags: str, **faults: Any) -> "subprocess.Popen[str]":
    """A run that has committed two pages and is about to commit the third."""
    with fault(hold={COMMIT: 3}, **faults):
        child = pipeline.start(*flags)
    wait_for(lambda: noted(pipeline, COMMIT) != [])
    return child


def test_a_run_keeps_its_state_in_the_named_schema_and_none_on_disk(pipeline: "Pipeline", postgres: Place) -> None:
    with_state_in(postgres, pipeline).run()
    assert pipeline.ids() == EVERYTHING
    assert postgres.rows(JOBS) == [("succeeded", None)]
    assert postgres.rows(CURSORS) == FOUR_PAGES
    assert postgres.rows("SELECT count(*) FROM stream_leases") == [(0,)]
    assert [path.name for path in pipeline.folder.rglob("*") if path.suffix in (".sqlite3", ".spool")] == []


@pytest.mark.lesson("F-08", "F-09")
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_run_that_was_killed_on_another_host_is_resumed_within_seconds(
    pipeline: "Pipeline", postgres: Place, wait_for: WaitFor, runner: str
) -> None:
    child = held_at_page_2(with_state_in(postgres, pipeline), wait_for, "--runner", runner)
    postgres.rows(ELSEWHERE)
    os.killpg(child.pid, signal.SIGKILL)
    finished(child)
    assert "its run is gone: run again to resume" in bizon(pipeline, "status").stdout
    assert "at iteration 2" in pipeline.run("--runner", runner).stderr
    assert pipeline.ids() == EVERYTHING
    assert postgres.rows(CURSORS) == FOUR_PAGES


@pytest.mark.lesson("F-08")
def test_a_run_that_is_active_on_another_host_is_left_alone(
    pipeline: "Pipeline", postgres: Place, wait_for: WaitFor
) -> None:
    child = held_at_page_2(with_state_in(postgres, pipeline), wait_for)
    postgres.rows(ELSEWHERE)
    assert "on host 'elsewhere'" in pipeline.run(expect=3).stderr
    release(pipeline, COMMIT)
    assert finished(child).returncode == 0
    assert pipeline.ids() == EVERYTHING


@pytest.mark.parametrize(("runner", "how"), [("thread", signal.SIGINT), ("process", signal.SIGQUIT)])
def test_a_server_that_is_restarted_in_the_middle_of_a_run_costs_nothing(
    pipeline: "Pipeline", private_postgres: PrivateServer, wait_for: WaitFor, runner: str, how: signal.Signals
) -> None:
    place = private_postgres.place
    child = held_at_page_2(with_state_in(place, pipeline), wait_for, "--runner", runner)
    private_postgres.stop(how)
    release(pipeline, COMMIT)
    with pytest.raises(AssertionError, match="waited in vain"):
        wait_for(lambda: child.poll() is not None, seconds=0.3)  # type: ignore[call-arg]
    private_postgres.start()
    done = finished(child)
    assert done.returncode == 0, done.stdout
    assert "is unreachable; retrying" in done.stdout
    assert "is reachable again" in done.stdout
    assert "Traceback" not in done.stdout
    assert pipeline.ids() == EVERYTHING
    assert place.rows(CURSORS) == FOUR_PAGES
    assert place.rows(JOBS) == [("succeeded", None)]


def test_a_server_that_stays_unreachable_ends_the_run_and_the_next_one_resumes(
    pipeline: "Pipeline", private_postgres: PrivateServer, wait_for: WaitFor
) -> None:
    place = private_postgres.place
    child = held_at_page_2(with_state_in(place, pipeline), wait_for, patience=0.2)
    private_postgres.stop()
    release(pipeline, COMMIT)
    assert_clear_failure(finished(child), "start the run again when it is back")
    private_postgres.start()
    assert "at iteration 2" in pipeline.run().stderr
    assert pipeline.ids() == EVERYTHING
    assert place.rows(CURSORS) == FOUR_PAGES


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "password": ({"password": f"not {PASSWORD}"}, 'password authentication failed for user "bizon"'),
    "host": ({"host": "no-such-host.invalid"}, "no-such-host.invalid"),
    "port": ({"port": 1}, "Connection refused"),
    "database": ({"database": "nowhere"}, 'database "nowhere" does not exist'),
}


@pytest.mark.lesson("F-27")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_address_is_one_clear_line(  # after a warning, for a port that may yet be opened
    pipeline: "Pipeline", private_postgres: PrivateServer, mistake: str
) -> None:
    changes, told = MISTAKES[mistake]
    with_state_in(private_postgres.place, pipeline, **changes)
    failed = pipeline.run(expect=1)
    *warnings, line = failed.stderr.splitlines()
    assert len(warnings) == (mistake == "port")
    assert line.startswith("Error: the state in Postgres database ")
    assert told in line
    assert PASSWORD not in failed.stdout + failed.stderr
    assert pipeline.trace() == []


@pytest.mark.lesson("F-27")
def test_the_password_is_not_in_a_traceback_either(pipeline: "Pipeline", private_postgres: PrivateServer) -> None:
    with_state_in(private_postgres.place, pipeline, database="nowhere")
    failed = pipeline.run("--log-level", "DEBUG", expect=1)
    assert "Traceback" in failed.stderr
    assert PASSWORD not in failed.stdout + failed.stderr


@pytest.mark.lesson("F-27")
def test_the_password_is_not_in_the_log_of_statements(pipeline: "Pipeline", private_postgres: PrivateServer) -> None:
    done = with_state_in(private_postgres.place, pipeline, echoEngine=True).run("--log-level", "TRACE")
    assert "INSERT INTO" in done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr


def test_status_and_reset_know_the_state(pipeline: "Pipeline", postgres: Place) -> None:
    with_state_in(postgres, pipeline)
    assert "State: no run yet" in bizon(pipeline, "status").stdout
    assert postgres.rows("SELECT count(*) FROM pg_namespace WHERE nspname = %s", postgres.schema) == [(0,)]
    pipeline.source(sync_mode="incremental").run()
    assert bizon(pipeline, "stream", "reset").returncode == 0
    shown = bizon(pipeline, "status").stdout
    assert "State: succeeded" in shown
    assert "Reset: requested" in shown
    pipeline.run()
    assert pipeline.ids() == EVERYTHING
    assert postgres.rows("SELECT count(*) FROM stream_resets WHERE consumed_by_job_id IS NULL") == [(0,)]


@pytest.mark.lesson("F-08", "F-12")
def test_two_simultaneous_first_starts_give_one_run_and_one_refusal(
    pipeline: "Pipeline", postgres: Place, wait_for: WaitFor
) -> None:
    with_state_in(postgres, pipeline)
    with fault(hold={"create_all_tables": 1, "finalize": 1}):
        children = [pipeline.start() for _ in range(2)]
    wait_for(lambda: len(set(noted(pipeline, "create_all_tables"))) == 2)
    release(pipeline, "create_all_tables")
    wait_for(lambda: any(child.poll() is not None for child in children))
    release(pipeline, "finalize")
    assert sorted(finished(child).returncode for child in children) == [0, 3]
    assert pipeline.ids() == EVERYTHING
    assert postgres.rows(JOBS) == [("succeeded", None)]


@pytest.mark.lesson("F-08", "F-09")
def test_a_run_that_was_frozen_until_another_took_over_cannot_commit(
    pipeline: "Pipeline", postgres: Place, wait_for: WaitFor
) -> None:
    """Its session lives on, so its lease counts until it expires."""
    pipeline.set("engine.runner.config.lease_ttl", 1)
    frozen = held_at_page_2(with_state_in(postgres, pipeline), wait_for)
    os.killpg(frozen.pid, signal.SIGSTOP)
    wait_for(lambda: pipeline.run(expect=None).returncode == 0)
    release(pipeline, COMMIT)
    os.killpg(frozen.pid, signal.SIGCONT)
    assert_clear_failure(finished(frozen), "another run")
    assert pipeline.ids() == EVERYTHING
    assert postgres.rows(CURSORS) == FOUR_PAGES
    assert postgres.rows(JOBS) == [("succeeded", None)]
