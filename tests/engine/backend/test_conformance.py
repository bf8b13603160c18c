"""Every backend passes the suite."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from bigquery import Warehouse
from emulator.serve import Google
from poolers import POOLED, POOLERS
from postgres import Place, PrivateServer

from bizon.engine.backend.adapters.sqlalchemy.backend import SQLAlchemyBackend
from bizon.engine.backend.adapters.sqlalchemy.config import BigQueryConfigDetails, SQLiteConfigDetails
from bizon.engine.backend.adapters.sqlalchemy.tables import schema_version
from bizon.engine.backend.config import BackendTypes
from bizon.testing.backend import BackendConformance, SharedBackendConformance
from bizon.testing.backend_fixtures import OpenBackend
from bizon.testing.backend_partitions import PartBehaviours


@pytest.mark.lesson("F-22", "F-47")
class TestSQLiteInMemory(BackendConformance):
    @pytest.fixture
    def open_backend(self) -> OpenBackend:
        return partial(SQLAlchemyBackend, SQLiteConfigDetails(), BackendTypes.SQLITE_IN_MEMORY)


@pytest.mark.matrix(share=4, pool="states")
@pytest.mark.lesson("F-08", "F-12")
class TestSQLite(SharedBackendConformance, PartBehaviours):
    @pytest.fixture
    def open_backend(self, tmp_path: Path) -> OpenBackend:
        return partial(SQLAlchemyBackend, SQLiteConfigDetails(database=str(tmp_path / "state")), BackendTypes.SQLITE)


@pytest.mark.matrix(share=4, pool="state in Postgres")
@pytest.mark.lesson("F-08", "F-12")
class TestPostgres(SharedBackendConformance, PartBehaviours):
    @pytest.fixture
    def open_backend(self, postgres: Place) -> OpenBackend:
        return partial(SQLAlchemyBackend, postgres.details(), BackendTypes.POSTGRES)


class TestPooledPostgres(SharedBackendConformance):
    """By way of a pooler that gives each transaction another session."""

    @pytest.fixture(params=POOLERS)
    def open_backend(self, private_postgres: PrivateServer, request: pytest.FixtureRequest) -> Iterator[OpenBackend]:
        with POOLED[request.param](private_postgres.place) as through:
            yield partial(SQLAlchemyBackend, through.details(), BackendTypes.POSTGRES)


@pytest.fixture(scope="module")
def kept_warehouse(google: Google) -> Iterator[Warehouse]:
    """A warehouse for several tests: its tables take the emulator longer than most of the tests."""
    made = Warehouse(google)
    yield made
    made.close()


@pytest.mark.matrix(share=24, pool="state in BigQuery")  # the emulator takes seconds for most of them
@pytest.mark.lesson("F-08", "F-12")
class TestBigQuery(SharedBackendConformance):
    """Against the emulator."""

    rounds, starts = 4, 3
    takes_members = False

    @pytest.fixture
    def open_backend(self, request: pytest.FixtureRequest) -> OpenBackend:
        """A test that asks for ``backend`` finds empty tables; another finds none."""
        has_tables = "backend" in request.fixturenames
        warehouse: Warehouse = request.getfixturevalue("kept_warehouse" if has_tables else "warehouse")
        filled = [name for name in warehouse.tables() if name != schema_version.name]
        if filled:
            warehouse.ask("; ".join(f"DELETE FROM `{warehouse.dataset}.{name}` WHERE TRUE" for name in filled))
        place = {"database": warehouse.project, "schema": warehouse.dataset}
        config = BigQueryConfigDetails(**place, api_endpoint=warehouse.google.api_endpoint)
        return partial(SQLAlchemyBackend, config, BackendTypes.BIGQUERY)


def test_a_suite_without_a_backend_names_the_missing_fixture() -> None:
    fixture = BackendConformance.open_backend.__wrapped__  # type: ignore[attr-defined]
    with pytest.raises(NotImplementedError, match="BackendConformance needs a fixture open_backend"):
        fixture(BackendConformance())
