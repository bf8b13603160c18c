"""State in Postgres: its place, the rights to create it, older layouts, and leases that end with a session."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from engine.backend.older_tables import VERSION_5, VERSION_6
from fakes import KEY
from postgres import PASSWORD, Place, PrivateServer
from sqlalchemy import update

from bizon.common.errors.errors import BackendError, ConfigError, MissingDependencyError
from bizon.engine.backend.adapters.sqlalchemy import postgres_engine as adapter
from bizon.engine.backend.adapters.sqlalchemy.backend import SQLAlchemyBackend
from bizon.engine.backend.adapters.sqlalchemy.config import PostgresConfigDetails, PostgresSQLAlchemyConfig
from bizon.engine.backend.adapters.sqlalchemy.tables import stream_jobs
from bizon.engine.backend.backend import BackendFactory
from bizon.engine.backend.config import BackendTypes
from bizon.engine.backend.models import CommitRecord, LeaseHolder
from bizon.engine.engine import load_config

TABLES = [
    *["bizon_schema", "destination_cursors", "kept_tokens", "source_cursors", "stream_jobs", "stream_leases"],
    *["stream_partitions", "stream_resets"],
]
TABLES_OF = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s ORDER BY table_name"
INDEXES_OF, INDEX = "SELECT indexname FROM pg_indexes WHERE schemaname = %s", ("ix_destination_cursors_part",)
FIRST, SECOND = (
    LeaseHolder(owner, f"host of {owner}", 4711, f"place of {owner}", "9") for owner in ("first", "second")
)
Open = Callable[[Place], SQLAlchemyBackend]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens backends, with their tables, and closes them at the end."""
    with ExitStack() as until_the_end:

        def open_backend(place: Place) -> SQLAlchemyBackend:
            backend = until_the_end.enter_context(SQLAlchemyBackend(place.details(), BackendTypes.POSTGRES))
            backend.create_all_tables()
            return backend

        yield open_backend


def alive(_holder: LeaseHolder) -> bool:
    return False


def commit(backend: SQLAlchemyBackend, job_id: str, page: int, rows: int = 1, dead_letters: int = 0) -> None:
    record = CommitRecord(job_id, 0, KEY, "file", page, page, rows, {}, dead_letters=dead_letters)
    backend.create_destination_cursor(record)


def test_the_tables_are_in_the_named_schema_and_nowhere_else(postgres: Place, opened: Open) -> None:
    in_public = postgres.rows(TABLES_OF, "public")
    opened(postgres)
    assert postgres.rows(TABLES_OF, postgres.schema) == [(table,) for table in TABLES]
    assert postgres.rows(TABLES_OF, "public") == in_public


def test_schemas_are_states_of_their_own(postgres: Place, opened: Open) -> None:
    neighbour = replace(postgres, schema=f"{postgres.schema}; it's")
    try:
        here, there = opened(postgres), opened(neighbour)
        job = here.create_stream_job(KEY, "full_refresh")
        assert there.get_stream_job_by_id(job.id) is None
        assert here.acquire_lease(KEY, FIRST, 60, alive) is None
        assert there.acquire_lease(KEY, FIRST, 60, alive) is None
    finally:
        neighbour.drop()


@pytest.mark.lesson("F-27")
def test_a_password_may_have_any_character_and_is_never_shown(private_postgres: PrivateServer, opened: Open) -> None:
    """It was once pasted into the URL, and the text after an @ counted as the host."""
    place = private_postgres.place
    assert opened(place).check_prerequisites()
    assert PASSWORD not in repr(place.details()) + str(place.details().model_dump(mode="json"))
    with pytest.raises(BackendError, match="password authentication failed") as refused:
        opened(replace(place, password=f"wrong {PASSWORD}"))
    assert PASSWORD not in f"{refused.value} {refused.value.__cause__!r}"
    assert "\n" not in str(refused.value)


@pytest.mark.lesson("F-25")
def test_keys_have_the_documented_defaults_and_unknown_ones_are_refused(write_config: Callable[..., object]) -> None:
    needed = {"host": "h", "username": "u", "password": "p", "database": "d"}
    details = PostgresConfigDetails.model_validate(needed)
    assert (details.port, details.schema_name, details.sslmode) == (5432, "public", None)
    source = {
        "name": "dummy",
        "stream": "plants",
        "authentication": {"type": "api_key", "params": {"token": "t"}},
    }
    config = {"name": "n", "source": source, "destination": {"name": "logger"}}
    for mistake, told in (({"user": "u"}, "user"), ({"sslmode": "yes"}, "sslmode"), ({"port": 0}, "port")):
        block = {"backend": {"type": "postgres", "config": {**needed, **mistake}}}
        with pytest.raises(ConfigError, match=rf"engine\.backend\.config\.{told}"):
            load_config(write_config({**config, "engine": block}))


def test_without_its_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    details = PostgresConfigDetails(host="h", username="u", password="p", database="d")
    config = PostgresSQLAlchemyConfig(type=BackendTypes.POSTGRES, config=details)
    with pytest.raises(
        MissingDependencyError, match=r"backend type 'postgres' needs .*pip install 'bizon\[postgres\]'"
    ):
        BackendFactory.get_backend(config)


@pytest.mark.parametrize("there", [False, True], ids=["schema missing", "schema of somebody else"])
def test_a_right_that_is_missing_is_named(private_postgres: PrivateServer, opened: Open, there: bool) -> None:
    owner = private_postgres.place
    guest = replace(owner, username=f"guest {owner.schema[-12:]}", password="guest")
    owner.rows(f"CREATE ROLE \"{guest.username}\" LOGIN PASSWORD 'guest'")
    if there:
        owner.rows(f"CREATE SCHEMA {owner.quoted_schema}")
    with pytest.raises(BackendError, match="permission denied") as refused:
        opened(guest)
    assert f"role '{guest.username}' needs the rights USAGE and CREATE on schema '{owner.schema}'" in str(refused.value)
    if there:
        owner.rows(f'GRANT USAGE, CREATE ON SCHEMA {owner.quoted_schema} TO "{guest.username}"')
        assert opened(guest).check_prerequisites()


