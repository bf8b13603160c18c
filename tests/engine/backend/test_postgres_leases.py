"""Leases in Postgres end with the session of their holder, and survive a session that was lost."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest
from fakes import KEY
from loguru import logger
from postgres import Place, PrivateServer
from sqlalchemy import Connection

from bizon.common.errors.errors import BackendError
from bizon.engine.backend.adapters.sqlalchemy import session_locks
from bizon.engine.backend.adapters.sqlalchemy.backend import SQLAlchemyBackend
from bizon.engine.backend.adapters.sqlalchemy.postgres import PostgresDatabase
from bizon.engine.backend.config import BackendTypes
from bizon.engine.backend.models import Lease, LeaseHolder, StreamKey

FIRST, SECOND = (
    LeaseHolder(owner, f"host of {owner}", 4711, f"place of {owner}", "9") for owner in ("first", "second")
)
LOCKS = "FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND application_name = 'bizon'"
OTHER = KEY._replace(stream_name="others")
HOUR = 3600.0


class Runs:
    """Two backends on one state: two runs, each on its own host."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.one, self.other = (SQLAlchemyBackend(place.details(), BackendTypes.POSTGRES) for _ in range(2))
        self.one.create_all_tables()
        assert self.one.acquire_lease(KEY, FIRST, HOUR, alive) is None

    def lock(self, holder: LeaseHolder = FIRST, stream: StreamKey = KEY) -> int:
        return session_locks.lease_lock(self.place.schema, stream, holder.owner)

    def lose_session(self) -> int:
        """The server ends the session of the first run. Its number, once it is gone."""
        (lost,) = self.sessions()
        self.place.rows("SELECT pg_terminate_backend(%s)", lost)
        until(lambda: self.place.rows("SELECT 1 FROM pg_stat_activity WHERE pid = %s", lost) == [])
        return lost

    def sessions(self, holder: LeaseHolder = FIRST, stream: StreamKey = KEY) -> list[int]:
        """The sessions that hold the lock of a lease."""
        key = "((classid::bigint << 32) | objid::bigint)"
        return [pid for (pid,) in self.place.rows(f"SELECT pid {LOCKS} AND {key} = %s", self.lock(holder, stream))]

    def standing(self) -> Lease:
        lease = self.other.get_lease(KEY)
        assert lease is not None
        return lease


def alive(_holder: LeaseHolder) -> bool:
    return False


def until(condition: Callable[[], bool]) -> None:
    """The server notices the end of a session a moment later."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A living holder would send two heartbeats within 40 ms."""
    monkeypatch.setattr(session_locks, "_LONGEST_BEAT", 0.02)


@pytest.fixture
def runs(postgres: Place) -> Iterator[Runs]:
    made = Runs(postgres)
    yield made
    made.one.close()
    made.other.close()


def test_a_lease_whose_holder_lives_keeps_others_out_by_its_row_and_its_session(runs: Runs) -> None:
    in_the_way = runs.other.acquire_lease(KEY, SECOND, HOUR, alive)
    assert in_the_way is not None
    assert (in_the_way.holder, in_the_way.gone) == (FIRST, False)
    assert len(runs.sessions(FIRST)) == 1
    until(lambda: runs.sessions(SECOND) == [])


@pytest.mark.lesson("F-08")
@pytest.mark.usefixtures("hasty")
def test_a_lease_whose_holder_died_on_any_host_is_taken_over_once_that_is_certain(runs: Runs) -> None:
    runs.one.close()
    until(lambda: runs.standing().gone)
    assert runs.other.acquire_lease(KEY, SECOND, HOUR, alive) is None
    assert (runs.standing().holder, runs.standing().gone) == (SECOND, False)


