"""State in SQLite: what every backend must do."""

import multiprocessing
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes import KEY

from bizon.common.errors.errors import BackendError
from bizon.engine.backend.adapters.sqlalchemy import rows
from bizon.engine.backend.adapters.sqlalchemy.backend import SQLAlchemyBackend
from bizon.engine.backend.adapters.sqlalchemy.config import SQLiteConfigDetails
from bizon.engine.backend.config import BackendTypes
from bizon.engine.backend.models import CommitRecord, JobStatus, StreamKey

TYPES = [BackendTypes.SQLITE, BackendTypes.SQLITE_IN_MEMORY]


def open_backend(type: BackendTypes, database: str = "state") -> SQLAlchemyBackend:
    backend = SQLAlchemyBackend(SQLiteConfigDetails(database=database), type)
    backend.create_all_tables()
    return backend


@pytest.fixture(params=TYPES, ids=str)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SQLAlchemyBackend]:
    with open_backend(request.param, str(tmp_path / "state")) as opened:
        yield opened


def commit(backend: SQLAlchemyBackend, job_id: str, first: int, last: int, rows: int = 1, **values: object) -> None:
    record = {"pagination": {"page": last + 1}, **values}
    backend.create_destination_cursor(CommitRecord(job_id, 0, KEY, "file", first, last, rows, **record))  # type: ignore[arg-type]


def test_a_job_is_created_started_and_found_again(backend: SQLAlchemyBackend) -> None:
    job = backend.create_stream_job(KEY, "incremental", incremental_state={"a": [True, None]})
    assert (job.status, job.attempt, job.sync_mode, job.key) == (JobStatus.STARTED, 0, "incremental", KEY)
    assert job.created_at.tzinfo is UTC
    assert job.incremental_state == {"a": [True, None]}
    assert backend.get_stream_job_by_id(job.id) == job
    assert backend.get_last_stream_job(KEY) == job
    assert backend.get_stream_job_by_id("nope") is None


def test_status_and_error_are_written_and_cleared(backend: SQLAlchemyBackend) -> None:
    job = backend.create_stream_job(KEY, "full_refresh")
    backend.update_stream_job_status(job.id, JobStatus.FAILED, "x" * 1000)
    failed = backend.get_stream_job_by_id(job.id)
    assert failed is not None
    assert (failed.status, failed.error_message) == (JobStatus.FAILED, "x" * 255)
    backend.update_stream_job_status(job.id, JobStatus.SUCCEEDED)
    done = backend.get_stream_job_by_id(job.id)
    assert done is not None
    assert (done.status, done.error_message) == (JobStatus.SUCCEEDED, None)


def test_the_newest_job_and_the_newest_succeeded_job_are_told_apart(backend: SQLAlchemyBackend) -> None:
    first, second = (backend.create_stream_job(KEY, "full_refresh") for _ in range(2))
    assert backend.get_last_successful_stream_job(KEY) is None
    backend.update_stream_job_status(first.id, JobStatus.SUCCEEDED)
    newest, succeeded = backend.get_last_stream_job(KEY), backend.get_last_successful_stream_job(KEY)
    assert newest is not None
    assert succeeded is not None
    assert (newest.id, succeeded.id) == (second.id, first.id)


def test_jobs_of_other_streams_are_not_seen(backend: SQLAlchemyBackend) -> None:
    backend.create_stream_job(KEY, "full_refresh")
    assert backend.get_last_stream_job(StreamKey(KEY.name, KEY.source_name, "other")) is None


