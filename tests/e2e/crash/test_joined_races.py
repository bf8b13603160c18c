"""Two commands that both believe it is their turn: to publish a job, or to work on a part. The output is whole at any
time, and published once."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from e2e.bigquery.conftest import WarehouseRig
from e2e.crash.crash_kit import FORMATS, Rig, thaw
from e2e.crash.test_freeze_matrix import LEASE_TTL
from e2e.crash.test_joined import (
    JOIN,
    LONGEST,
    PAGES,
    PARTS,
    check,
    commands_of,
    joined_and_frozen,
    results,
    stopped_at,
    wait_for,
    wait_for_pages,
)
from e2e.crash.test_joined_tables import SOURCE, into_postgres
from e2e.crash.test_joined_tables import check as check_table
from e2e.crash.test_partitions_crash import fetched, query, rig_of
from postgres import Place

LONG_LEASE = 60.0  # seconds
LOST = ("was taken over by another run; this one stops", "was not replaced")
"""The words of a publisher whose turn is over: it learns that by itself, or finds its staging gone."""
TURNS = [
    (mine, theirs)
    for mine in ("after_verify", "before_finalize")
    for theirs in ("after_verify", "before_finalize", "before_success")
]
"""Where the command is frozen whose turn is over, and where the other one is when it wakes up."""
JOINED = "together with all commands that join it"
DIED = "was killed by signal SIGKILL"


@contextmanager
def two_publishers(rig: Rig, mine: str, theirs: str) -> Iterator["list[subprocess.Popen[str]]"]:
    """Within: a command that has slept past its lease was woken while another one publishes, and has lost."""
    with joined_and_frozen(rig, mine) as sleeper:
        rig.lease_ttl = LONG_LEASE
        with stopped_at(rig, theirs, JOIN, "--result-json", "result-1.json") as other:
            thaw(sleeper)
            wait_for(lambda: any(sign in rig.log() for sign in LOST), rig)
            yield [sleeper, other]


def race(rig: Rig, mine: str, theirs: str) -> None:
    """Two commands try to publish the same job; the one whose turn it is does."""
    old = rig.rows()
    jobs = len(rig.statuses())
    with two_publishers(rig, mine, theirs) as (sleeper, other):
        assert rig.rows() in (old, rig.expected())
        assert rig.statuses()[jobs:] == ["running"], "nobody has published yet"
        thaw(other)
        assert [each.wait(LONGEST) for each in (sleeper, other)] == [0, 0], rig.log()
    assert [each["published"] for each in results(rig)] == [True]


@pytest.mark.matrix(share=12, pool="publishers that race")
@pytest.mark.parametrize(("mine", "theirs"), [*TURNS, ("after_ready", "after_ready"), ("after_ready", "after_verify")])
@pytest.mark.parametrize("format", FORMATS)
def test_a_publisher_that_wakes_up_while_another_one_publishes_a_file_changes_nothing(
    tmp_path: Path, format: str, mine: str, theirs: str
) -> None:
    rig = rig_of(tmp_path, format=format)
    rig.producers = 1
    race(rig, mine, theirs)
    check(rig)
    assert rig.statuses() == ["succeeded"]


@pytest.mark.matrix(share=12, pool="publishers that race")
@pytest.mark.parametrize(("mine", "theirs"), TURNS)
@pytest.mark.parametrize("how", ["append", "merge"])
def test_a_publisher_that_wakes_up_while_another_one_publishes_a_table_of_postgres_changes_nothing(
    tmp_path: Path, postgres: Place, how: str, mine: str, theirs: str
) -> None:
    rig = into_postgres(tmp_path, postgres, how)
    race(rig, mine, theirs)
    check_table(rig)


@pytest.mark.matrix(share=12, pool="publishers that race")
@pytest.mark.parametrize("theirs", ["before_finalize", "after_publishing_job"])
@pytest.mark.parametrize("destination", ["bigquery", "bigquery_inferred"])
def test_a_publisher_that_wakes_up_while_another_one_publishes_a_table_of_bigquery_changes_nothing(
    tmp_path: Path, warehouse: Any, destination: str, theirs: str
) -> None:
    rig = into_bigquery(tmp_path, warehouse, destination)
    race(rig, "before_finalize", theirs)
    check_table(rig)


@pytest.mark.matrix(share=2)
@pytest.mark.parametrize("destination", ["bigquery", "bigquery_inferred"])
def test_a_publisher_that_finds_its_staging_gone_learns_that_another_one_has_published(
    tmp_path: Path, warehouse: Any, destination: str
) -> None:
    """It used to end with exit code 1."""
    rig = into_bigquery(tmp_path, warehouse, destination)
    with joined_and_frozen(rig, "before_finalize") as sleeper:
        assert rig.run(None, JOIN) == 0, rig.log()
        thaw(sleeper)
        assert sleeper.wait(LONGEST) == 0, rig.log()
    check_table(rig)


def into_bigquery(folder: Path, warehouse: Any, destination: str) -> WarehouseRig:
    """A pipeline that has published version 1, and whose source has version 2 now."""
    rig = WarehouseRig(folder, warehouse, destination, "full_refresh", **SOURCE)
    assert rig.run(None, JOIN) == 0, rig.log()
    rig.change()
    return rig


def test_a_command_waits_while_another_one_publishes(tmp_path: Path) -> None:
    rig = rig_of(tmp_path)
    rig.producers = 1
    once = (JOIN, "--join-id", "once", "--result-json")
    with stopped_at(rig, "before_finalize", *once, "result-0.json") as publisher:
        epoch = query(rig, "SELECT attempt FROM stream_jobs")
        with rig.started(None, *once, "result-1.json") as waiting:
            wait_for(lambda: rig.log().count(JOINED) == 2, rig)
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(2)
            assert query(rig, "SELECT attempt FROM stream_jobs") == epoch, "it has not tried to publish"
            thaw(publisher)
            assert [each.wait(LONGEST) for each in (publisher, waiting)] == [0, 0], rig.log()
    check(rig)
    assert [each["published"] for each in results(rig)] == [True, False]


def test_a_part_whose_pages_take_longer_than_its_lease_stays_with_its_worker(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, pages=4, partitions=2, delay=3 * LEASE_TTL)
    rig.producers, rig.lease_ttl = 1, 2 * LEASE_TTL
    with commands_of(rig, 3) as commands:
        assert [each.wait(LONGEST) for each in commands] == [0, 0, 0], rig.log()
    check(rig)
    assert sorted(fetched(rig)) == [0, 1, 2, 3], "no page was fetched by two commands"


@pytest.mark.matrix(share=4, pool="worker processes that die")
def test_a_worker_process_that_dies_alone_leaves_its_part_to_another_command(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, "process", dies_at=8, delay=0.1)
    rig.producers = 2
    with commands_of(rig, 2) as commands:
        codes = [each.wait(LONGEST) for each in commands]
    assert sorted(codes) == [0, 1], rig.log()
    died, other = (results(rig)[codes.index(code)] for code in (1, 0))
    assert DIED in died["error"]
    assert (died["status"], died["published"], other["published"]) == ("failure", False, True)
    counted = [each["partitions"]["finished"] for each in (died, other)]
    assert counted[1] > 0
    assert sum(counted) <= PARTS, "what the process that died has finished is not counted"
    check(rig)
    assert fetched(rig).count(8) == 2, "the page at which it died was fetched again"


@pytest.mark.matrix(share=4, pool="worker processes that die")
def test_the_only_command_whose_worker_process_dies_fails_and_is_resumed(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, "process", dies_at=8)
    rig.producers = 2
    with commands_of(rig, 1) as (command,):
        assert command.wait(LONGEST) == 1, rig.log()
    (result,) = results(rig)
    assert DIED in result["error"]
    assert DIED in rig.log()
    assert rig.statuses() == ["failed"]
    assert rig.run(None, JOIN) == 0, rig.log()
    check(rig)


@pytest.mark.matrix(share=4, pool="worker processes that die")
def test_a_worker_process_that_is_killed_from_outside_is_named_with_its_signal(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, "process", delay=0.3)
    rig.producers = 2
    with commands_of(rig, 1) as (command,):
        wait_for_pages(rig, 2)
        held = query(rig, "SELECT DISTINCT pid FROM stream_partitions WHERE worker IS NOT NULL")
        (pid,) = held[0]
        assert pid != command.pid, "a child holds the part"
        os.kill(pid, signal.SIGKILL)
        assert command.wait(LONGEST) == 1, rig.log()
    assert DIED in rig.log()
    before = len(fetched(rig))
    assert rig.run(None, JOIN) == 0, rig.log()
    check(rig)
    assert len(fetched(rig)) - before < PAGES, "what the other worker had committed was not fetched again"
