"""State in a SQL database, through SQLAlchemy Core."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from bizon.common.errors.errors import BackendError, OvertakenError
from bizon.engine.backend.adapters.sqlalchemy import commits, jobs, leases, resets, tokens
from bizon.engine.backend.adapters.sqlalchemy.engines import open_database, sqlite_path
from bizon.engine.backend.adapters.sqlalchemy.migrations import all_present, checked_version, upgrade
from bizon.engine.backend.adapters.sqlalchemy.rows import stream_values
from bizon.engine.backend.adapters.sqlalchemy.tables import destination_cursors
from bizon.engine.backend.adapters.sqlalchemy.transactions import Transactions
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.config import AbstractBackendConfigDetails, BackendTypes
from bizon.engine.backend.models import (
    CommitRecord,
    CursorStatus,
    DestinationCursor,
    Half,
    JobStatus,
    Lease,
    LeaseHolder,
    StreamJob,
    StreamKey,
)

_CREATE_ATTEMPTS = 3


class SQLAlchemyBackend(AbstractBackend):
    """Serves ``sqlite``, ``sqlite_in_memory`` and ``postgres``. What differs between them is in their ``Database``.

    Ids are made before a transaction begins, so that one that is tried again knows its own rows.
    """

    def __init__(self, config: AbstractBackendConfigDetails, type: BackendTypes) -> None:
        super().__init__(config, type)
        self._database = open_database(config, type)
        self._transactions = Transactions(self._database)

    def create_all_tables(self) -> None:
        self._database.make_room()
        attempts = 1 if self.type is BackendTypes.POSTGRES else _CREATE_ATTEMPTS
        for attempt in range(1, attempts + 1):  # first starts may race: the loser finds the tables made
            try:
                return self._transactions.run(upgrade)
            except BackendError:
                if attempt == attempts:
                    raise

    def check_prerequisites(self) -> bool:
        if not self._database.exists():
            return False
        self._transactions.run(checked_version)
        return self._transactions.run(all_present)

    def close(self) -> None:
        self._database.close()

    def spool_folder(self, key: StreamKey) -> Path | None:
        if self.type is not BackendTypes.SQLITE:
            return None
        stream = sha256("\0".join(stream_values(key).values()).encode()).hexdigest()[:16]
        return sqlite_path(self.config).with_suffix(".spool") / stream

    def create_stream_job(
        self, key: StreamKey, sync_mode: str, incremental_state: dict[str, Any] | None = None
    ) -> StreamJob:
        job_id = uuid4().hex
        self._transactions.run(lambda connection: jobs.create(connection, job_id, key, sync_mode, incremental_state))
        return self._existing(job_id, self.get_stream_job_by_id(job_id))

    def get_last_stream_job(self, key: StreamKey) -> StreamJob | None:
        return self._transactions.run(lambda connection: jobs.newest(connection, key))

    def get_last_successful_stream_job(self, key: StreamKey) -> StreamJob | None:
        return self._transactions.run(lambda connection: jobs.newest_successful(connection, key, window=False))

    def get_last_successful_window(self, key: StreamKey) -> StreamJob | None:
        return self._transactions.run(lambda connection: jobs.newest_successful(connection, key, window=True))

    def get_stream_job_by_id(self, job_id: str) -> StreamJob | None:
        return self._transactions.run(lambda connection: jobs.by_id(connection, job_id))

    def update_stream_job_status(
        self, job_id: str, job_status: JobStatus, error_message: str | None = None, *, epoch: int | None = None
    ) -> None:
        self._transactions.run(lambda connection: jobs.set_status(connection, job_id, job_status, error_message, epoch))

    def set_total_records(self, job_id: str, total_records_to_fetch: int) -> None:
        self._transactions.run(lambda connection: jobs.set_total(connection, job_id, total_records_to_fetch))

    def note_progress(self, job_id: str, progress: dict[str, Any]) -> None:
        self._transactions.run(lambda connection: jobs.note_progress(connection, job_id, progress), patient=False)

    def note_window(self, job_id: str, window: tuple[datetime, datetime]) -> None:
        self._transactions.run(lambda connection: jobs.note_window(connection, job_id, window))

    def note_output(self, job_id: str, output: dict[str, Any], *, epoch: int) -> None:
        self._transactions.run(lambda connection: jobs.note_output(connection, job_id, output, epoch))

    def open_epoch(self, job_id: str, half: Half | None = None) -> int:
        job = self._transactions.run(lambda connection: jobs.open_epoch(connection, job_id, half))
        return self._existing(job_id, job).attempt

    def check_epoch(self, job_id: str, epoch: int) -> None:
        if self._existing(job_id, self.get_stream_job_by_id(job_id)).attempt != epoch:
            raise OvertakenError(job_id)

    def create_destination_cursor(self, record: CommitRecord) -> DestinationCursor:
        cursor_id = uuid4().hex
        return self._transactions.run(lambda connection: commits.record(connection, cursor_id, record))

    def get_last_cursor_by_job_id(self, job_id: str) -> DestinationCursor | None:
        return self._transactions.run(lambda connection: commits.last(connection, job_id))

    def get_cursors_by_job_id(self, job_id: str) -> list[DestinationCursor]:
        return self._transactions.run(lambda connection: commits.of_job(connection, job_id))

    def get_number_of_written_rows_for_job(self, job_id: str) -> int:
        column = destination_cursors.c.rows_written
        return self._transactions.run(lambda connection: commits.total(connection, job_id, column))

    def get_number_of_dead_letters_for_job(self, job_id: str) -> int:
        column = destination_cursors.c.dead_letters
        return self._transactions.run(lambda connection: commits.total(connection, job_id, column))

    def create_source_cursor(
        self,
        job_id: str,
        key: StreamKey,
        iteration: int,
        rows_fetched: int,
        next_pagination: dict[str, Any],
        cursor_status: CursorStatus = CursorStatus.PULLING,
    ) -> None:
        note = (uuid4().hex, job_id, key, iteration, rows_fetched, next_pagination, cursor_status)
        self._transactions.run(lambda connection: jobs.note_source_cursor(connection, *note))

    def prune_cursors(self, key: StreamKey, keep: Sequence[str]) -> None:
        self._transactions.run(lambda connection: commits.prune(connection, key, keep))

    def note_all_sent(self, job_id: str, key: StreamKey, epoch: int) -> None:
        cursor_id, pulled = uuid4().hex, CursorStatus.PULLED
        self._transactions.run(
            lambda connection: jobs.note_source_cursor(connection, cursor_id, job_id, key, 0, 0, {}, pulled, epoch)
        )

    def has_all_sent(self, job_id: str, epoch: int) -> bool:
        return self._transactions.run(lambda connection: jobs.has_all_sent(connection, job_id, epoch))

    def request_stream_reset(self, key: StreamKey) -> None:
        reset_id = uuid4().hex
        self._transactions.run(lambda connection: resets.request(connection, reset_id, key))

    def bind_stream_reset(self, key: StreamKey, job_id: str) -> None:
        self._transactions.run(lambda connection: resets.bind(connection, key, job_id))

    def has_pending_reset(self, key: StreamKey) -> bool:
        return self._transactions.run(lambda connection: resets.is_pending(connection, key))

    def is_reset(self, job_id: str) -> bool:
        return self._transactions.run(lambda connection: resets.is_bound(connection, job_id))

    def get_kept_token(self, name: str) -> str | None:
        return self._transactions.run(lambda connection: tokens.read(connection, name))

    def keep_token(self, name: str, value: str) -> None:
        self._transactions.run(lambda connection: tokens.write(connection, name, value))
        self._transactions.run(tokens.put_on_disk)

    def acquire_lease(
        self, key: StreamKey, holder: LeaseHolder, ttl: float, is_dead: Callable[[LeaseHolder], bool]
    ) -> Lease | None:
        self._transactions.attempt(lambda: self._database.prove_alive(key, holder.owner))
        acquire = partial(leases.acquire, key=key, holder=holder, ttl=ttl, is_dead=is_dead)
        standing = leases.once_sure(lambda: self._transactions.run(acquire), self._transactions.pause)
        if standing is not None:
            self._database.stop_proving(key, holder.owner)
        return standing

    def heartbeat_interval(self, ttl: float) -> float:
        return self._database.heartbeat_interval(ttl)

    def renew_lease(self, key: StreamKey, owner: str, ttl: float) -> bool:
        """No longer than it takes: the heartbeat comes again. The row is first: it does not wait for a lost session."""
        held = self._transactions.run(lambda connection: leases.renew(connection, key, owner, ttl), patient=False)
        if held:
            self._transactions.attempt(lambda: self._database.prove_alive(key, owner), patient=False)
        else:
            self._database.stop_proving(key, owner)
        return held

    def release_lease(self, key: StreamKey, owner: str) -> None:
        self._transactions.run(lambda connection: leases.release(connection, key, owner))
        self._database.stop_proving(key, owner)

    def get_lease(self, key: StreamKey) -> Lease | None:
        return self._transactions.run(lambda connection: leases.current(connection, key))

    def _existing(self, job_id: str, job: StreamJob | None) -> StreamJob:
        if job is None:
            raise BackendError(f"job '{job_id}' is missing from {self._database.name}: was it deleted during the run?")
        return job
