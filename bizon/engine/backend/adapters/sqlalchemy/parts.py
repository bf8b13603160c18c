"""Shared by the parts of the backend: transactions, and the conversion between rows and plain values.

The backend has one part for each table. The methods of a part are the bodies of transactions. Statements that every run
executes are built once: to build one takes as long as to execute it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from uuid import uuid4

import orjson
from sqlalchemy import Connection, FromClause, Insert, Row, Table, bindparam, func, insert, select
from sqlalchemy.ext.compiler import compiles

from bizon.common.clock import utc_now
from bizon.common.errors.errors import BackendError, OvertakenError
from bizon.engine.backend.models import DestinationCursor, JobStatus, StreamJob, StreamKey

if TYPE_CHECKING:
    from bizon.engine.backend.adapters.sqlalchemy.database import Database
    from bizon.engine.backend.adapters.sqlalchemy.transactions import Transactions

_TIME_OF_BIGQUERY = select(func.current_datetime("UTC"))
_TIME_OF_POSTGRES = select(func.timezone("UTC", func.clock_timestamp()))
_TIME_OF_OTHERS = select(func.now())
_STREAM_COLUMNS = ("name", "source_name", "stream_name")


class BackendPart:
    """Shared by all parts: the database, and its transactions."""

    _database: "Database"
    _transactions: "Transactions"

    def _existing(self, job_id: str, job: "StreamJob | None", epoch: int | None = None) -> "StreamJob":
        """The job; raises BackendError when it is missing, and OvertakenError when ``epoch`` is not its latest."""
        if job is None:
            raise BackendError(f"job '{job_id}' is missing from {self._database.name}: was it deleted during the run?")
        if epoch is not None and job.attempt != epoch:
            raise OvertakenError(job_id)
        return job

    def _check_not_later(self, job: "StreamJob", time: datetime | None) -> None:
        """Raise OvertakenError for a job that was created later than a time, if there is one."""
        if time is not None and job.created_at > time:
            raise OvertakenError(job.id)


Part = TypeVar("Part", bound=BackendPart)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_InTransaction = Callable[Concatenate[Part, Connection, Arguments], Result]
_Inserting = Callable[Concatenate[Part, Connection, str, Arguments], Result]
_Method = Callable[Concatenate[Part, Arguments], Result]


def in_transaction(body: _InTransaction[Part, Arguments, Result]) -> _Method[Part, Arguments, Result]:
    """A method that runs ``body`` in its own transaction, and waits while the database is unreachable. ``body``
    may run twice: see :class:`Transactions`."""

    @wraps(body)
    def method(self: Part, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return self._transactions.run(lambda connection: body(self, connection, *args, **kwargs))

    return method


def in_one_try(body: _InTransaction[Part, Arguments, Result]) -> _Method[Part, Arguments, Result]:
    """The same without waiting, for calls that come again soon."""

    @wraps(body)
    def method(self: Part, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return self._transactions.run(lambda connection: body(self, connection, *args, **kwargs), patient=False)

    return method


def inserting(body: _Inserting[Part, Arguments, Result]) -> _Method[Part, Arguments, Result]:
    """The same as ``in_transaction``, with an id for a new row. The id is the same when ``body`` runs twice, so the
    second run recognises the row of the first."""

    @wraps(body)
    def method(self: Part, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        row_id = uuid4().hex
        return self._transactions.run(lambda connection: body(self, connection, row_id, *args, **kwargs))

    return method


def of_stream(table: FromClause, key: StreamKey) -> tuple[Any, ...]:
    return tuple(table.c[name] == value for name, value in stream_values(key).items())


def in_the_stream(table: FromClause) -> tuple[Any, ...]:
    """``of_stream`` for a statement that is built once; its parameters are ``the_stream(key)``."""
    return tuple(table.c[name] == bindparam(f"of_{name}") for name in _STREAM_COLUMNS)


def the_stream(key: StreamKey) -> dict[str, str]:
    """The parameters of ``in_the_stream``."""
    return {f"of_{name}": value for name, value in stream_values(key).items()}


def stream_values(key: StreamKey) -> dict[str, str]:
    return dict(zip(_STREAM_COLUMNS, key, strict=True))


def database_time(connection: Connection) -> datetime:
    """Now, by the clock of the database: leases of all hosts go by it."""
    if connection.dialect.name == "bigquery":
        moment: datetime = connection.execute(_TIME_OF_BIGQUERY).scalar_one()
    elif connection.dialect.name == "postgresql":  # now() is when the transaction began, in the session's time zone
        moment = connection.execute(_TIME_OF_POSTGRES).scalar_one()
    else:
        moment = connection.execute(_TIME_OF_OTHERS).scalar_one()
    return moment.replace(tzinfo=None)


def naive_now() -> datetime:
    return utc_now().replace(tzinfo=None)


def storable(text: str | None, length: int) -> str | None:
    """A text that every database stores: at most ``length`` characters, without NUL or unpaired surrogates; None for
    an empty one."""
    if not text:
        return None
    return text[:length].replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


class _InsertUnlessThere(Insert):
    """An INSERT that leaves a row with the same key alone. It waits for a transaction that is inserting that row."""

    inherit_cache = True


@compiles(_InsertUnlessThere)
def _insert_unless_there(statement: _InsertUnlessThere, compiler: Any, **options: Any) -> str:
    return f"{compiler.visit_insert(statement, **options)} ON CONFLICT DO NOTHING"


def insert_once(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Insert a row unless a row with its primary key is there; True when it was inserted.

    A transaction that runs again after its connection was lost finds its own row this way.
    """
    if enforces_keys(connection):
        return connection.execute(_insertion(table), row).rowcount == 1
    if _is_there(connection, table, row):
        return False
    connection.execute(insert(table).values(row))
    return True


