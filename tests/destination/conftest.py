"""The engines that merge."""

from collections.abc import Iterator

import pytest
from destination.merge_engine import Engine, in_duckdb, in_postgres


@pytest.fixture(params=["postgres", "duckdb"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with in_duckdb() if request.param == "duckdb" else in_postgres(request.getfixturevalue("postgres_server")) as made:
        yield made
