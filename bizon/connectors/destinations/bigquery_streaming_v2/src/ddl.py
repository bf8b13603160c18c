"""SQL that replaces a table by the rows of a query, with columns, partitions and clustering spelled out."""

import json
from collections.abc import Sequence

from google.cloud import bigquery
from google.cloud.bigquery import SchemaField

from bizon.common.errors.errors import DestinationError

_TYPES = {"BOOLEAN": "BOOL", "FLOAT": "FLOAT64", "INTEGER": "INT64", "RECORD": "STRUCT"}
_TRUNCATE = {"DATE": "DATE_TRUNC", "DATETIME": "DATETIME_TRUNC", "TIMESTAMP": "TIMESTAMP_TRUNC"}


def columns_of(schema: Sequence[SchemaField]) -> str:
    """Names of the columns, for SELECT and INSERT."""
    return ", ".join(_name(field.name) for field in schema)


def create_or_replace(table: bigquery.Table, schema: Sequence[SchemaField]) -> str:
    """``CREATE OR REPLACE TABLE`` without its query: ``schema``, and whatever else the table has now. It must not be
    partitioned by arrival."""
    parts = [f"CREATE OR REPLACE TABLE {table_name(table.reference)} ({', '.join(map(_column, schema))})"]
    if table.time_partitioning is not None:
        parts.append(f"PARTITION BY {_partition(table.time_partitioning, schema)}")
    if table.clustering_fields:
        parts.append(f"CLUSTER BY {', '.join(map(_name, table.clustering_fields))}")
    options = []
    if table.labels:
        pairs = ", ".join(f"({_text(key)}, {_text(value)})" for key, value in table.labels.items())
        options.append(f"labels=[{pairs}]")
    if table.description:
        options.append(f"description={_text(table.description)}")
    if options:
        parts.append(f"OPTIONS({', '.join(options)})")
    return " ".join(parts)


def table_name(table: bigquery.TableReference) -> str:
    """As SQL names it."""
    return f"`{table.project}.{table.dataset_id}.{table.table_id}`"


def _column(field: SchemaField) -> str:
    parts = [_name(field.name), _type(field)]
    if field.default_value_expression:
        parts.append(f"DEFAULT ({field.default_value_expression})")
    if field.mode == "REQUIRED":
        parts.append("NOT NULL")
    if field.description:
        parts.append(f"OPTIONS(description={_text(field.description)})")
    return " ".join(parts)


def _type(field: SchemaField) -> str:
    name = _TYPES.get(field.field_type, field.field_type)
    if name == "STRUCT":
        name = f"STRUCT<{', '.join(f'{_name(inner.name)} {_type(inner)}' for inner in field.fields)}>"
    return f"ARRAY<{name}>" if field.mode == "REPEATED" else name


def _partition(partitioning: bigquery.TimePartitioning, schema: Sequence[SchemaField]) -> str:
    kind = {field.name: field.field_type for field in schema}.get(partitioning.field)
    if kind is None:
        raise DestinationError(
            f"the table is partitioned by column '{partitioning.field}', which `record_schemas` does not have: add it, "
            f"or use another table"
        )
    column = _name(partitioning.field)
    if partitioning.type_ == "DAY":
        return column if kind == "DATE" else f"DATE({column})"
    return f"{_TRUNCATE[kind]}({column}, {partitioning.type_})"


def _name(column: str) -> str:
    return f"`{column}`"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
