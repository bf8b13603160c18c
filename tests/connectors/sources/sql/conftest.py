"""A database of PostgreSQL for these tests alone: an open transaction of another test would hold back their windows."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from postgres import Place


@pytest.fixture(scope="session")
def postgres_server(postgres_server: Place) -> Iterator[Place]:
    """A new database on the server of the other tests."""
    name = f"bizon_{uuid4().hex[:12]}"
    postgres_server.rows(f"CREATE DATABASE {name} TEMPLATE template0")
    yield replace(postgres_server, database=name)
    postgres_server.rows(f"DROP DATABASE {name} WITH (FORCE)")
