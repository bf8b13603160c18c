"""The session that holds a lock for which a run has waited in vain."""

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg

from bizon.connectors.destinations.postgres.src.connection import connect
from bizon.destination.sql_claims import TABLE

if TYPE_CHECKING:
    from bizon.connectors.destinations.postgres.src.config import PostgresDetailsConfig

_HOLDER = """
SELECT c.relname, l.mode, a.pid, a.usename, a.application_name
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND n.nspname = %s AND c.relname = ANY (%s) AND a.pid <> ALL (ARRAY[pg_backend_pid(), %s])
ORDER BY array_position(%s, c.relname::text), a.xact_start LIMIT 1
"""


def locked(config: "PostgresDetailsConfig", tables: Sequence[str], waiting: int) -> str:
    """Which table another session holds, in words, with its process id. ``tables``: the tables of the run, the
    likeliest first. ``waiting``: the process id of our session, which has waited. Asked in a session of its own, so the
    answer may be that nobody holds them any more."""
    names = [*tables, TABLE]
    try:
        with closing(connect(config)) as connection, connection.cursor() as cursor:
            found = cursor.execute(_HOLDER, (config.schema_name, names, waiting, names)).fetchone()
    except psycopg.Error:
        found = None
    if found is None:
        listed = " or ".join(f"'{name}'" for name in names)
        return f"another session held a lock on table {listed} of schema '{config.schema_name}'"
    table, mode, session, user, application = found
    who = ", ".join(filter(None, (f"user '{user}'", application)))
    return f"session {session} ({who}) holds {mode} on table '{table}' of schema '{config.schema_name}'"
