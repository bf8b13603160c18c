"""State in SQLite: the file, its layout, and older layouts. test_conformance.py tests what every backend does."""

import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread, Timer
from typing import Any

import pytest
from annotated_types import MaxLen
from engine.backend.older_tables import VERSION_5, VERSION_6
from fakes import KEY, memory_backend
from sqlalchemy import delete

from bizon.common.errors.errors import BackendError
from bizon.common.models import BizonConfig
from bizon.engine.backend.adapters.sqlalchemy import lease_table, parts
from bizon.engine.backend.adapters.sqlalchemy.backend import SQLAlchemyBackend
from bizon.engine.backend.adapters.sqlalchemy.config import SQLiteConfigDetails
from bizon.engine.backend.adapters.sqlalchemy.tables import stream_jobs, stream_leases
from bizon.engine.backend.config import BackendTypes
from bizon.engine.backend.models import CommitRecord, CursorStatus, LeaseHolder
from bizon.source.config import SourceConfig


def edit(folder: Path, *statements: str) -> None:
    """Change the state file of a folder in one transaction, as another release would have left it."""
    with closing(sqlite3.connect(folder / "state.sqlite3")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def open_backend(path: Path) -> SQLAlchemyBackend:
    backend = SQLAlchemyBackend(SQLiteConfigDetails(database=str(path)), BackendTypes.SQLITE)
    backend.create_all_tables()
    return backend


def commit(backend: SQLAlchemyBackend, job_id: str, first: int, last: int, rows: int = 1, **values: object) -> None:
    record = {"pagination": {"page": last + 1}, **values}
    backend.create_destination_cursor(CommitRecord(job_id, 0, KEY, "file", first, last, rows, **record))  # type: ignore[arg-type]


def test_a_newer_job_is_newer_even_when_the_clock_was_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = memory_backend()
    first = backend.create_stream_job(KEY, "full_refresh")
    monkeypatch.setattr(parts, "utc_now", lambda: datetime.now(UTC) - timedelta(hours=5))
    second = backend.create_stream_job(KEY, "full_refresh")
    assert second.created_at > first.created_at
    assert backend.get_last_stream_job(KEY) == second


def test_a_lease_released_during_a_takeover_is_really_acquired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It once counted as taken, without a row to keep a third run out."""
    backend, look = memory_backend(), lease_table._row
    first, second = (LeaseHolder(owner, "host", 1, "", "") for owner in ("first", "second"))
    assert backend.acquire_lease(KEY, first, -1, lambda _: False) is None

    def released_after_the_look(connection: Any, key: Any) -> Any:
        monkeypatch.setattr(lease_table, "_row", look)
        row = look(connection, key)
        connection.execute(delete(stream_leases))
        return row

    monkeypatch.setattr(lease_table, "_row", released_after_the_look)
    assert backend.acquire_lease(KEY, second, 60, lambda _: False) is None
    lease = backend.get_lease(KEY)
    assert lease is not None
    assert lease.holder == second


def test_the_state_file_is_named_by_the_config_and_survives(tmp_path: Path) -> None:
    with open_backend(tmp_path / "deep" / "state") as backend:
        job = backend.create_stream_job(KEY, "full_refresh")
    assert (tmp_path / "deep" / "state.sqlite3").exists()
    with open_backend(tmp_path / "deep" / "state") as again:
        assert again.get_stream_job_by_id(job.id) == job


def test_one_thread_of_a_process_at_a_time_uses_a_state_file(tmp_path: Path) -> None:
    """SQLite itself would let both begin, and one of them sleep until the file is free."""
    found: list[Any] = []
    with open_backend(tmp_path / "state") as backend, backend.beside() as other:
        thread = Thread(target=lambda: found.append(other.get_last_stream_job(KEY)))
        with backend._database.exclusive():
            thread.start()
            thread.join(0.05)
            assert found == []
        thread.join(60)
        assert found == [None]


def test_a_first_start_waits_for_another_one_that_is_creating_the_file(tmp_path: Path) -> None:
    """It once failed with "database is locked": SQLite lets the switch to its write-ahead log fail at once."""
    with closing(sqlite3.connect(tmp_path / "s.sqlite3", isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = Timer(0.3, other.rollback)
        release.start()
        open_backend(tmp_path / "s").close()
        release.join()


def test_a_file_that_is_not_a_database_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite3").write_text("this is not a database, but a text of some length" * 100)
    with pytest.raises(BackendError, match=r"state\.sqlite3' cannot be used: file is not a database"):
        open_backend(tmp_path / "state")


def test_the_tables_have_the_documented_columns(tmp_path: Path) -> None:
    open_backend(tmp_path / "state").close()
    with sqlite3.connect(tmp_path / "state.sqlite3") as connection:
        columns = {
            table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            for table in ("stream_jobs", "source_cursors", "destination_cursors", "stream_partitions")
        }
    connection.close()
    stream = ["name", "source_name", "stream_name"]
    assert columns["stream_jobs"] == [
        *["id", *stream, "sync_mode", "attempt", "total_records_to_fetch", "created_at", "updated_at"],
        *["incremental_state", "status", "error_message", "producer_epoch", "progress", "output", "incremental_window"],
        "joined",
    ]
    assert columns["source_cursors"] == [
        *["id", "job_id", *stream, "iteration", "rows_fetched", "next_pagination", "attempt", "status"],
        *["error_message", "created_at", "updated_at"],
    ]
    assert columns["stream_partitions"] == [
        *["job_id", "number", "plan", "epoch", "created_at", "worker", "host", "pid", "place", "started"],
        *["renewed_at", "expires_at", "done", "next_state"],
    ]
    assert columns["destination_cursors"] == [
        *["id", "job_id", *stream, "destination_name", "from_source_iteration", "to_source_iteration"],
        *[
            "rows_written",
            "success",
            "attempt",
            "error_message",
            "created_at",
            "updated_at",
            "pagination",
            "dead_letters",
            "receipt",
            "letters_receipt",
            "partition_number",
        ],
    ]


def test_the_state_and_a_folder_created_for_it_are_private_to_their_user(tmp_path: Path) -> None:
    with open_backend(tmp_path / "new" / "state") as backend:
        backend.create_stream_job(KEY, "full_refresh")
        files = sorted((tmp_path / "new").iterdir())
        assert [path.name for path in files] == ["state.sqlite3", "state.sqlite3-shm", "state.sqlite3-wal"]
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_tables_of_another_release_are_upgraded_in_place_and_its_jobs_stay(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "state.sqlite3")
    connection.executescript("""
        CREATE TABLE stream_jobs (id VARCHAR(100) PRIMARY KEY, name VARCHAR(100), source_name VARCHAR(100),
            stream_name VARCHAR(100), sync_mode VARCHAR(100), created_at DATETIME, status VARCHAR(100));
        INSERT INTO stream_jobs VALUES ('old', 'pipe', 'scripted', 'items', 'incremental', '2026-01-02 03:04:05.000000',
            'succeeded');
    """)
    connection.close()
    for _ in range(2):
        with open_backend(tmp_path / "state") as backend:
            job = backend.get_last_successful_stream_job(KEY)
            assert job is not None
            assert (job.id, job.attempt, job.created_at) == ("old", 0, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
            assert backend.check_prerequisites()
    with open_backend(tmp_path / "state") as backend:
        assert backend.open_epoch("old") == 1


def test_tables_of_version_1_get_the_count_of_dead_letters_and_keep_their_cursors(tmp_path: Path) -> None:
    with open_backend(tmp_path / "state") as backend:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        commit(backend, job_id, 0, 3, rows=8)
    edit(
        tmp_path,
        "ALTER TABLE destination_cursors DROP COLUMN dead_letters",
        "UPDATE bizon_schema SET version = 1",
    )
    with open_backend(tmp_path / "state") as backend:
        commit(backend, job_id, 4, 4, rows=1, dead_letters=2)
        assert backend.get_number_of_written_rows_for_job(job_id) == 9
        assert backend.committed(job_id).dead_letters == 2


def test_a_job_of_version_5_goes_on_as_one_chain_and_the_next_one_may_have_partitions(tmp_path: Path) -> None:
    with open_backend(tmp_path / "state") as backend:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        commit(backend, job_id, 0, 3, rows=8)
    edit(tmp_path, *VERSION_5)
    with open_backend(tmp_path / "state") as backend:
        assert backend.keep_partitions(job_id, [{"part": 1}], epoch=0) == ()
        commit(backend, job_id, 4, 4, rows=1)
        assert backend.get_number_of_written_rows_for_job(job_id) == 9
        following = backend.create_stream_job(KEY, "full_refresh").id
        assert len(backend.keep_partitions(following, [{"part": 1}], epoch=0)) == 1


def test_a_job_of_version_6_keeps_its_plan_and_can_be_joined(tmp_path: Path) -> None:
    with open_backend(tmp_path / "state") as backend:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        backend.keep_partitions(job_id, [{"part": 1}], epoch=0)
    edit(tmp_path, *VERSION_6)
    with open_backend(tmp_path / "state") as backend:
        backend.join_job(job_id, epoch=0)
        part = backend.take_part(job_id, LeaseHolder("worker", "host", 1, "place", "1"), 60, lambda _holder: False)
    assert part is not None
    assert part.plan == {"part": 1}


def test_tables_of_a_newer_release_are_refused(tmp_path: Path) -> None:
    open_backend(tmp_path / "state").close()
    edit(tmp_path, "INSERT INTO bizon_schema VALUES (99, '2026-01-01')")
    with pytest.raises(BackendError, match=r"have version 99, this bizon knows versions up to 7: .*newer bizon"):
        open_backend(tmp_path / "state")


def test_only_the_start_that_has_sent_everything_counts_as_done() -> None:
    """A consumer elsewhere knows then that a missing page will never arrive."""
    backend = memory_backend()
    job, other = (backend.create_stream_job(KEY, "full_refresh").id for _ in range(2))
    backend.create_source_cursor(job, KEY, 10, 100, {}, CursorStatus.PULLED)
    backend.note_all_sent(job, KEY, 3)
    asked = [(job, 2), (job, 3), (job, 4), (other, 3)]
    assert [backend.has_all_sent(*each) for each in asked] == [False, True, False, False]


@pytest.mark.parametrize("name", ["a?b", "tenant%20one", "a%41b", "?", "#1", "with space", "a&b=c", ":memory:", "a'b"])
def test_the_state_is_the_file_that_its_path_says(tmp_path: Path, name: str) -> None:
    """?, % and the text after them once counted as parts of a URL, so ``bizon status`` read another file."""
    with open_backend(tmp_path / name) as backend:
        job = backend.create_stream_job(KEY, "full_refresh")
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.sqlite3"}
    config = SQLiteConfigDetails(database=str(tmp_path / name))
    with SQLAlchemyBackend(config, BackendTypes.SQLITE) as again:
        assert again.check_prerequisites()
        assert again.get_last_stream_job(KEY) == job


def test_every_name_of_a_pipeline_fits_its_column() -> None:
    """SQLite stores longer ones, too; Postgres would end the run."""
    fields = [
        *((stream_jobs.c.name, BizonConfig.model_fields[key]) for key in ("name", "id")),
        (stream_jobs.c.source_name, SourceConfig.model_fields["name"]),
        (stream_jobs.c.stream_name, SourceConfig.model_fields["stream"]),
    ]
    for column, field in fields:
        assert [each.max_length for each in field.metadata if isinstance(each, MaxLen)] == [column.type.length]