def test_a_newer_job_is_newer_even_when_the_clock_was_set_back(
    backend: SQLAlchemyBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = backend.create_stream_job(KEY, "full_refresh")
    monkeypatch.setattr(rows, "utc_now", lambda: datetime.now(UTC) - timedelta(hours=5))
    second = backend.create_stream_job(KEY, "full_refresh")
    assert second.created_at > first.created_at
    assert backend.get_last_stream_job(KEY) == second


@pytest.mark.lesson("F-47")
def test_jobs_of_a_long_lived_process_have_their_own_time_of_creation(backend: SQLAlchemyBackend) -> None:
    """Used to be the time of import for all of them."""
    before = datetime.now(UTC)
    assert before <= backend.create_stream_job(KEY, "full_refresh").created_at <= datetime.now(UTC)


def test_cursors_keep_booleans_nulls_and_nesting(backend: SQLAlchemyBackend) -> None:
    job = backend.create_stream_job(KEY, "full_refresh")
    pagination = {"next": None, "more": True, "ids": [1, {"é": "😀"}]}
    commit(backend, job.id, 0, 1, pagination=pagination)
    cursor = backend.get_last_cursor_by_job_id(job.id)
    assert cursor is not None
    assert cursor.pagination == pagination


def test_an_exhausted_page_is_stored_as_such(backend: SQLAlchemyBackend) -> None:
    job = backend.create_stream_job(KEY, "full_refresh")
    commit(backend, job.id, 0, 0, pagination={})
    cursor = backend.get_last_cursor_by_job_id(job.id)
    assert cursor is not None
    assert cursor.pagination == {}


def test_the_last_cursor_is_the_one_of_the_highest_page(backend: SQLAlchemyBackend) -> None:
    job = backend.create_stream_job(KEY, "full_refresh")
    assert backend.get_last_cursor_by_job_id(job.id) is None
    for first, last, written in ((0, 9, 5), (10, 10, 0), (11, 100, 7)):
        commit(backend, job.id, first, last, written)
    cursor = backend.get_last_cursor_by_job_id(job.id)
    assert cursor is not None
    assert (cursor.from_source_iteration, cursor.to_source_iteration) == (11, 100)
    assert backend.get_number_of_written_rows_for_job(job.id) == 12


def test_two_cursors_for_the_same_page_are_refused(backend: SQLAlchemyBackend) -> None:
    job = backend.create_stream_job(KEY, "full_refresh")
    commit(backend, job.id, 0, 3)
    with pytest.raises(BackendError):
        commit(backend, job.id, 0, 3)


def test_a_run_that_was_overtaken_cannot_commit(backend: SQLAlchemyBackend) -> None:
    job = backend.create_stream_job(KEY, "full_refresh")
    backend.open_epoch(job.id)
    with pytest.raises(BackendError, match="taken over by another run"):
        commit(backend, job.id, 0, 0)
    assert backend.get_last_cursor_by_job_id(job.id) is None


def test_each_start_of_a_job_is_a_new_epoch(backend: SQLAlchemyBackend) -> None:
    job = backend.create_stream_job(KEY, "full_refresh")
    assert [backend.open_epoch(job.id) for _ in range(3)] == [1, 2, 3]


def test_the_total_and_the_position_are_noted(backend: SQLAlchemyBackend) -> None:
    job = backend.create_stream_job(KEY, "full_refresh")
    backend.set_total_records(job.id, 0)
    backend.create_source_cursor(job.id, KEY, 10, 100, {"page": 11})
    noted = backend.get_stream_job_by_id(job.id)
    assert noted is not None
    assert noted.total_records_to_fetch == 0


def test_creating_the_tables_twice_is_harmless(backend: SQLAlchemyBackend) -> None:
    job = backend.create_stream_job(KEY, "full_refresh")
    backend.create_all_tables()
    assert backend.check_prerequisites()
    assert backend.get_stream_job_by_id(job.id) is not None


@pytest.mark.lesson("F-22")
def test_threads_share_one_backend(backend: SQLAlchemyBackend) -> None:
    """In memory each thread used to open an empty database of its own."""
    job = backend.create_stream_job(KEY, "full_refresh")

    def work(worker: int) -> None:
        job = backend.create_stream_job(KEY, "full_refresh")
        for page in range(20):
            commit(backend, job.id, page, page)
            backend.create_source_cursor(job.id, KEY, page, page, {})
        assert backend.get_number_of_written_rows_for_job(job.id) == 20

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert backend.get_stream_job_by_id(job.id) is not None


def _commit_pages(database: str, job_id: str) -> None:
    with open_backend(BackendTypes.SQLITE, database) as backend:
        for page in range(20):
            commit(backend, job_id, page, page)


def test_processes_share_one_state_file(tmp_path: Path) -> None:
    database = str(tmp_path / "state")
    with open_backend(BackendTypes.SQLITE, database) as backend:
        jobs = [backend.create_stream_job(KEY, "full_refresh").id for _ in range(3)]
        fork = multiprocessing.get_context("fork")
        workers = [fork.Process(target=_commit_pages, args=(database, job_id)) for job_id in jobs]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0, 0, 0]
        assert [backend.get_number_of_written_rows_for_job(job_id) for job_id in jobs] == [20, 20, 20]


