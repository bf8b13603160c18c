"""A schema of a Postgres server for one script: the server of BIZON_TEST_POSTGRES_URL, else the one on this machine."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import quote, unquote, urlsplit

import psycopg

_USUAL = "postgresql://postgres@127.0.0.1:5432/test"


def place() -> dict[str, str | int]:
    """The keys of ``destination.config`` that say where the server is."""
    parts = urlsplit(os.environ.get("BIZON_TEST_POSTGRES_URL") or _USUAL)
    return {
        "host": parts.hostname or "127.0.0.1",
        "port": parts.port or 5432,
        "username": unquote(parts.username or "postgres"),
        "password": unquote(parts.password or ""),
        "database": parts.path.strip("/") or "test",
    }


def url() -> str:
    """The same as an address."""
    at = place()
    user, password = quote(str(at["username"]), safe=""), quote(str(at["password"]), safe="")
    return f"postgresql://{user}:{password}@{at['host']}:{at['port']}/{at['database']}"


@contextmanager
def connected(*, autocommit: bool = False) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """Within: a connection to the server."""
    at = place()
    with closing(
        psycopg.connect(
            host=str(at["host"]),
            port=int(at["port"]),
            user=str(at["username"]),
            password=str(at["password"]) or None,
            dbname=str(at["database"]),
            autocommit=autocommit,
        )
    ) as connection:
        yield connection


@contextmanager
def schema(name: str) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """Within: a connection to an empty schema, which is dropped afterwards."""
    with connected() as connection:
        named = psycopg.sql.Identifier(name)
        drop = psycopg.sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(named)
        connection.execute(drop)
        connection.execute(psycopg.sql.SQL("CREATE SCHEMA {}").format(named))
        connection.execute(psycopg.sql.SQL("SET search_path TO {}").format(named))
        connection.execute("SET TimeZone = 'UTC'")
        connection.commit()
        try:
            yield connection
        finally:
            connection.rollback()
            connection.execute(drop)
            connection.commit()
