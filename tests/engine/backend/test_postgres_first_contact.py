"""The first connection of a process to the state: an outage is waited out, and a mistake in the address is named at
once."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from engine.backend.outages import NEVER, Outage, unopened
from fakes import KEY, pipeline
from postgres import Place, PrivateServer
from proxy import Proxy

from bizon.common.errors.errors import BackendError
from bizon.engine.backend.adapters.sqlalchemy import transactions
from bizon.engine.backend.adapters.sqlalchemy.backend import SQLAlchemyBackend
from bizon.engine.backend.adapters.sqlalchemy.transactions import PATIENCE
from bizon.engine.backend.config import BackendTypes
from bizon.engine.config import EngineConfig
from bizon.engine.runner.assembly import SharedState

AT_ONCE, SECONDS = 0.0, 5.0


@pytest.fixture
def proxy(private_postgres: PrivateServer) -> Iterator[Proxy]:
    """Breaks off each connection while the server is down."""
    with Proxy(private_postgres.place.host, private_postgres.place.port) as between:
        yield between


@pytest.fixture
def behind(proxy: Proxy, private_postgres: PrivateServer) -> Place:
    """The server, as it is seen through the proxy."""
    return replace(private_postgres.place, host=proxy.host, port=proxy.port)


def works(backend: SQLAlchemyBackend) -> bool:
    job = backend.create_stream_job(KEY, "full_refresh")
    return backend.get_last_stream_job(KEY) == job


def test_a_first_connection_that_is_broken_off_is_made_again(private_postgres: PrivateServer, behind: Place) -> None:
    """A command whose first connection broke used to end, and one whose second connection broke did not."""
    private_postgres.stop()
    backend, outage = unopened(private_postgres, 30, behind)
    with backend:
        backend.create_all_tables()
        assert 30 <= outage.now < PATIENCE
        assert works(backend)


@pytest.mark.matrix(share=2, pool="first contacts")
def test_connections_that_are_all_broken_off_are_named_after_one_wait(
    private_postgres: PrivateServer, behind: Place
) -> None:
    private_postgres.stop()
    backend, outage = unopened(private_postgres, NEVER, behind)
    with backend:
        with pytest.raises(BackendError, match=r"was unreachable for 6\d s; start the run again when it is back: "):
            backend.create_all_tables()
        assert PATIENCE <= outage.now < PATIENCE + 2
        waited = outage.now
        for each in (backend, outage.met_by(backend.beside())):
            with pytest.raises(BackendError, match="cannot be used: "):
                each.create_all_tables()
        assert outage.now == waited, "the runs of other streams do not wait as long again"


@pytest.mark.matrix(share=2, pool="first contacts")
def test_a_server_that_restarts_may_also_refuse_connections(
    private_postgres: PrivateServer, proxy: Proxy, behind: Place
) -> None:
    private_postgres.stop()
    backend, outage = unopened(private_postgres, NEVER, behind)
    sleep = outage.sleep

    def restarting(seconds: float) -> None:
        sleep(seconds)
        if outage.now > 1:
            proxy.cut()
        if outage.now > 30:
            proxy.restore()
            private_postgres.start()

    outage.sleep = restarting  # type: ignore[method-assign]
    with outage.met_by(backend):
        backend.create_all_tables()
        assert 30 < outage.now < PATIENCE
        assert works(backend)


@pytest.mark.matrix(share=2, pool="first contacts")
def test_a_port_that_is_opened_within_seconds_is_waited_for(private_postgres: PrivateServer) -> None:
    private_postgres.stop()
    backend, outage = unopened(private_postgres, 3)
    with backend:
        backend.create_all_tables()
        assert 3 <= outage.now < SECONDS
        assert works(backend)


@pytest.mark.matrix(share=2, pool="first contacts")
def test_a_port_at_which_nothing_ever_listens_is_named_within_seconds(private_postgres: PrivateServer) -> None:
    private_postgres.stop()
    backend, outage = unopened(private_postgres, NEVER)
    with backend, pytest.raises(BackendError, match=r"cannot be used: .*[Cc]onnection refused"):
        backend.create_all_tables()
    assert SECONDS <= outage.now < SECONDS + 2


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "password": ({"password": "wrong"}, "password authentication failed"),
    "database": ({"database": "nowhere"}, "does not exist"),
    "host": ({"host": "no-such-host.invalid"}, "no-such-host.invalid"),
    "password, of a host with an address that refuses": (
        {"host": "127.0.0.2,127.0.0.1", "password": "wrong"},
        "password authentication failed",
    ),
}


@pytest.mark.matrix(share=4)
@pytest.mark.lesson("F-27")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_at_once(private_postgres: PrivateServer, mistake: str) -> None:
    changes, told = MISTAKES[mistake]
    backend, outage = unopened(private_postgres, NEVER, replace(private_postgres.place, **changes))
    with backend, pytest.raises(BackendError, match=told):
        backend.create_all_tables()
    assert outage.now == AT_ONCE


@pytest.mark.matrix(share=2, pool="first contacts")
def test_the_next_run_on_the_same_connections_waits_as_long(private_postgres: PrivateServer) -> None:
    """As the streams of a file have one state."""
    backend, outage = unopened(private_postgres, 30)
    with backend:
        backend.create_all_tables()
        private_postgres.stop()
        with outage.met_by(backend.beside()) as other:
            assert works(other)
        assert 30 <= outage.now < PATIENCE


@pytest.mark.matrix(share=2, pool="first contacts")
def test_a_process_of_a_run_that_has_reached_the_state_waits_like_the_run(private_postgres: PrivateServer) -> None:
    private_postgres.stop()
    outage = Outage(private_postgres, 30)
    details = private_postgres.place.details()
    with outage.met_by(SQLAlchemyBackend(details, BackendTypes.POSTGRES, was_reached=True)) as backend:
        backend.create_all_tables()
        assert 30 <= outage.now < PATIENCE


def test_one_of_several_streams_waits_for_a_state_in_vain(
    private_postgres: PrivateServer, proxy: Proxy, behind: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "PATIENCE", 0.5)
    private_postgres.stop()
    engine = {"backend": behind.config(sslmode="disable")}
    with SharedState(pipeline().model_copy(update={"engine": EngineConfig.model_validate(engine)})) as state:
        with pytest.raises(BackendError, match="was unreachable for"):
            state.backend()
        before = proxy.accepted
        assert before > 1
        with pytest.raises(BackendError, match="cannot be used"):
            state.backend()
        assert proxy.accepted == before + 1
        private_postgres.start()
        assert works(state.backend())  # type: ignore[arg-type]
