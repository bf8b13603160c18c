"""The meaning of Postgres's errors."""

from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from bizon.connectors.destinations.postgres.src.config import PostgresDetailsConfig

_PASSING = (
    "08",  # the connection was lost
    "57P01",  # the server is shutting down
    "57P02",  # another session crashed
    "57P03",  # the server is starting up or shutting down
    "57P05",  # the session was idle for too long
    "25P03",  # the same, within a transaction
    "40001",  # serialization failure
    "40P01",  # deadlock
    "53300",  # too many connections
    "55P03",  # a lock was not available in time
)
_CREATED_TWICE = ("42P06", "42P07", "42710", "42701")  # a schema, a table, the type of its rows, a column
_DEADLOCK = "40P01"
_CATALOGUE = "pg_catalog"
_REFUSED = ("FATAL:", "certificate")
_MAY_PASS = ("the database system is ", "too many connections", "connection slots", "too many clients")


def is_transient(error: Exception) -> bool:
    """Whether the call may succeed without a change. A connection that fails has no SQLSTATE, only a text."""
    if isinstance(error, psycopg.InterfaceError):  # the connection was closed
        return True
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is not None:
        return error.sqlstate.startswith(_PASSING)
    text = str(error)
    is_refused = any(sign in text for sign in _REFUSED) and not any(sign in text for sign in _MAY_PASS)
    return isinstance(error, psycopg.OperationalError) and not is_refused


def lost_a_race(error: psycopg.Error) -> bool:
    """Whether another session has just created the same schema, table or column: ``IF NOT EXISTS`` does not wait for
    it, and two sessions that have both read a table wait for each other before they change it."""
    unique = isinstance(error, psycopg.errors.UniqueViolation) and error.diag.schema_name == _CATALOGUE
    return unique or error.sqlstate in (*_CREATED_TWICE, _DEADLOCK)


def waited_in_vain(error: Exception) -> bool:
    """Whether a lock was not available in time."""
    return getattr(error, "sqlstate", None) == "55P03"


def explained(error: Exception, config: "PostgresDetailsConfig", *, reads: bool = False) -> str:
    """The text of the server or its driver on one line, with a remedy for the frequent causes. ``reads``: the table was
    only looked at."""
    text = " ".join(str(error).partition("\nLINE ")[0].split()) or type(error).__name__
    state = getattr(error, "sqlstate", None)
    schema = config.schema_name
    if "certificate verify failed" in text:
        return (
            f"{text}: the certificate of the server is not signed by an authority of `sslrootcert`, which is "
            f"{config.sslrootcert or '~/.postgresql/root.crt'}. Name the file of its authority there"
        )
    if "does not match host name" in text:
        return f"{text}; set `host` to a name in the certificate: `sslmode: {config.sslmode}` compares it"
    if "root certificate file" in text:
        return f"{text}; name the file with `sslrootcert`, or `system` for the authorities of this machine"
    if state == "57014":
        return (
            f"{text}; raise `statement_timeout`, which is {config.statement_timeout} s, and run again: the run resumes"
        )
    if state == "42501" and reads:
        return f"{text}; role '{config.username}' needs USAGE on schema '{schema}' and SELECT on the table"
    if state == "42501":
        return (
            f"{text}; role '{config.username}' needs USAGE and CREATE on schema '{schema}', or CREATE on the database "
            f"when the schema is missing, and it must own the tables"
        )
    if state == "0A000" and "view" in text:
        return (
            f"{text}: a value of the run needs a wider column. Drop the view and run again, which publishes; then "
            f"create the view again"
        )
    return text
