"""SQL that puts staged rows into a table, and changes nothing else about it.

One transaction counts the rows and changes the table: when staging has gained or lost rows since it was verified,
nothing is published. A full refresh empties the table and fills it again; readers see the old rows or the new ones.

All statements are DML. BigQuery documents that TRUNCATE TABLE keeps the schema, with descriptions, policy tags,
defaults and modes, and everything around it: partitioning and its expiration, clustering, options, labels, the key of
its encryption, row access policies. BigQuery documents that other ways lose some of it: CREATE OR REPLACE TABLE and
WRITE_TRUNCATE of a query job lose schema, policies and descriptions; WRITE_TRUNCATE of a copy job takes the schema and
the row access policies from the source.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from google.cloud.bigquery import ArrayQueryParameter, SchemaField


@dataclass(frozen=True, slots=True)
class Staged:
    """Rows that wait: the rows of ``table_id`` for which ``where`` holds; ``rows`` is their number. ``schema``: the
    columns to publish."""

    table_id: str
    schema: Sequence[SchemaField]
    rows: int
    where: str = "TRUE"
    parameters: list[ArrayQueryParameter] = field(default_factory=list)


def columns_of(schema: Sequence[SchemaField]) -> str:
    """Names of the columns, for SELECT and INSERT."""
    return ", ".join(f"`{field.name}`" for field in schema)


def publishing(table_id: str, staged: Staged, *, replaces: bool) -> str:
    """Append the staged rows to a table, or replace its rows with them; does nothing if their number has changed."""
    columns, rows = columns_of(staged.schema), f"FROM `{staged.table_id}` WHERE {staged.where}"
    truncate = f"TRUNCATE TABLE `{table_id}`; " if replaces else ""
    return (
        f"BEGIN TRANSACTION; "
        f"ASSERT (SELECT COUNT(*) {rows}) = {staged.rows} AS 'staging was changed since it was verified'; "
        f"{truncate}INSERT INTO `{table_id}` ({columns}) SELECT {columns} {rows}; COMMIT TRANSACTION;"
    )
