"""The lease of a pipeline, and state left behind by another release, another host or another run."""

import os
import re
import signal
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import commands
import pytest
from e2e.faults import EVERYTHING, assert_clear_failure, fault, finished, noted, release

from bizon.engine.backend.adapters.sqlalchemy.migrations import CURRENT

if TYPE_CHECKING:
    from conftest import Pipeline

pytestmark = pytest.mark.matrix(share=4, pool="lease and schema")

RUNNERS = ["thread", "process"]
COMMIT = "create_destination_cursor"
WHO = r"is being run by process {pid} on host '{host}' \(owner \w{{8}}\), started \d+ s ago, last heartbeat \d+ s ago"
WaitFor = Callable[[Callable[[], bool]], None]


def status(pipeline: "Pipeline") -> "subprocess.CompletedProcess[str]":
    return commands.run(
        [*commands.BIZON, "status", "config.yml"],
        cwd=pipeline.folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def killed_at_page_2(pipeline: "Pipeline", wait_for: WaitFor) -> int:
    """A run that has committed two pages and died in the third; its process id. Its lease is left behind."""
    pipeline.destination(buffer_size=0)
    with fault(hold={COMMIT: 3}):
        child = pipeline.start()
    wait_for(lambda: noted(pipeline, COMMIT) != [])
    os.killpg(child.pid, signal.SIGKILL)
    finished(child)
    (pipeline.folder / "trace.txt").unlink()
    return child.pid


@pytest.mark.lesson("F-08", "F-12")
@pytest.mark.parametrize("attempt", range(3))
@pytest.mark.parametrize("runner", RUNNERS)
def test_two_simultaneous_first_starts_give_one_run_and_one_refusal(
    pipeline: "Pipeline", wait_for: WaitFor, runner: str, attempt: int
) -> None:
    """Both used to run, and to mix their rows."""
    with fault(hold={"create_all_tables": 1, "finalize": 1}):
        children = [pipeline.start("--runner", runner) for _ in range(2)]
    wait_for(lambda: len(set(noted(pipeline, "create_all_tables"))) == 2)
    release(pipeline, "create_all_tables")
    wait_for(lambda: any(child.poll() is not None for child in children))
    release(pipeline, "finalize")
    loser, winner = sorted((finished(child) for child in children), key=lambda done: -done.returncode)
    assert (winner.returncode, loser.returncode) == (0, 3), winner.stderr + loser.stderr
    pid = next(child.pid for child in children if child.returncode == 0)
    assert re.search(WHO.format(pid=pid, host=".+"), loser.stderr)
    assert "Traceback" not in winner.stderr + loser.stderr
    assert pipeline.ids() == EVERYTHING
    assert pipeline.jobs() == [("succeeded", None)]


@pytest.mark.lesson("F-08")
def test_the_lease_of_a_run_on_another_host_blocks_until_it_expires(pipeline: "Pipeline", wait_for: WaitFor) -> None:
    pid = killed_at_page_2(pipeline, wait_for)
    pipeline.in_state("UPDATE stream_leases SET host = 'elsewhere', place = 'another boot'")
    blocked = pipeline.run(expect=3)
    assert re.search(WHO.format(pid=pid, host="elsewhere"), blocked.stderr)
    assert "Traceback" not in blocked.stderr
    assert pipeline.trace() == []
    pipeline.in_state("UPDATE stream_leases SET expires_at = ?", str(datetime.now(UTC) - timedelta(hours=1))[:26])
    pipeline.run()
    assert pipeline.trace() == ["page 2", "page 3"]
    assert pipeline.ids() == EVERYTHING


@pytest.mark.lesson("F-11")
def test_the_lease_of_a_run_on_another_host_expires_by_itself(pipeline: "Pipeline", wait_for: WaitFor) -> None:
    pipeline.set("engine.runner.config.lease_ttl", 2)
    killed_at_page_2(pipeline, wait_for)
    pipeline.in_state("UPDATE stream_leases SET host = 'elsewhere', place = 'another boot'")
    wait_for(lambda: pipeline.run(expect=None).returncode == 0)
    assert pipeline.trace() == ["page 2", "page 3"]
    assert pipeline.ids() == EVERYTHING


@pytest.mark.lesson("F-08", "F-09")
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_run_that_was_frozen_until_another_took_over_cannot_commit(
    pipeline: "Pipeline", wait_for: WaitFor, runner: str
) -> None:
    """Both used to write under the same job."""
    pipeline.set("engine.runner.config.lease_ttl", 1).destination(buffer_size=0)
    with fault(hold={COMMIT: 3}):
        frozen = pipeline.start("--runner", runner)
    wait_for(lambda: noted(pipeline, COMMIT) != [])
    os.killpg(frozen.pid, signal.SIGSTOP)
    wait_for(lambda: pipeline.run("--runner", runner, expect=None).returncode == 0)
    assert pipeline.ids() == EVERYTHING
    output = (pipeline.folder / "out.json").read_bytes()
    release(pipeline, COMMIT)
    os.killpg(frozen.pid, signal.SIGCONT)
    assert_clear_failure(finished(frozen), "another run")
    assert (pipeline.folder / "out.json").read_bytes() == output
    assert pipeline.in_state("SELECT count(*), sum(rows_written) FROM destination_cursors") == [(4, 20)]
    pipeline.run("--runner", runner)
    assert pipeline.ids() == EVERYTHING


def test_a_command_that_was_frozen_while_it_began_a_joined_job_finds_it_published(
    pipeline: "Pipeline", wait_for: WaitFor
) -> None:
    """It used to fail, since another command had begun the job meanwhile."""
    pipeline.set("engine.runner.config.lease_ttl", 1)
    join = ("--join", "--join-id", "one")
    with fault(hold={"join_job": 1}):
        frozen = pipeline.start(*join)
    wait_for(lambda: noted(pipeline, "join_job") != [])
    os.killpg(frozen.pid, signal.SIGSTOP)
    wait_for(lambda: pipeline.run(*join, expect=None).returncode == 0)
    release(pipeline, "join_job")
    os.killpg(frozen.pid, signal.SIGCONT)
    done = finished(frozen)
    assert done.returncode == 0, done.stdout
    assert pipeline.ids() == EVERYTHING
    assert [state for state, _ in pipeline.jobs()] == ["succeeded"]


@pytest.mark.lesson("F-04")
def test_a_superseded_run_leaves_the_success_of_the_other_as_it_is(pipeline: "Pipeline", wait_for: WaitFor) -> None:
    """Used to mark the published job as failed; the next run then resumed it and fetched nothing."""
    pipeline.set("engine.runner.config.lease_ttl", 1).destination(buffer_size=0)
    with fault(hold={COMMIT: 3}):
        frozen = pipeline.start()
    wait_for(lambda: noted(pipeline, COMMIT) != [])
    os.killpg(frozen.pid, signal.SIGSTOP)
    wait_for(lambda: pipeline.run(expect=None).returncode == 0)
    release(pipeline, COMMIT)
    os.killpg(frozen.pid, signal.SIGCONT)
    assert finished(frozen).returncode == 1
    assert pipeline.jobs() == [("succeeded", None)]
    pipeline.source(pages=5).run()
    assert pipeline.ids() == list(range(25))


@pytest.mark.lesson("F-08")
def test_two_runs_that_overlap_because_one_was_frozen_end_with_every_record_once(
    pipeline: "Pipeline", wait_for: WaitFor
) -> None:
    """The frozen run wakes while the other is active; whatever they answer, the next run corrects it."""
    pipeline.set("engine.runner.config.lease_ttl", 1).destination(buffer_size=0)
    with fault(hold={COMMIT: 3}):
        frozen = pipeline.start()
    wait_for(lambda: noted(pipeline, COMMIT) != [])
    os.killpg(frozen.pid, signal.SIGSTOP)
    pipeline.in_state("UPDATE stream_leases SET expires_at = renewed_at")
    with fault(hold={"finalize": 1}):
        other = pipeline.start()
    wait_for(lambda: noted(pipeline, "finalize") != [])
    release(pipeline, COMMIT)
    os.killpg(frozen.pid, signal.SIGCONT)
    assert finished(frozen).returncode == 1
    release(pipeline, "finalize")
    assert finished(other).returncode in (0, 1)
    pipeline.run()
    assert pipeline.ids() == EVERYTHING


@pytest.mark.parametrize(
    "left_behind",
    [
        ["DROP TABLE bizon_schema"],
        ["DROP TABLE bizon_schema", "DROP TABLE stream_leases", "DROP TABLE stream_resets"],
        ["DROP TABLE bizon_schema", "ALTER TABLE stream_jobs DROP COLUMN attempt"],
        ["DROP TABLE bizon_schema", "ALTER TABLE stream_jobs DROP COLUMN incremental_state"],
        ["DROP TABLE bizon_schema", "ALTER TABLE destination_cursors DROP COLUMN attempt"],
    ],
    ids=lambda statements: statements[-1],
)
def test_a_state_of_an_older_release_is_upgraded_and_its_job_resumed(
    pipeline: "Pipeline", left_behind: list[str]
) -> None:
    pipeline.destination(buffer_size=0).source(fail_at=2).run(expect=1)
    asked = len(pipeline.trace())
    for statement in left_behind:
        pipeline.in_state(statement)
    pipeline.source(fail_at=None).run()
    assert pipeline.trace()[asked:] == ["page 2", "page 3"]
    assert pipeline.ids() == EVERYTHING
    assert pipeline.in_state("SELECT max(version) FROM bizon_schema") == [(CURRENT,)]
    pipeline.run()
    assert pipeline.ids() == EVERYTHING


def test_a_state_of_a_newer_release_is_refused_and_left_alone(pipeline: "Pipeline") -> None:
    pipeline.run()
    asked = pipeline.trace()
    pipeline.in_state("INSERT INTO bizon_schema VALUES (99, '2036-01-01 00:00:00.000000')")
    jobs = pipeline.in_state("SELECT * FROM stream_jobs")
    for refused in (pipeline.run(expect=None), status(pipeline)):
        assert_clear_failure(refused, f"the state tables have version 99, this bizon knows versions up to {CURRENT}")
    assert pipeline.trace() == asked
    assert pipeline.in_state("SELECT * FROM stream_jobs") == jobs
    pipeline.in_state("DELETE FROM bizon_schema WHERE version = 99")
    pipeline.run()
    assert pipeline.ids() == EVERYTHING


@pytest.mark.lesson("F-12")
@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("later", [False, True])
def test_two_running_jobs_do_not_stop_a_pipeline(
    pipeline: "Pipeline", wait_for: WaitFor, runner: str, later: bool
) -> None:
    """Used to fail, every time, because at most one row was expected. The newest one is resumed."""
    killed_at_page_2(pipeline, wait_for)
    columns = "name, source_name, stream_name, sync_mode, attempt, total_records_to_fetch, updated_at, status"
    pipeline.in_state(
        f"INSERT INTO stream_jobs (id, created_at, {columns}) "
        f"SELECT 'twin', strftime('%Y-%m-%d %H:%M:%f000', created_at, ?), {columns} FROM stream_jobs",
        "+1 second" if later else "-1 second",
    )
    pipeline.run("--runner", runner)
    assert pipeline.trace() == (["page 0", "page 1"] if later else []) + ["page 2", "page 3"]
    assert pipeline.ids() == EVERYTHING
    pipeline.run("--runner", runner)
    assert pipeline.ids() == EVERYTHING
    assert pipeline.jobs()[-1] == ("succeeded", None)
