"""A server that becomes unreachable in the middle of a run, for some time or for good, and cut connections."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event, Thread
from types import TracebackType
from unittest.mock import Mock

import pytest
from engine.backend.outages import backend_in_outage
from fakes import KEY
from postgres import Place, PrivateServer
from sqlalchemy.exc import OperationalError

from bizon.common.errors.errors import BackendError, OvertakenError
from bizon.common.waiting import ends_with
from bizon.engine.backend.adapters.sqlalchemy.backend import SQLAlchemyBackend
from bizon.engine.backend.adapters.sqlalchemy.database import Contact, Database
from bizon.engine.backend.adapters.sqlalchemy.transactions import PATIENCE, Transactions
from bizon.engine.backend.config import BackendTypes
from bizon.engine.backend.models import CommitRecord, JobStatus, LeaseHolder


class Wire:
    """Sits between a backend and its server. When armed, it cuts the next commit, which may arrive; its answer is
    lost."""

    def __init__(self, place: Place) -> None:
        self._target = (place.host, place.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.arrives: bool | None = None
        self.place = replace(place, host="127.0.0.1", port=self._listener.getsockname()[1])

    def __enter__(self) -> "Wire":
        Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, _kind: type | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._listener.close()
        for end in self._open:
            end.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
            except OSError:
                return
            self._open += [client, server]
            Thread(target=self._pump, args=(client, server, True), daemon=True).start()
            Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, to_server: bool) -> None:
        try:
            while data := source.recv(65536):
                if to_server and self.arrives is not None and b"COMMIT\0" in data:
                    arrives, self.arrives = self.arrives, None
                    source.shutdown(socket.SHUT_RDWR)
                    if arrives:
                        target.sendall(data)
                        target.shutdown(socket.SHUT_WR)
                        return
                    break
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


@pytest.fixture
def wire(postgres_server: Place) -> Iterator[Wire]:
    place = postgres_server.with_own_schema()
    with Wire(place) as wire:
        yield wire
    place.drop()


@pytest.fixture
def backend(wire: Wire) -> Iterator[SQLAlchemyBackend]:
    with SQLAlchemyBackend(wire.place.details(), BackendTypes.POSTGRES) as backend:
        backend.create_all_tables()
        yield backend


def record(job_id: str, page: int, epoch: int = 0) -> CommitRecord:
    return CommitRecord(job_id, epoch, KEY, "file", page, page, 5, {"page": page + 1}, next_state={"at": page})


def committed(backend: SQLAlchemyBackend, job_id: str) -> tuple[int | None, int]:
    """The last page, and the number of rows."""
    found = backend.committed(job_id)
    return (None if found.last is None else found.last.to_source_iteration), found.rows_written


@pytest.mark.parametrize("arrives", [True, False])
def test_a_commit_whose_answer_is_lost_is_recorded_once(wire: Wire, backend: SQLAlchemyBackend, arrives: bool) -> None:
    job_id = backend.create_stream_job(KEY, "full_refresh").id
    backend.create_destination_cursor(record(job_id, 0))
    wire.arrives = arrives
    cursor = backend.create_destination_cursor(record(job_id, 1))
    assert wire.arrives is None, "nothing was cut"
    assert (cursor.from_source_iteration, cursor.rows_written, cursor.pagination) == (1, 5, {"page": 2})
    assert backend.get_last_cursor_by_job_id(job_id) == cursor
    assert committed(backend, job_id) == (1, 10)


@pytest.mark.parametrize("arrives", [True, False])
def test_a_run_that_is_superseded_while_its_answer_is_lost_notices(
    wire: Wire, backend: SQLAlchemyBackend, arrives: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = backend.create_stream_job(KEY, "full_refresh").id
    monkeypatch.setattr(backend._transactions, "_sleep", lambda _: wire_of_another.open_epoch(job_id))
    with SQLAlchemyBackend(wire.place.details(), BackendTypes.POSTGRES) as wire_of_another:
        wire.arrives = arrives
        with pytest.raises(OvertakenError):
            backend.create_destination_cursor(record(job_id, 0))
    assert committed(backend, job_id) == ((0, 5) if arrives else (None, 0))


REPEATED: dict[str, Callable[[SQLAlchemyBackend, str], object]] = {
    "create_stream_job": lambda backend, _: backend.create_stream_job(KEY, "incremental"),
    "create_source_cursor": lambda backend, job_id: backend.create_source_cursor(job_id, KEY, 1, 1, {}),
    "request_stream_reset": lambda backend, _: backend.request_stream_reset(KEY),
    "withdraw_stream_reset": lambda backend, _: backend.withdraw_stream_reset(KEY),
    "bind_stream_reset": lambda backend, job_id: backend.bind_stream_reset(KEY, job_id),
    "set_total_records": lambda backend, job_id: backend.set_total_records(job_id, 9),
    "update_stream_job_status": lambda backend, job_id: backend.update_stream_job_status(job_id, JobStatus.RUNNING),
    "open_epoch": lambda backend, job_id: backend.open_epoch(job_id),
}
COUNTS = "SELECT " + ", ".join(
    f"(SELECT count(*) FROM {name})" for name in ("stream_jobs", "source_cursors", "stream_resets")
)


@pytest.mark.parametrize("name", REPEATED)
def test_every_other_write_happens_once_too(wire: Wire, backend: SQLAlchemyBackend, name: str) -> None:
    job_id = backend.create_stream_job(KEY, "full_refresh").id
    ((jobs, cursors, resets),) = wire.place.rows(COUNTS)
    wire.arrives = True
    answer = REPEATED[name](backend, job_id)
    assert wire.arrives is None, "nothing was cut"
    more = (name == "create_stream_job", name == "create_source_cursor", name == "request_stream_reset")
    assert wire.place.rows(COUNTS) == [(jobs + more[0], cursors + more[1], resets + more[2])]
    job = backend.get_stream_job_by_id(job_id)
    assert job is not None
    assert name != "open_epoch" or answer == job.attempt


@pytest.mark.parametrize("arrives", [True, False])
def test_a_job_whose_removal_is_answered_by_nothing_is_removed(
    wire: Wire, backend: SQLAlchemyBackend, arrives: bool
) -> None:
    before = backend.create_stream_job(KEY, "incremental")
    backend.update_stream_job_status(before.id, JobStatus.CANCELED)
    job_id = backend.create_stream_job(KEY, "incremental").id
    epoch = backend.open_epoch(job_id)
    wire.arrives = arrives
    assert backend.remove_stream_job(job_id, epoch=epoch, instead_of=before)
    assert wire.arrives is None, "nothing was cut"
    assert backend.get_last_stream_job(KEY) == backend.get_stream_job_by_id(before.id)
    assert backend.get_stream_job_by_id(before.id).status is JobStatus.STARTED  # type: ignore[union-attr]


@pytest.mark.parametrize("arrives", [True, False])
def test_a_lease_whose_answer_is_lost_is_acquired(wire: Wire, backend: SQLAlchemyBackend, arrives: bool) -> None:
    holder = LeaseHolder("owner", "host", 1, "", "")
    wire.arrives = arrives
    assert backend.acquire_lease(KEY, holder, 60, lambda _: False) is None
    assert wire.arrives is None, "nothing was cut"
    lease = backend.get_lease(KEY)
    assert lease is not None
    assert (lease.holder, lease.gone) == (holder, False)


def test_a_run_waits_out_a_restart_of_half_a_minute(private_postgres: PrivateServer) -> None:
    backend, outage = backend_in_outage(private_postgres, 30)
    with backend:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        private_postgres.stop()
        backend.create_destination_cursor(record(job_id, 0))
        assert committed(backend, job_id) == (0, 5)
        assert 30 <= outage.now < PATIENCE


def test_a_server_that_stays_unreachable_is_named_after_one_wait(
    private_postgres: PrivateServer,
) -> None:
    backend, outage = backend_in_outage(private_postgres, 10_000)
    with backend:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        private_postgres.stop()
        with pytest.raises(
            BackendError, match=r"was unreachable for 6\d s; start the run again .*: .*[Cc]onnection refused"
        ):
            backend.create_destination_cursor(record(job_id, 0))
        assert PATIENCE <= outage.now < PATIENCE + 2
        waited = outage.now
        with pytest.raises(BackendError, match="cannot be used: "):
            backend.update_stream_job_status(job_id, JobStatus.FAILED)
        assert outage.now == waited
        private_postgres.start()
        backend.create_destination_cursor(record(job_id, 0))
        assert committed(backend, job_id) == (0, 5)


def test_a_run_that_must_end_waits_for_seconds_only() -> None:
    def fail() -> None:
        raise OperationalError("SELECT 1", {}, Exception("the server is unreachable"))

    now, sign = [0.0], Event()
    sign.set()
    database = Mock(spec=Database)
    database.name, database.explain.return_value, database.contact = "x", "unreachable", Contact(was_made=True)
    database.may_pass.return_value, database.is_unheard.return_value = True, False
    transactions = Transactions(
        database, sleep=lambda seconds: now.__setitem__(0, now[0] + seconds), clock=lambda: now[0]
    )
    with ends_with(sign), pytest.raises(BackendError, match="was unreachable for"):
        transactions.attempt(fail)
    assert 5 <= now[0] < 7


def test_a_heartbeat_does_not_wait(private_postgres: PrivateServer) -> None:
    backend, outage = backend_in_outage(private_postgres, 10_000)
    with backend:
        holder = LeaseHolder("owner", "host", 1, "", "")
        assert backend.acquire_lease(KEY, holder, 60, lambda _: False) is None
        private_postgres.stop()
        with pytest.raises(BackendError):
            backend.renew_lease(KEY, holder.owner, 60)
        assert outage.now == 0
        private_postgres.start()
        assert backend.renew_lease(KEY, holder.owner, 60)


def test_a_mistake_is_not_retried(private_postgres: PrivateServer) -> None:
    backend, outage = backend_in_outage(private_postgres, 10_000)
    with backend:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        backend.create_destination_cursor(record(job_id, 0))
        private_postgres.place.rows("DROP TABLE destination_cursors")
        with pytest.raises(BackendError, match="destination_cursors"):
            backend.create_destination_cursor(record(job_id, 1))
        assert outage.now == 0
