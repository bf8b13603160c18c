"""One run at a time."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import KEY, memory_backend

from bizon.common.errors.errors import JobLockedError
from bizon.engine.backend.adapters.sqlalchemy.backend import SQLAlchemyBackend
from bizon.engine.backend.adapters.sqlalchemy.config import SQLiteConfigDetails
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.config import BackendTypes
from bizon.engine.backend.models import LeaseHolder, Role, StreamKey
from bizon.engine.runner.lease import SharedLease, held_lease, is_dead, lease_key, this_process

ELSEWHERE = LeaseHolder("owner-elsewhere", "other-host", 4711, "another machine", "99")


def nothing(_reason: str) -> None:
    return None


def alive(_holder: LeaseHolder) -> bool:
    return False


@pytest.fixture
def backend() -> AbstractBackend:
    return memory_backend()


def test_the_lease_is_held_for_the_run_and_released(backend: AbstractBackend) -> None:
    with held_lease(backend, KEY, 60, nothing) as holder:
        lease = backend.get_lease(KEY)
        assert lease is not None
        assert lease.holder == holder
        assert 0 < lease.expires_in <= 60
    assert backend.get_lease(KEY) is None


@pytest.mark.lesson("F-08")
def test_a_second_run_is_refused_and_learns_who_is_active(backend: AbstractBackend) -> None:
    told = rf"process {os.getpid()} on host '.+' \(owner \w{{8}}\), started \d+ s ago"
    with held_lease(backend, KEY, 60, nothing):
        with pytest.raises(JobLockedError, match=told), held_lease(backend, KEY, 60, nothing):
            pytest.fail("two runs at once")
        assert backend.get_lease(KEY) is not None, "the loser must not give back what it does not hold"


def test_streams_are_leased_separately(backend: AbstractBackend) -> None:
    other = StreamKey(KEY.name, KEY.source_name, "other")
    with held_lease(backend, KEY, 60, nothing), held_lease(backend, other, 60, nothing):
        assert backend.get_lease(other) is not None


def test_a_lease_from_another_host_is_respected_until_it_expires(backend: AbstractBackend) -> None:
    assert backend.acquire_lease(KEY, ELSEWHERE, 60, alive) is None
    with pytest.raises(JobLockedError, match="other-host"), held_lease(backend, KEY, 60, nothing):
        pytest.fail("two runs at once")
    backend.release_lease(KEY, ELSEWHERE.owner)
    assert backend.acquire_lease(KEY, ELSEWHERE, -1, alive) is None
    with held_lease(backend, KEY, 60, nothing) as holder:
        lease = backend.get_lease(KEY)
        assert lease is not None
        assert lease.holder == holder


def test_the_lease_of_a_dead_process_of_this_host_is_taken_over_at_once(backend: AbstractBackend) -> None:
    program = "from bizon.engine.runner.lease import this_process; print(this_process())"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    dead: LeaseHolder = eval(printed, {"LeaseHolder": LeaseHolder})
    assert backend.acquire_lease(KEY, dead, 3600, alive) is None
    with held_lease(backend, KEY, 60, nothing) as holder:
        lease = backend.get_lease(KEY)
        assert lease is not None
        assert lease.holder == holder


def test_only_a_certainly_dead_process_counts_as_dead() -> None:
    here = this_process()
    assert not is_dead(here)
    assert is_dead(here._replace(started="1")), "the process id was given to another process"
    assert not is_dead(here._replace(started=""))
    assert not is_dead(here._replace(place="", started="1"))
    assert not is_dead(here._replace(place="another machine", started="1"))


def test_a_run_learns_that_it_lost_its_lease(backend: AbstractBackend) -> None:
    told = threading.Event()
    with held_lease(backend, KEY, 0.1, lambda _reason: told.set()) as holder:
        backend.release_lease(KEY, holder.owner)
        backend.acquire_lease(KEY, ELSEWHERE, 60, alive)
        assert told.wait(10)
    lease = backend.get_lease(KEY)
    assert lease is not None
    assert lease.holder == ELSEWHERE


def test_the_heartbeat_keeps_the_lease(backend: AbstractBackend) -> None:
    renewals: list[bool] = []
    renew: Callable[..., bool] = backend.renew_lease

    def counted(*args: object) -> bool:
        renewals.append(renew(*args))
        return renewals[-1]

    backend.renew_lease = counted  # type: ignore[method-assign]
    with held_lease(backend, KEY, 0.04, nothing):
        deadline = time.monotonic() + 10
        while len(renewals) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert renewals[:3] == [True, True, True]


def test_the_roles_are_leased_separately(backend: AbstractBackend) -> None:
    keys = [lease_key(KEY, role) for role in Role]
    with held_lease(backend, keys[0], 60, nothing), held_lease(backend, keys[1], 60, nothing):
        for key in keys:
            with pytest.raises(JobLockedError, match=rf"process {os.getpid()} "), held_lease(backend, key, 60, nothing):
                pytest.fail("two of the same role at once")


def test_a_producer_takes_the_lease_of_a_whole_run() -> None:
    assert lease_key(KEY, Role.PRODUCER) == KEY


def test_no_two_pipelines_share_the_lease_of_a_consumer() -> None:
    """However long their names are: columns have room for 100 characters."""
    names = ["pipe", "pipe (consumer)", "x" * 80, "x" * 81, "x" * 99 + "a", "x" * 99 + "b", "x" * 300]
    found = {lease_key(StreamKey(name, "source", "stream"), Role.CONSUMER).name for name in names}
    assert len(found | set(names)) == 2 * len(names) - 1, "'pipe (consumer)' is both a name and a lease"
    assert max(map(len, found)) <= 100
    assert "pipe (consumer)" in found


@pytest.mark.lesson("F-12")
def test_one_of_several_first_starts_wins(tmp_path: Path) -> None:
    details = SQLiteConfigDetails(database=str(tmp_path / "state"))
    outcomes: list[bool] = []
    start = threading.Barrier(8)

    def contend() -> None:
        with SQLAlchemyBackend(details, BackendTypes.SQLITE) as backend:
            start.wait()
            backend.create_all_tables()
            outcomes.append(backend.acquire_lease(KEY, this_process(), 60, alive) is None)

    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 7 + [True]


def test_a_lease_that_all_who_share_it_have_lost_is_taken_back(
    backend: AbstractBackend, wait_for: Callable[[Callable[[], bool]], None]
) -> None:
    """All commands of a job were frozen, and another one resumed it: those that woke up used to end."""
    job_id = backend.create_stream_job(KEY, "full_refresh").id
    runner: Any = SimpleNamespace(config=SimpleNamespace(lease_ttl=0.2))
    config: Any = SimpleNamespace(stream_key=KEY, engine=SimpleNamespace(runner=runner))
    lease = SharedLease(backend, config, job_id)
    lease.take()
    assert backend.acquire_lease(KEY, ELSEWHERE, 0.1, lambda _holder: True) is None
    with lease.kept():
        wait_for(lambda: (found := backend.get_lease(KEY)) is not None and found.holder.owner.endswith(job_id))