def test_the_state_file_is_named_by_the_config_and_survives(tmp_path: Path) -> None:
    with open_backend(BackendTypes.SQLITE, str(tmp_path / "deep" / "state")) as backend:
        job = backend.create_stream_job(KEY, "full_refresh")
    assert (tmp_path / "deep" / "state.sqlite3").exists()
    with open_backend(BackendTypes.SQLITE, str(tmp_path / "deep" / "state")) as again:
        assert again.get_stream_job_by_id(job.id) == job


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite3").write_text("this is no database, it is a text of some length" * 100)
    with pytest.raises(BackendError, match=r"state\.sqlite3' cannot be used: file is not a database"):
        open_backend(BackendTypes.SQLITE, str(tmp_path / "state"))


def test_the_tables_have_the_documented_columns(tmp_path: Path) -> None:
    open_backend(BackendTypes.SQLITE, str(tmp_path / "state")).close()
    with sqlite3.connect(tmp_path / "state.sqlite3") as connection:
        columns = {
            table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            for table in ("stream_jobs", "source_cursors", "destination_cursors")
        }
    connection.close()
    stream = ["name", "source_name", "stream_name"]
    assert columns["stream_jobs"] == [
        *["id", *stream, "sync_mode", "attempt", "total_records_to_fetch", "created_at", "updated_at"],
        *["incremental_state", "status", "error_message"],
    ]
    assert columns["source_cursors"] == [
        *["id", "job_id", *stream, "iteration", "rows_fetched", "next_pagination", "attempt", "status"],
        *["error_message", "created_at", "updated_at"],
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
        ],
    ]


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
        with open_backend(BackendTypes.SQLITE, str(tmp_path / "state")) as backend:
            job = backend.get_last_successful_stream_job(KEY)
            assert job is not None
            assert (job.id, job.attempt, job.created_at) == ("old", 0, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
            assert backend.check_prerequisites()
    with open_backend(BackendTypes.SQLITE, str(tmp_path / "state")) as backend:
        assert backend.open_epoch("old") == 1


def test_tables_of_version_1_get_the_count_of_dead_letters_and_keep_their_cursors(tmp_path: Path) -> None:
    with open_backend(BackendTypes.SQLITE, str(tmp_path / "state")) as backend:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        commit(backend, job_id, 0, 3, rows=8)
    connection = sqlite3.connect(tmp_path / "state.sqlite3")
    with connection:
        connection.execute("ALTER TABLE destination_cursors DROP COLUMN dead_letters")
        connection.execute("UPDATE bizon_schema SET version = 1")
    connection.close()
    with open_backend(BackendTypes.SQLITE, str(tmp_path / "state")) as backend:
        commit(backend, job_id, 4, 4, rows=1, dead_letters=2)
        assert backend.get_number_of_written_rows_for_job(job_id) == 9
        assert backend.get_number_of_dead_letters_for_job(job_id) == 2


def test_tables_of_a_newer_release_are_refused(tmp_path: Path) -> None:
    open_backend(BackendTypes.SQLITE, str(tmp_path / "state")).close()
    connection = sqlite3.connect(tmp_path / "state.sqlite3")
    with connection:
        connection.execute("INSERT INTO bizon_schema VALUES (99, '2026-01-01')")
    connection.close()
    with pytest.raises(BackendError, match=r"have version 99, this bizon knows versions up to 3: .*newer bizon"):
        open_backend(BackendTypes.SQLITE, str(tmp_path / "state"))
