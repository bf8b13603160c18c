"""Commands that join a job whose state is in Postgres: as on several hosts, and with a server that restarts."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from e2e.crash.crash_kit import Rig
from e2e.crash.test_joined import JOIN, LONGEST, PAGES, PARTS, commands_of, results, wait_for, wait_for_pages
from e2e.crash.test_partitions_crash import fetched
from postgres import Place, PrivateServer
from proxy import Proxy

ELSEWHERE = "UPDATE stream_partitions SET host = 'elsewhere', place = 'another boot' WHERE worker IS NOT NULL"


class StateInPostgres(Rig):
    """The pipeline of the crash tests, with its state in a schema."""

    place: Place

    @property
    def backend_block(self) -> dict[str, Any]:
        return self.place.config()

    def statuses(self) -> list[str]:
        return [status for (status,) in self.place.rows("SELECT status FROM stream_jobs ORDER BY created_at")]


def rig_in(place: Place, folder: Path, **source: Any) -> StateInPostgres:
    rig = StateInPostgres(folder, "full_refresh", "json", **{"pages": PAGES, "partitions": PARTS, **source})
    rig.place = place
    return rig


def check(rig: StateInPostgres) -> None:
    assert rig.rows() == rig.expected()
    assert rig.leftovers() == []
    assert rig.statuses() == ["succeeded"], rig.log()
    found = rig.place.rows("SELECT partition_number, to_source_iteration FROM destination_cursors ORDER BY 1, 2")
    assert len(found) == rig.source["pages"]
    assert len({*found}) == rig.source["pages"]
    assert "Traceback" not in rig.log()


def test_commands_share_a_job_whose_state_is_in_postgres(tmp_path: Path, postgres: Place) -> None:
    rig = rig_in(postgres, tmp_path, delay=0.03)
    with commands_of(rig, 3) as commands:
        assert [each.wait(LONGEST) for each in commands] == [0, 0, 0], rig.log()
    check(rig)
    assert sorted(fetched(rig)) == [*range(PAGES)]
    assert sum(each["published"] for each in results(rig)) == 1


def test_the_part_of_a_command_that_died_on_another_host_is_taken_once_its_lease_expires(
    tmp_path: Path, postgres: Place
) -> None:
    rig = rig_in(postgres, tmp_path)
    rig.lease_ttl = 1.0
    with rig.started("after_cursor:2", JOIN) as killed:
        assert killed.wait(LONGEST) == -signal.SIGKILL, rig.log()
    postgres.rows(ELSEWHERE)
    assert rig.run(None, JOIN) == 0, rig.log()
    check(rig)


def test_a_server_that_restarts_costs_a_joined_job_nothing(tmp_path: Path, private_postgres: PrivateServer) -> None:
    rig = rig_in(private_postgres.place, tmp_path, delay=0.2)
    with commands_of(rig, 2) as commands:
        wait_for_pages(rig, 3)
        private_postgres.stop(signal.SIGQUIT)
        assert [each.poll() for each in commands] == [None, None], rig.log()
        private_postgres.start()
        assert [each.wait(LONGEST) for each in commands] == [0, 0], rig.log()
    check(rig)


@pytest.mark.matrix(share=2)
@pytest.mark.parametrize("runner", ["thread", "process"])
def test_a_command_whose_first_connection_to_the_state_is_broken_off_joins_later(
    tmp_path: Path, private_postgres: PrivateServer, runner: str
) -> None:
    place = private_postgres.place
    private_postgres.stop()
    with Proxy(place.host, place.port) as proxy:
        rig = rig_in(replace(place, host=proxy.host, port=proxy.port), tmp_path)
        rig.runner, rig.producers = runner, 2
        with commands_of(rig, 1) as (command,):
            wait_for(lambda: proxy.accepted > 1, rig)
            private_postgres.start()
            assert command.wait(LONGEST) == 0, rig.log()
        check(rig)