@cache
def _insertion(table: Table) -> Insert:
    return _InsertUnlessThere(table).inline().execution_options(preserve_rowcount=True)


def enforces_keys(connection: Connection) -> bool:
    """Whether the database refuses a second row with the same key, and has transactions."""
    return connection.dialect.name != "bigquery"


def _is_there(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    key = [column for column in table.columns if column.primary_key]
    found = select(key[0]).where(*(column == row[column.name] for column in key))
    return connection.execute(found).first() is not None


def to_text(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def from_text(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)


def stream_job(row: Row[Any]) -> StreamJob:
    return StreamJob(
        id=row.id,
        key=StreamKey(row.name, row.source_name, row.stream_name),
        sync_mode=row.sync_mode,
        status=JobStatus(row.status),
        attempt=row.attempt,
        created_at=row.created_at.replace(tzinfo=UTC),
        total_records_to_fetch=row.total_records_to_fetch,
        incremental_state=from_text(row.incremental_state),
        error_message=row.error_message,
        updated_at=None if row.updated_at is None else row.updated_at.replace(tzinfo=UTC),
        producer_epoch=row.producer_epoch,
        progress=from_text(row.progress),
        output=from_text(row.output),
        window=None if row.incremental_window is None else _window(from_text(row.incremental_window)),
        joined=row.joined,
    )


def _window(noted: dict[str, str]) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(noted["begin"]), datetime.fromisoformat(noted["end"])


def destination_cursor(row: Row[Any]) -> DestinationCursor:
    return DestinationCursor(
        id=row.id,
        job_id=row.job_id,
        from_source_iteration=row.from_source_iteration,
        to_source_iteration=row.to_source_iteration,
        rows_written=row.rows_written,
        pagination=from_text(row.pagination) or {},
        created_at=row.created_at.replace(tzinfo=UTC),
        dead_letters=row.dead_letters,
        receipt=from_text(row.receipt),
        letters_receipt=from_text(row.letters_receipt),
        partition=row.partition_number,
    )
