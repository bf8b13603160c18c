"""A MariaDB server of these tests alone."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pymysql
import pytest
from mariadb import private_server

Execute = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="session")
def server() -> Iterator[dict[str, Any]]:
    """How to connect to the server."""
    with private_server() as access:
        yield access


@pytest.fixture(scope="session")
def execute(server: dict[str, Any]) -> Iterator[Execute]:
    kind = pymysql.cursors.DictCursor
    with closing(pymysql.connect(**server, ssl_disabled=True, autocommit=True, cursorclass=kind)) as connection:

        def execute(statement: str, parameters: Any = None) -> list[dict[str, Any]]:
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return list(cursor.fetchall())

        yield execute


@pytest.fixture
def database(execute: Execute) -> Iterator[str]:
    """The name of a new, empty database."""
    name = f"bizon_{uuid.uuid4().hex[:12]}"
    execute(f"CREATE DATABASE {name}")
    yield name
    execute(f"DROP DATABASE {name}")
