"""Postgres tables by the real command."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from connectors.destinations.postgres import test_postgres_rules as rules
from connectors.destinations.postgres.kit import settings, tables
from e2e.tables.look_cases import LOOKS, RECORDS, ClosedCases, LookCases
from e2e.tables.merge_cases import MergeCases
from e2e.tables.table_cases import OUTCOMES_OF_VERIFY, FlattenCases, ReaderCases, RescueCases, VerifyCases
from e2e.tables.table_kit import Table
from ports import free_port
from postgres import Place


class PostgresTable(Table):
    def __init__(self, folder: Path, place: Place) -> None:
        suite = rules.TestPostgres()
        suite.at = self.place = place
        super().__init__(folder, "postgres", suite, **settings(place))

    def leftovers(self) -> list[str]:
        return [name for name in tables(self.place) if name not in ("items", "_bizon_outputs")]


@pytest.mark.matrix(share=40, pool="tables by the command")
class TestPostgres(FlattenCases, ReaderCases, RescueCases, VerifyCases, MergeCases, LookCases, ClosedCases):
    looks = [words for words in LOOKS if words[0] == "show"]
    """The catalogue is open to everybody."""
    types = {"n": "bigint", "big": "numeric(38,0)", "object": "json", "share": "double precision", "yes": "boolean"}
    types |= {"at": "timestamp with time zone", "day": "date", "text": "text"}
    writes = (
        "WITH gone AS (DELETE FROM items RETURNING *) SELECT * FROM gone",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "SELECT nextval('numbers')",
        "COMMIT; DELETE FROM items",
        "COPY items TO PROGRAM 'true'",
        "DO $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM items; END $$",
    )
    outcomes = OUTCOMES_OF_VERIFY

    @pytest.fixture
    def table(self, tmp_path: Path, postgres: Place) -> PostgresTable:
        return PostgresTable(tmp_path, postgres)

    @pytest.fixture
    def loaded(self, table: PostgresTable) -> PostgresTable:
        table.load(RECORDS)
        table.place.rows("CREATE SEQUENCE numbers")
        return table

    @contextmanager
    def forbidden(self, table: Any) -> Iterator[str]:
        """For a role that may only look at the schema."""
        role, place = f"bizon_test_{uuid4().hex[:12]}", table.place
        place.rows(f"CREATE ROLE {role} LOGIN PASSWORD 'pw'")
        try:
            place.rows(f"GRANT USAGE ON SCHEMA {place.quoted_schema} TO {role}")
            table.destination(username=role, password="pw")
            yield f"role '{role}' needs USAGE on schema '{place.schema}' and SELECT on the table"
        finally:
            place.rows(f"DROP OWNED BY {role}")
            place.rows(f"DROP ROLE {role}")

    @contextmanager
    def unreachable(self, table: Any) -> Iterator[str]:
        table.destination(port=free_port())
        yield "Connection refused"