def test_a_holder_that_has_lost_its_session_and_is_heard_of_is_left_alone(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A time-out, a proxy or an administrator ends the session, not the run. The lease was taken over at once."""
    waits: list[float] = []
    told: list[str] = []
    logger.add(lambda line: told.append(str(line)), level="INFO", format="{message}")

    def heartbeat(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            runs.place.rows("UPDATE stream_leases SET renewed_at = renewed_at + interval '1 second'")

    monkeypatch.setattr(runs.other._transactions, "_sleep", heartbeat)
    runs.lose_session()
    in_the_way = runs.other.acquire_lease(KEY, SECOND, HOUR, alive)
    assert in_the_way is not None
    assert (in_the_way.holder, in_the_way.gone) == (FIRST, True), "it has no other session yet, and was heard of"
    assert len(waits) == 3
    assert [line.partition(";")[0] for line in told] == ["The run on host 'host of first' has lost its session"]


def test_a_holder_that_opens_another_session_meanwhile_is_left_alone(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def heartbeat(_seconds: float) -> None:
        assert runs.one.renew_lease(KEY, FIRST.owner, HOUR)

    monkeypatch.setattr(runs.other._transactions, "_sleep", heartbeat)
    runs.lose_session()
    in_the_way = runs.other.acquire_lease(KEY, SECOND, HOUR, alive)
    assert in_the_way is not None
    assert (in_the_way.holder, in_the_way.gone) == (FIRST, False)


def test_a_heartbeat_renews_the_row_although_no_session_can_be_opened(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object) -> None:
        raise BackendError("too many connections")

    before = runs.standing().renewed_at
    monkeypatch.setattr(runs.one._database, "prove_alive", none_left)
    with pytest.raises(BackendError, match="too many connections"):
        runs.one.renew_lease(KEY, FIRST.owner, HOUR)
    after = runs.standing().renewed_at
    assert before is not None
    assert after is not None
    assert after > before


def test_a_holder_must_be_silent_twice_before_it_counts_as_dead() -> None:
    for ttl in (1.0, 8.0, 60.0, HOUR):
        beat = session_locks.heartbeat_interval(ttl)
        assert beat <= min(ttl / 4, 5)
        assert 2 * beat <= session_locks.longest_silence(ttl) <= min(ttl / 2, 10)


def test_a_session_that_is_idle_for_longer_than_the_server_allows_is_kept(private_postgres: PrivateServer) -> None:
    place = private_postgres.place
    if not place.rows("SELECT 1 FROM pg_settings WHERE name = 'idle_session_timeout'"):
        pytest.skip("PostgreSQL 13 has no idle_session_timeout")
    place.rows("ALTER ROLE CURRENT_USER SET idle_session_timeout = '100ms'")
    runs = Runs(place)
    try:
        (session,) = runs.sessions()
        others = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bizon' AND pid <> %s"
        until(lambda: place.rows(others, session) == [(0,)])
        assert runs.sessions() == [session]
        assert not runs.standing().gone
    finally:
        runs.one.close()
        runs.other.close()
        place.rows("ALTER ROLE CURRENT_USER RESET idle_session_timeout")


def test_a_released_lease_leaves_no_session(runs: Runs) -> None:
    runs.one.release_lease(KEY, FIRST.owner)
    assert runs.other.get_lease(KEY) is None
    until(lambda: runs.sessions() == [])


def test_a_run_that_shares_connections_ends_its_own_sessions_alone(runs: Runs) -> None:
    with runs.one.beside() as beside:
        assert beside.acquire_lease(OTHER, SECOND, HOUR, alive) is None
        assert len(runs.sessions(SECOND, OTHER)) == 1
    until(lambda: runs.sessions(SECOND, OTHER) == [])
    assert len(runs.sessions()) == 1
    assert runs.one.get_lease(OTHER) is not None


def test_a_heartbeat_replaces_a_session_that_was_lost(runs: Runs) -> None:
    lost = runs.lose_session()
    assert runs.standing().gone
    assert runs.one.renew_lease(KEY, FIRST.owner, HOUR)
    assert not runs.standing().gone
    (found,) = runs.sessions()
    assert found != lost


def test_a_heartbeat_keeps_the_session(runs: Runs) -> None:
    before = runs.sessions()
    for _ in range(3):
        assert runs.one.renew_lease(KEY, FIRST.owner, HOUR)
    assert runs.sessions() == before


@pytest.mark.usefixtures("hasty")
def test_a_run_whose_lease_was_taken_over_in_between_does_not_get_it_back(runs: Runs) -> None:
    runs.lose_session()
    assert runs.other.acquire_lease(KEY, SECOND, HOUR, alive) is None
    assert not runs.one.renew_lease(KEY, FIRST.owner, HOUR)
    assert (runs.standing().holder, runs.standing().gone) == (SECOND, False)
    until(lambda: runs.sessions(FIRST) == [])


def test_the_faster_of_a_heartbeat_and_a_takeover_wins(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The heartbeat comes between the check and the takeover."""
    look = session_locks.is_gone

    def heartbeat_after_the_look(*arguments: object) -> bool:
        gone = look(*arguments)  # type: ignore[arg-type]
        monkeypatch.undo()
        assert gone
        assert runs.one.renew_lease(KEY, FIRST.owner, HOUR)
        return gone

    runs.lose_session()
    monkeypatch.setattr("bizon.engine.backend.adapters.sqlalchemy.lease_table.is_gone", heartbeat_after_the_look)
    in_the_way = runs.other.acquire_lease(KEY, SECOND, HOUR, alive)
    assert in_the_way is not None
    assert (in_the_way.holder, in_the_way.gone) == (FIRST, False)


def test_a_lock_that_a_pooler_has_left_in_another_session_counts_until_the_lease_expires(runs: Runs) -> None:
    with runs.place.connect() as of_the_pooler:
        runs.lose_session()
        of_the_pooler.execute("SELECT pg_advisory_lock(%s)", (runs.lock(),))
        assert runs.one.renew_lease(KEY, FIRST.owner, HOUR)
        runs.one.close()
        assert not runs.standing().gone
        runs.place.rows("UPDATE stream_leases SET expires_at = renewed_at")
        assert runs.other.acquire_lease(KEY, SECOND, HOUR, alive) is None


class Pooler:
    """Gives each statement the next of its sessions, as pgbouncer may in transaction mode, and keeps them."""

    def __init__(self, sessions: list[Connection]) -> None:
        self._sessions = cycle(sessions)

    def execute(self, *arguments: Any) -> Any:
        return next(self._sessions).execute(*arguments)

    def close(self) -> None:
        """The client closes its connection to the pooler, and no session ends."""


@pytest.mark.parametrize("of_the_pool", [1, 2, 3])
def test_a_run_that_ends_leaves_no_lock_in_the_sessions_of_a_pooler(
    postgres: Place, monkeypatch: pytest.MonkeyPatch, of_the_pool: int
) -> None:
    runs = Runs(postgres)
    connect = session_locks.SessionLocks._connect
    database = runs.one._database
    assert isinstance(database, PostgresDatabase)
    sessions = [connect(database._locks) for _ in range(of_the_pool)]
    monkeypatch.setattr(session_locks.SessionLocks, "_connect", lambda _locks: Pooler(sessions))
    try:
        runs.one.release_lease(KEY, FIRST.owner)
        assert runs.one.acquire_lease(KEY, FIRST, HOUR, alive) is None
        assert len(runs.sessions()) == 1
        runs.one.close()
        assert runs.sessions() == []
    finally:
        for session in sessions:
            session.close()
        runs.other.close()


def test_after_a_restart_of_the_server_a_lease_counts_until_its_holder_is_heard_of_or_it_expires(
    private_postgres: PrivateServer,
) -> None:
    runs = Runs(private_postgres.place)
    try:
        private_postgres.stop()
        private_postgres.start()
        assert not runs.standing().gone
        assert runs.one.renew_lease(KEY, FIRST.owner, HOUR)
        assert len(runs.sessions()) == 1
        runs.one.close()
        until(lambda: runs.standing().gone)
    finally:
        runs.one.close()
        runs.other.close()


def test_a_server_without_advisory_locks_is_refused(postgres: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_locks, "_TAKE", session_locks.text("SELECT true OR :lock = 0"))
    with SQLAlchemyBackend(replace(postgres).details(), BackendTypes.POSTGRES) as backend:
        backend.create_all_tables()
        with pytest.raises(BackendError, match="has no advisory locks"):
            backend.acquire_lease(KEY, FIRST, HOUR, alive)
        assert backend.get_lease(KEY) is None
