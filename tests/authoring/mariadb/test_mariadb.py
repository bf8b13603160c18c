"""The ``mariadb`` destination claims the behaviours of every destination."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matrices
import pymysql
import pytest

from bizon.destination.config import AbstractDestinationConfig
from bizon.destination.discover import OutsideDestinationConfig, load_custom_destination
from bizon.destination.models import Owner
from bizon.destination.sql_claims import Claims
from bizon.destination.sql_target import MARIADB, SqlTarget
from bizon.source.models import SourceRecord
from bizon.testing.destination import DestinationConformance

FILE = Path(__file__).with_name("mariadb_destination.py")
MariadbDestination = load_custom_destination(FILE)


@pytest.mark.matrix(share=16, pool="databases as destinations")
class TestMariadb(DestinationConformance):
    exactly_once_in_stream = takes_parts = True
    client = ("pymysql",)
    most_interruptions = matrices.interruptions()
    misfit = SourceRecord(id="large", data={"text": "x" * 1_000_000})

    def target_error(self) -> Exception:
        return pymysql.OperationalError(2013, "Lost connection to server during query")

    @pytest.fixture
    def config(
        self,
        server: dict[str, Any],
        database: str,
        execute: Callable[..., list[dict[str, Any]]],
    ) -> AbstractDestinationConfig:
        """The ``destination`` block, with a new place for each test."""
        self.execute = execute
        # TLS costs more than all statements of a test: each connection reads the certificates of the machine
        settings = {
            **server,
            "tls": False,
            "database": database,
            "destination_id": "items",
            "largest_record": 1_000_000,
        }
        settings["destination_file_path"] = str(FILE)
        return OutsideDestinationConfig(name="custom", config=settings)

    def read(
        self,
        config: AbstractDestinationConfig,
        destination_id: str | None,
    ) -> list[dict[str, Any]]:
        """The rows of a published table; none if the table does not exist."""
        table, database = destination_id or "items", config.config.database
        query = "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
        if not self.execute(query, (database, table)):
            return []
        rows = self.execute(f"SELECT * FROM `{database}`.`{table}`")
        return [{name: in_utc(value) for name, value in row.items()} for row in rows]


def in_utc(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def test_table_names_are_case_sensitive_whatever_the_database_setting(
    server: dict[str, Any], database: str, execute: Callable[..., list[dict[str, Any]]]
) -> None:
    """A pipeline was refused a table when the table of another pipeline had the same name in different case."""
    execute(f"ALTER DATABASE `{database}` CHARACTER SET latin1 COLLATE latin1_swedish_ci")
    target = SqlTarget(pymysql, lambda: pymysql.connect(**server, database=database, ssl_disabled=True), MARIADB)
    claims = Claims(Owner("one", "source", "items"), lambda job_id: False)
    with target.transaction() as within:
        claims.create(within, MARIADB)
    columns = execute(
        "SELECT collation_name FROM information_schema.columns WHERE table_schema = %s AND collation_name IS NOT NULL",
        (database,),
    )
    target.close()
    assert {next(iter(column.values())) for column in columns} == {"utf8mb4_bin"}
