"""A table of BigQuery, read. BigQuery has no transaction that is read-only: a dry run, which costs nothing, names the
kind of the statement it sees, and only a SELECT is run."""

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from google.cloud import bigquery
from google.cloud.bigquery import SchemaField

from bizon.connectors.destinations.bigquery.src.request_policy import REQUEST_OPTIONS, connecting
from bizon.destination.readable import Answer, Cell, Exact, Field, NoTableError, NotReadError, TableReader, number

_JSON = "JSON"


def reader_of(client: bigquery.Client, table: bigquery.Table | None, name: str) -> "BigQueryReader":
    """Reads a table. Raises NoTableError for one that was not found."""
    if table is None:
        raise NoTableError(f"table '{name}'")
    return BigQueryReader(client, table)


class BigQueryReader(TableReader):
    """A table. Each request reads it as it is then."""

    def __init__(self, client: bigquery.Client, table: bigquery.Table) -> None:
        self.table = table.table_id
        self._client = client
        self._there = table

    def columns(self) -> Sequence[Field]:
        """As the table has them."""
        return _fields(self._there.schema)

    def count(self) -> int:
        """By a query, which costs nothing: the metadata of the table may lag."""
        found = self._run(f"SELECT COUNT(*) FROM `{self._name}`").result(**REQUEST_OPTIONS)
        return int(next(iter(found))[0])

    def rows(self, limit: int) -> Answer:
        """By the list of rows, which costs nothing."""
        as_text = [
            SchemaField(field.name, "STRING", mode=field.mode) if field.field_type == _JSON else field
            for field in self._there.schema
        ]
        with connecting(f"bigquery: table '{self._name}'"):
            found = self._client.list_rows(self._there, selected_fields=as_text, max_results=limit, **REQUEST_OPTIONS)
            return Answer(self.columns(), _rows(self._there.schema, found))

    def query(self, sql: str, limit: int) -> Answer:
        """Charged as any query of the table."""
        with connecting("bigquery: the SQL"):
            kind = self._run(sql, dry_run=True).statement_type
            if kind != "SELECT":
                raise NotReadError(f"bigquery: the SQL is a statement of type {kind}; only SELECT is run")
            found = self._run(sql).result(max_results=limit, **REQUEST_OPTIONS)
            return Answer(_fields(found.schema), _rows(found.schema, found))

    @property
    def _name(self) -> str:
        return f"{self._there.project}.{self._there.dataset_id}.{self._there.table_id}"

    def _run(self, sql: str, *, dry_run: bool = False) -> bigquery.QueryJob:
        dataset = bigquery.DatasetReference(self._there.project, self._there.dataset_id)
        config = bigquery.QueryJobConfig(default_dataset=dataset, dry_run=dry_run)
        return self._client.query(sql, job_config=config, **REQUEST_OPTIONS)


def _fields(schema: Sequence[SchemaField]) -> list[Field]:
    return [Field(each.name, f"{each.field_type}{' REPEATED' if each.mode == 'REPEATED' else ''}") for each in schema]


def _rows(schema: Sequence[SchemaField], found: Iterable[Any]) -> list[list[Cell]]:
    return [[_cell(each, value) for each, value in zip(schema, row.values(), strict=True)] for row in found]


def _cell(column: SchemaField, value: Any) -> Cell:
    if value is None or isinstance(value, bool):
        return value
    if column.field_type == _JSON and column.mode != "REPEATED":
        return Exact(value if isinstance(value, str) else json.dumps(value))
    if isinstance(value, int | float | Decimal):
        return number(f"{value:f}" if isinstance(value, Decimal) else repr(value))
    return Exact(json.dumps(value, default=_plain)) if isinstance(value, list | dict) else _plain(value)


def _plain(value: Any) -> str:
    """Dates, moments and bytes as text."""
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
