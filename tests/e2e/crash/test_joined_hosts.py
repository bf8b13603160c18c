"""Commands that join a job from several hosts, one of which is cut off for longer than its lease: each record is there
once, one of them has published, and the command that comes back says that another one has its part.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from e2e.crash.crash_kit import Rig, Row
from e2e.crash.hosts import Host, Network, network_or_skip
from e2e.crash.test_joined import JOIN, results
from e2e.crash.test_joined_postgres import StateInPostgres, check
from e2e.crash.test_joined_tables import PostgresTable
from postgres import private_server

LEASE_TTL = 1.5  # seconds
LONGEST = 240.0  # seconds
PAGES, PARTS = 24, 8
SOURCE = {"pages": PAGES, "partitions": PARTS}
TAKEN_OVER = "was taken over by another worker, which finishes it"
HELD = "SELECT number, epoch FROM stream_partitions WHERE worker IS NOT NULL AND host = %s"
TAKEN = "SELECT 1 FROM stream_partitions WHERE number = %s AND epoch > %s"
pytestmark = [pytest.mark.timeout(900)]


class OnHosts(StateInPostgres):
    """A pipeline whose commands run on hosts; the state is where all of them reach it."""

    host: Host

    def command(self, *flags: str) -> list[str]:
        return self.host.command(super().command(*flags))


class TableOnHosts(OnHosts):
    """The same into a table, which is there, too."""

    @property
    def table(self) -> PostgresTable:
        found = PostgresTable(self.folder, "full_refresh", "json")
        found.place, found.destination = replace(self.place, schema="public"), {}
        return found

    @property
    def destination_block(self) -> dict[str, Any]:
        return self.table.destination_block

    def rows(self) -> list[Row] | None:
        return self.table.rows()

    def leftovers(self) -> list[str]:
        return self.table.leftovers()


@contextmanager
def hosts(folder: Path, count: int, kind: type[OnHosts] = OnHosts, **source: Any) -> Iterator[tuple[Network, OnHosts]]:
    """Within: this many hosts, and a pipeline whose state is on a server that they reach."""
    with network_or_skip(count) as network, private_server("hosts must reach it", network.address) as server:
        rig = kind(folder, "full_refresh", "json", **{**SOURCE, **source})
        rig.place, rig.lease_ttl = server.place.with_own_schema(), LEASE_TTL
        yield network, rig


@contextmanager
def commands_on(rig: OnHosts, hosts: list[Host]) -> Iterator[list[Any]]:
    """Within: a command on each host works on the same job. Each has a log of its own."""
    with ExitStack() as until_ended:
        started = []
        for number, host in enumerate(hosts):
            rig.host, rig.log_file = host, rig.folder / f"log-{host.name}.txt"
            command = rig.started(None, JOIN, "--join-id", "once", "--result-json", f"result-{number}.json")
            started.append(until_ended.enter_context(command))
        yield started


def log_of(rig: Rig, host: Host) -> str:
    return (rig.folder / f"log-{host.name}.txt").read_text()


def wait_until(holds: Callable[[], Any], rig: Rig) -> None:
    until = time.monotonic() + LONGEST
    while not holds():
        assert time.monotonic() < until, rig.log()
        time.sleep(0.05)


def cut_off_with_a_part(rig: OnHosts, host: Host) -> None:
    """Cut a host off while its command works on a part, until somebody else has the part."""
    wait_until(lambda: has_tables(rig) and rig.place.rows(HELD, host.name), rig)
    host.cut_off()
    held = rig.place.rows(HELD, host.name)
    assert held, "the part was finished in the moment of the cut"
    wait_until(lambda: rig.place.rows(TAKEN, *held[0]), rig)


def has_tables(rig: OnHosts) -> bool:
    return rig.place.rows("SELECT to_regclass(%s)", f"{rig.place.quoted_schema}.stream_partitions") != [(None,)]


@pytest.mark.matrix(share=6)
@pytest.mark.parametrize("kind", [OnHosts, TableOnHosts])
def test_a_host_that_is_cut_off_for_longer_than_its_lease_and_comes_back_changes_nothing(
    tmp_path: Path, kind: type[OnHosts]
) -> None:
    with hosts(tmp_path, 3, kind, delay=0.7) as (network, rig), commands_on(rig, network.hosts) as commands:
        away = network.hosts[0]
        cut_off_with_a_part(rig, away)
        away.let_back()
        assert [each.wait(LONGEST) for each in commands] == [0, 0, 0], rig.log()
        check(rig)
        assert sum(each["published"] for each in results(rig)) == 1
        assert TAKEN_OVER in log_of(rig, away)
        assert "this one stops" not in rig.log()
        assert "Pipeline finished with status Success" in log_of(rig, away)


@pytest.mark.matrix(share=6)
@pytest.mark.parametrize("kind", [OnHosts, TableOnHosts])
def test_four_hosts_finish_without_one_that_never_comes_back(tmp_path: Path, kind: type[OnHosts]) -> None:
    with hosts(tmp_path, 4, kind, delay=0.7) as (network, rig), commands_on(rig, network.hosts) as commands:
        away = network.hosts[0]
        cut_off_with_a_part(rig, away)
        assert [each.wait(LONGEST) for each in commands[1:]] == [0, 0, 0], rig.log()
        assert commands[0].poll() is None, "it still waits for the state"
        check(rig)
    assert "Traceback" not in rig.log()


@pytest.mark.matrix(share=0)
def test_a_host_that_finds_the_job_published_when_it_comes_back_ends_well(tmp_path: Path) -> None:
    with hosts(tmp_path, 3, delay=0.3) as (network, rig), commands_on(rig, network.hosts) as commands:
        away = network.hosts[0]
        cut_off_with_a_part(rig, away)
        assert [each.wait(LONGEST) for each in commands[1:]] == [0, 0], rig.log()
        away.let_back()
        assert commands[0].wait(LONGEST) == 0, rig.log()
        check(rig)
        assert "published by another command" in log_of(rig, away)
