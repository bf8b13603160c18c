"""The version of the state tables: created, upgraded in place, or refused.

Version 0 means tables without a version, which another release created in the documented layout. Each step leads from
one version to the next, and runs in the transaction that records it. A released step never changes.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Column, Connection, Table, func, insert, inspect, select
from sqlalchemy.schema import CreateColumn, CreateSchema, CreateTable

from bizon.common.errors.errors import BackendError
from bizon.common.waiting import back_off
from bizon.engine.backend.adapters.sqlalchemy.parts import enforces_keys, naive_now
from bizon.engine.backend.adapters.sqlalchemy.session_locks import lock_number
from bizon.engine.backend.adapters.sqlalchemy.tables import (
    destination_cursors,
    kept_tokens,
    metadata,
    schema_version,
    stream_jobs,
    stream_partitions,
)

if TYPE_CHECKING:
    from bizon.engine.backend.adapters.sqlalchemy.transactions import Transactions

_CREATE_TRIES = 3


def upgraded(transactions: "Transactions", *, may_race: bool) -> None:
    """``upgrade`` in its own transaction. ``may_race``: of several first starts one may fail, and finds the tables when
    it tries again."""
    for attempt in back_off(0, 0, tries=_CREATE_TRIES if may_race else 1):
        try:
            return transactions.run(upgrade)
        except BackendError:
            if attempt.is_last:
                raise


def upgrade(connection: Connection) -> None:
    """Bring the tables to the current version, and create missing ones. Raises BackendError for a newer version.

    When several first starts run at once, one creates the tables and the others wait for it.
    """
    if checked_version(connection) == CURRENT:
        return
    if not enforces_keys(connection):
        return _create_without_waiting(connection)
    _one_at_a_time(connection)
    version = checked_version(connection)
    if version == CURRENT:
        return
    if version == 0 and not has_table(connection, stream_jobs):
        metadata.create_all(connection)
    else:
        for step in STEPS[version:]:
            step(connection)
    connection.execute(insert(schema_version).values(version=CURRENT, applied_at=naive_now()))


def checked_version(connection: Connection) -> int:
    """The version of the tables, which stay as they are. Raises BackendError for a newer version."""
    if not has_table(connection, schema_version):
        return 0
    version = int(connection.execute(select(func.max(schema_version.c.version))).scalar() or 0)
    if version > CURRENT:
        raise BackendError(
            f"the state tables have version {version}, this bizon knows versions up to {CURRENT}: they were written by "
            f"a newer bizon; upgrade, or use another database than '{connection.engine.url.database}'"
        )
    return version


def all_present(connection: Connection) -> bool:
    """True when all state tables exist."""
    return all(has_table(connection, table) for table in metadata.sorted_tables)


def has_table(connection: Connection, table: Table) -> bool:
    """True when a table exists in the schema of this connection."""
    return inspect(connection).has_table(table.name, schema=connection.schema_for_object(table))


def _create_without_waiting(connection: Connection) -> None:
    """Create the current tables by statements that several first starts may run at once."""
    for table in metadata.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
        _complete(connection, table)
    connection.execute(insert(schema_version).values(version=CURRENT, applied_at=naive_now()))


def _one_at_a_time(connection: Connection) -> None:
    """Make other first starts wait until this transaction ends, and create the schema in databases that have
    schemas."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    schema = connection.schema_for_object(schema_version) or ""
    connection.execute(select(func.pg_advisory_xact_lock(lock_number("tables", schema))))
    if not inspect(connection).has_schema(schema):
        connection.execute(CreateSchema(schema))


def _to_version_1(connection: Connection) -> None:
    """Add the columns and tables that the documented layout lacks."""
    for table in metadata.sorted_tables:
        if has_table(connection, table):
            _complete(connection, table)
    metadata.create_all(connection)


def _to_version_2(connection: Connection) -> None:
    """Count dead letters. The step before creates new tables with all current columns."""
    _add_if_missing(connection, destination_cursors.c.dead_letters)


def _to_version_3(connection: Connection) -> None:
    """Number the starts of the producer separately; note the speed and the lag of a stream."""
    _add_if_missing(connection, stream_jobs.c.producer_epoch)
    _add_if_missing(connection, stream_jobs.c.progress)


def _to_version_4(connection: Connection) -> None:
    """Keep the receipts of a batch, the output that a job has published, and the window that it covers."""
    _add_if_missing(connection, destination_cursors.c.receipt)
    _add_if_missing(connection, destination_cursors.c.letters_receipt)
    _add_if_missing(connection, stream_jobs.c.output)
    _add_if_missing(connection, stream_jobs.c.incremental_window)


def _to_version_5(connection: Connection) -> None:
    """Keep refresh tokens that replace the configured ones."""
    kept_tokens.create(connection, checkfirst=True)


def _to_version_6(connection: Connection) -> None:
    """Keep the partitions of a job."""
    stream_partitions.create(connection, checkfirst=True)
    _add_if_missing(connection, destination_cursors.c.partition_number)


def _to_version_7(connection: Connection) -> None:
    """Let several commands work on one job, each on a part that it holds a lease of."""
    _add_if_missing(connection, stream_jobs.c.joined)
    for column in ("worker", "host", "pid", "place", "started", "renewed_at", "expires_at", "done", "next_state"):
        _add_if_missing(connection, stream_partitions.c[column])
    known = inspect(connection).get_indexes(
        destination_cursors.name, schema=connection.schema_for_object(destination_cursors)
    )
    for index in destination_cursors.indexes:
        if index.name not in {each["name"] for each in known}:
            index.create(connection)


def _add_if_missing(connection: Connection, column: Column[Any]) -> None:
    if column.name not in _columns(connection, column.table):
        _add(connection, column)


def _complete(connection: Connection, table: Table) -> None:
    """Add the columns that a table lacks, and widen counters that stop at 2 billion."""
    known = _columns(connection, table)
    for column in table.columns:
        if column.name not in known:
            _add(connection, column)
        elif connection.dialect.name == "postgresql" and isinstance(column.type, BigInteger):
            _alter(connection, column, f"ALTER COLUMN {column.name} TYPE BIGINT")


def _columns(connection: Connection, table: Table) -> set[str]:
    present = inspect(connection).get_columns(table.name, schema=connection.schema_for_object(table))
    return {column["name"] for column in present}


def _add(connection: Connection, column: Column[Any]) -> None:
    declaration = CreateColumn(column).compile(dialect=connection.dialect)
    unless_there = "" if enforces_keys(connection) else "IF NOT EXISTS "
    _alter(connection, column, f"ADD COLUMN {unless_there}{declaration}")


def _alter(connection: Connection, column: Column[Any], change: str) -> None:
    quote = connection.dialect.identifier_preparer.quote
    schema, name = connection.schema_for_object(column.table), column.table.name
    table = quote(name) if schema is None else f"{quote(schema)}.{quote(name)}"
    connection.exec_driver_sql(f"ALTER TABLE {table} {change}")


STEPS: tuple[Callable[[Connection], None], ...] = (
    _to_version_1,
    _to_version_2,
    _to_version_3,
    _to_version_4,
    _to_version_5,
    _to_version_6,
    _to_version_7,
)
CURRENT = len(STEPS)
