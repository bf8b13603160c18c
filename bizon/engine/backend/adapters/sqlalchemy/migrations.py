"""The version of the state tables: created, upgraded in place, or refused.

Version 0 are tables without a version: those of the documented layout that another release made. Each step leads from
one version to the next and runs in the transaction that records it; a step is never changed once it was released.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Column, Connection, func, insert, inspect, select
from sqlalchemy.schema import CreateColumn

from bizon.common.errors.errors import BackendError
from bizon.engine.backend.adapters.sqlalchemy.rows import naive_now
from bizon.engine.backend.adapters.sqlalchemy.tables import (
    destination_cursors,
    metadata,
    schema_version,
    stream_jobs,
)


def upgrade(connection: Connection) -> None:
    """Bring the tables to the current version, creating what is missing. Raises BackendError for a newer version.

    Of several first starts one makes the tables, the others wait for it.
    """
    if checked_version(connection) == CURRENT:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    version = checked_version(connection)
    if version == CURRENT:
        return
    for step in STEPS[version:]:
        step(connection)
    connection.execute(insert(schema_version).values(version=CURRENT, applied_at=naive_now()))


def checked_version(connection: Connection) -> int:
    """The version of the tables; nothing is changed. Raises BackendError for a newer one."""
    if not inspect(connection).has_table(schema_version.name):
        return 0
    version = int(connection.execute(select(func.max(schema_version.c.version))).scalar() or 0)
    if version > CURRENT:
        raise BackendError(
            f"the state tables have version {version}, this bizon knows versions up to {CURRENT}: "
            "they were written by a newer bizon; upgrade, or use another database"
        )
    return version


def _to_version_1(connection: Connection) -> None:
    """Add the columns and tables that the documented layout of other releases lacks."""
    present = inspect(connection)
    if present.has_table(stream_jobs.name):
        for table in metadata.sorted_tables:
            if not present.has_table(table.name):
                continue
            known = {column["name"] for column in present.get_columns(table.name)}
            for column in table.columns:
                if column.name not in known:
                    _add(connection, column)
    metadata.create_all(connection)


def _to_version_2(connection: Connection) -> None:
    """Count dead letters; the step before makes new tables with all columns of today."""
    column = destination_cursors.c.dead_letters
    if column.name not in {known["name"] for known in inspect(connection).get_columns(destination_cursors.name)}:
        _add(connection, column)


def _add(connection: Connection, column: Column[Any]) -> None:
    declaration = CreateColumn(column).compile(dialect=connection.dialect)
    connection.exec_driver_sql(f"ALTER TABLE {column.table.name} ADD COLUMN {declaration}")


STEPS: tuple[Callable[[Connection], None], ...] = (_to_version_1, _to_version_2)
CURRENT = len(STEPS)