def test_tables_of_another_release_are_upgraded_in_place_and_its_jobs_stay(postgres: Place, opened: Open) -> None:
    stream = "name VARCHAR(100), source_name VARCHAR(100), stream_name VARCHAR(100)"
    for statement in (
        f"CREATE SCHEMA {postgres.quoted_schema}",
        f"CREATE TABLE stream_jobs (id VARCHAR(100) PRIMARY KEY, {stream}, sync_mode VARCHAR(100), "
        "created_at TIMESTAMP, status VARCHAR(100), total_records_to_fetch INTEGER)",
        "INSERT INTO stream_jobs VALUES ('old', 'pipe', 'scripted', 'items', 'incremental', '2026-01-02 03:04:05', "
        "'succeeded', 7)",
    ):
        postgres.rows(statement)
    for _ in range(2):
        backend = opened(postgres)
        job = backend.get_last_successful_stream_job(KEY)
        assert job is not None
        assert (job.id, job.attempt, job.created_at) == ("old", 0, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
        assert backend.check_prerequisites()
    backend.set_total_records("old", 5_000_000_000)
    assert backend.open_epoch("old") == 1


def test_tables_of_version_1_get_the_count_of_dead_letters_and_keep_their_cursors(
    postgres: Place, opened: Open
) -> None:
    backend = opened(postgres)
    job_id = backend.create_stream_job(KEY, "full_refresh").id
    commit(backend, job_id, 0, rows=8)
    postgres.rows("ALTER TABLE destination_cursors DROP COLUMN dead_letters")
    postgres.rows("UPDATE bizon_schema SET version = 1")
    backend = opened(postgres)
    commit(backend, job_id, 1, dead_letters=2)
    assert backend.get_number_of_written_rows_for_job(job_id) == 9
    assert backend.committed(job_id).dead_letters == 2


def test_a_job_of_version_5_goes_on_as_one_chain_and_the_next_one_may_have_partitions(
    postgres: Place, opened: Open
) -> None:
    backend = opened(postgres)
    job_id = backend.create_stream_job(KEY, "full_refresh").id
    commit(backend, job_id, 0, rows=8)
    for statement in VERSION_5:
        postgres.rows(statement)
    backend = opened(postgres)
    assert INDEX in postgres.rows(INDEXES_OF, postgres.schema)
    assert backend.keep_partitions(job_id, [{"part": 1}], epoch=0) == ()
    commit(backend, job_id, 1)
    assert backend.get_number_of_written_rows_for_job(job_id) == 9
    following = backend.create_stream_job(KEY, "full_refresh").id
    assert len(backend.keep_partitions(following, [{"part": 1}], epoch=0)) == 1


def test_a_job_of_version_6_keeps_its_plan_and_can_be_joined(postgres: Place, opened: Open) -> None:
    backend = opened(postgres)
    job_id = backend.create_stream_job(KEY, "full_refresh").id
    backend.keep_partitions(job_id, [{"part": 1}], epoch=0)
    for statement in VERSION_6:
        postgres.rows(statement)
    backend = opened(postgres)
    assert INDEX in postgres.rows(INDEXES_OF, postgres.schema)
    backend.join_job(job_id, epoch=0)
    part = backend.take_part(job_id, FIRST, 60, alive)
    assert part is not None
    assert part.plan == {"part": 1}
    assert backend.take_part(job_id, SECOND, 60, alive) is None


def test_tables_of_a_newer_release_are_refused(postgres: Place, opened: Open) -> None:
    opened(postgres)
    postgres.rows("INSERT INTO bizon_schema VALUES (99, now())")
    with pytest.raises(BackendError, match=r"have version 99, this bizon knows versions up to 7: .*newer bizon"):
        opened(postgres)


def test_times_of_a_lease_do_not_depend_on_the_time_zone_of_a_session(
    postgres: Place, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGTZ", "Pacific/Auckland")
    assert opened(postgres).acquire_lease(KEY, FIRST, 60, alive) is None
    monkeypatch.setenv("PGTZ", "America/New_York")
    lease = opened(postgres).acquire_lease(KEY, SECOND, 60, alive)
    assert lease is not None
    assert 0 < lease.expires_in <= 60


def test_the_wait_for_rows_that_another_session_has_locked_is_bounded(
    postgres: Place, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_BOUNDS", adapter._BOUNDS.replace("30s", "50ms"))
    backend = opened(postgres)
    job_id = backend.create_stream_job(KEY, "full_refresh").id
    with postgres.connect() as other, other.transaction():
        other.execute("UPDATE stream_jobs SET status = 'running'")
        with pytest.raises(BackendError, match="lock timeout"):
            commit(backend, job_id, 0)
    commit(backend, job_id, 0)
    assert backend.get_number_of_written_rows_for_job(job_id) == 1


def test_a_run_that_is_frozen_within_a_transaction_does_not_keep_the_next_one_out(
    postgres: Place, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_BOUNDS", adapter._BOUNDS.replace("20s", "50ms"))
    frozen, other = opened(postgres), opened(postgres)
    job_id = frozen.create_stream_job(KEY, "full_refresh").id
    with frozen._database.engine.connect() as connection:
        connection.execute(update(stream_jobs).values(status="running"))
        commit(other, job_id, 0)
        connection.invalidate()
