"""The ``postgres`` destination when the server, the network or the rights are not as they should be."""

import logging
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from connectors.destinations.postgres.kit import block, load, rows_of
from connectors.destinations.table_kit import FULL_REFRESH, MODES, STREAM, page, pipeline
from postgres import PASSWORD, Place, PrivateServer
from proxy import Proxy

from bizon.common.errors.errors import DestinationConnectionError, DestinationWriteError, FinalizeError
from bizon.connectors.destinations.postgres.src import connection
from bizon.connectors.destinations.postgres.src.config import PostgresDetailsConfig
from bizon.connectors.destinations.postgres.src.errors import explained, is_transient, lost_a_race
from bizon.source.config import SourceSyncModes


@pytest.fixture
def proxy(postgres: Place) -> Iterator[Proxy]:
    with Proxy(postgres.host, postgres.port) as made:
        yield made


def ids(place: Place) -> list[Any]:
    return sorted(row["id"] for row in rows_of(place))


@pytest.mark.parametrize("mode", MODES)
def test_a_connection_that_is_cut_is_opened_again(postgres: Place, proxy: Proxy, mode: SourceSyncModes) -> None:
    with pipeline(block(replace(postgres, port=proxy.port)), mode) as into:
        job = into.job()
        job.start()
        job.commit(0, page({"id": 1}))
        proxy.cut()
        with pytest.raises(DestinationWriteError) as lost:
            job.write(1, page({"id": 2}))
        assert lost.value.retryable
        proxy.restore()
        job.commit(1, page({"id": 2}))
        job.end()
    assert ids(postgres) == [1, 2]


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_falls_silent_is_given_up_and_the_write_repeated(
    postgres: Place, proxy: Proxy, mode: SourceSyncModes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer, which nobody receives, may be that the rows are written."""
    monkeypatch.setattr(connection, "_GRACE", 0.2)
    with pipeline(block(replace(postgres, port=proxy.port), statement_timeout=1), mode) as into:
        job = into.job()
        job.start()
        job.commit(0, page({"id": 1}))
        proxy.stall()
        with pytest.raises(DestinationWriteError, match=r"the server has not answered for 1\.2 s") as silent:
            job.write(1, page({"id": 2}))
        assert silent.value.retryable
        proxy.resume()
        job.commit(1, page({"id": 2}))
        job.end()
    assert ids(postgres) == [1, 2]


@pytest.mark.parametrize("mode", MODES)
def test_a_brief_outage_of_the_server_loses_nothing(private_postgres: PrivateServer, mode: SourceSyncModes) -> None:
    place = private_postgres.place
    with pipeline(block(place), mode) as into:
        job = into.job()
        job.start()
        job.commit(0, page({"id": 1}))
        private_postgres.stop()
        with pytest.raises(DestinationWriteError) as down:
            job.write(1, page({"id": 2}))
        assert down.value.retryable
        private_postgres.start()
        job.commit(1, page({"id": 2}))
        job.end()
    assert ids(place) == [1, 2]


def test_the_wait_for_a_held_lock_is_bounded_and_publishing_can_be_repeated(postgres: Place) -> None:
    load(postgres, FULL_REFRESH, page({"id": 1}))
    with pipeline(block(postgres, lock_timeout=1), FULL_REFRESH) as into, closing(postgres.connect()) as reader:
        into.has_history = True
        job = into.job()
        job.start()
        job.commit(0, page({"id": 2}))
        reader.execute("SET application_name = 'a report'")
        reader.execute("BEGIN")
        reader.execute("SELECT FROM items")  # it reads, and does not end
        held = (
            rf"session {reader.info.backend_pid} \(user '{postgres.username}', a report\) holds AccessShareLock on "
            rf"table 'items' of schema '.*', and `lock_timeout` of 1 s is over. Let it end, or .*pg_terminate_backend"
        )
        with pytest.raises(FinalizeError, match=held):
            job.publish()
        assert ids(postgres) == [1]
        reader.execute("COMMIT")
        job.publish()
    assert ids(postgres) == [2]


def test_a_reader_does_not_keep_a_run_from_publishing_where_rows_are_copied(postgres: Place) -> None:
    load(postgres, FULL_REFRESH, page({"id": 1}))
    postgres.rows("GRANT SELECT ON items TO PUBLIC")
    with closing(postgres.connect()) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT FROM items")
        load(postgres, FULL_REFRESH, page({"id": 2}), lock_timeout=1)
    assert ids(postgres) == [2]


def test_pipelines_that_create_the_same_schema_at_once_all_succeed(postgres: Place) -> None:
    """``IF NOT EXISTS`` does not wait for a session that creates the same table: one of the two gets an error."""
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            with pipeline(block(postgres, destination_id=f"t{number}"), STREAM, f"p{number}") as into:
                into.load(page({"id": number}))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert [rows_of(postgres, f"t{number}")[0]["id"] for number in range(6)] == list(range(6))


def test_a_table_whose_row_type_another_session_has_created_is_a_lost_race(postgres: Place) -> None:
    postgres.rows(f"CREATE SCHEMA {postgres.quoted_schema}")
    postgres.rows("CREATE TYPE twice AS (n int)")
    with pytest.raises(psycopg.Error, match="already exists") as found:
        postgres.rows("CREATE TYPE twice AS (n int)")
    assert lost_a_race(found.value)


def test_a_role_without_rights_learns_which_it_needs(private_postgres: PrivateServer) -> None:
    place, role = private_postgres.place, f"reader_{uuid4().hex[:8]}"
    place.rows(f"CREATE ROLE {role} LOGIN PASSWORD 'reader'")
    with (
        pipeline(block(replace(place, username=role, password="reader")), FULL_REFRESH) as into,
        pytest.raises(DestinationConnectionError, match=rf"role '{role}' needs CREATE on the database"),
    ):
        into.load(page({"id": 1}))


def test_a_look_creates_nothing_and_finds_what_a_run_would_miss(private_postgres: PrivateServer) -> None:
    place, role = private_postgres.place, f"looker_{uuid4().hex[:8]}"
    place.rows(f"CREATE ROLE {role} LOGIN PASSWORD 'looker'")
    place.rows(f"CREATE SCHEMA {role}")
    for who, schema in ((place, place.schema), (replace(place, username=role, password="looker"), role)):
        with pipeline(block(replace(who, schema=schema)), FULL_REFRESH) as into:
            looks = into.open("a look")
            looks.only_looks = True
            if who is place:
                assert looks.check_connection() is True
            else:
                with pytest.raises(DestinationConnectionError, match=rf"'{role}' needs USAGE and CREATE on schema"):
                    looks.check_connection()
    assert place.rows("SELECT FROM pg_namespace WHERE nspname = %s", place.schema) == []


@pytest.mark.parametrize("mode", MODES)
def test_settings_of_a_role_that_would_change_values_or_promises_do_not_apply(
    private_postgres: PrivateServer, mode: SourceSyncModes
) -> None:
    place, role = private_postgres.place, f"odd_{uuid4().hex[:8]}"
    place.rows(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'odd'")
    for setting in ODD:
        place.rows(f"ALTER ROLE {role} SET {setting}")
    values = {"id": 1, "t": "2024-05-06T00:00:00.000001Z", "d": "2024-05-06", "f": 0.1 + 0.2, "x": "a\\b\t"}
    declared = [{"destination_id": "items", "record_schema": [{"name": "b", "type": "bytes"}]}]
    more = {"verify": "values", "record_schemas": declared}
    load(replace(place, username=role, password="odd"), mode, page({**values, "b": "AP9c"}), **more)
    found = place.rows("SELECT t, d, f, x FROM items WHERE b = '\\x00ff5c'")
    assert found == [(datetime(2024, 5, 6, 0, 0, 0, 1, UTC), date(2024, 5, 6), 0.1 + 0.2, "a\\b\t")]


def test_the_server_gives_up_a_host_that_vanished_before_others_give_up_its_locks(postgres: Place) -> None:
    """The settings hold within a transaction, since behind a pooler others use the session, too."""
    details = block(postgres).config
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_user_timeout")
    with closing(connection.connect(details)) as made, made.cursor() as cursor:
        idle, interval, unheard = (
            int(cursor.execute("SELECT setting FROM pg_settings WHERE name = %s", (name,)).fetchone()[0])
            for name in names
        )
    assert 0 < idle + interval < details.lock_timeout
    assert 0 < unheard < details.lock_timeout * 1000


ODD = [
    "DateStyle = 'SQL, DMY'",
    "TimeZone = 'Asia/Kathmandu'",
    "extra_float_digits = -5",
    "default_transaction_isolation = 'serializable'",
    "default_transaction_read_only = on",
    "synchronous_commit = off",
    "search_path = pg_catalog",
    "standard_conforming_strings = off",
    "bytea_output = 'escape'",
    "client_encoding = 'LATIN1'",
]


def test_no_secret_is_in_an_error_or_a_log(private_postgres: PrivateServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    config = block(replace(private_postgres.place, username="nobody"))
    with pipeline(config, FULL_REFRESH) as into, pytest.raises(DestinationConnectionError) as refused:
        into.load(page({"id": 1}))
    shown = f"{refused.value} {refused.value.__cause__} {config!r} {caplog.text}"
    assert 'password authentication failed for user "nobody"' in shown
    assert PASSWORD not in shown


def test_a_database_that_does_not_hold_every_text_is_refused(private_postgres: PrivateServer) -> None:
    place, name = private_postgres.place, f"latin_{uuid4().hex[:8]}"
    place.rows(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    with (
        pipeline(block(replace(place, database=name)), FULL_REFRESH) as into,
        pytest.raises(DestinationConnectionError, match="the encoding of the database is LATIN1"),
    ):
        into.load(page({"id": 1}))


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (psycopg.errors.DeadlockDetected("deadlock detected"), True),
        (psycopg.errors.LockNotAvailable("canceling statement due to lock timeout"), True),
        (psycopg.errors.AdminShutdown("terminating connection"), True),
        (psycopg.errors.IdleInTransactionSessionTimeout("terminating connection"), True),
        (psycopg.errors.TooManyConnections("too many"), True),
        (psycopg.OperationalError("connection refused"), True),
        (psycopg.OperationalError("FATAL:  the database system is starting up"), True),
        (psycopg.OperationalError('FATAL:  password authentication failed for user "x"'), False),
        (psycopg.OperationalError('FATAL:  database "x" does not exist'), False),
        (psycopg.InterfaceError("the connection is closed"), True),
        (psycopg.errors.DiskFull("could not extend file"), False),
        (psycopg.errors.NotNullViolation("null value"), False),
        (psycopg.errors.QueryCanceled("canceling statement due to statement timeout"), False),
        (ValueError("not of the driver"), False),
    ],
)
def test_a_transient_error_is_retried(error: Exception, passes: bool) -> None:
    assert is_transient(error) is passes


def test_an_error_is_one_line_with_its_remedy() -> None:
    config = PostgresDetailsConfig(host="h", database="d", username="u")
    text = explained(psycopg.errors.QueryCanceled("canceling statement\ndue to statement timeout"), config)
    assert text == (
        "canceling statement due to statement timeout; raise `statement_timeout`, which is 3600 s, and run again: the "
        "run resumes"
    )
    assert explained(psycopg.OperationalError(), config) == "OperationalError"
