"""SQL that puts staged rows into a table, and changes nothing else of it.

A full refresh empties the table and fills it again in one transaction, of which readers see the beginning or the end.
Both statements are DML. BigQuery documents that TRUNCATE TABLE keeps the schema, with descriptions, policy tags,
defaults and modes, and everything around it: partitioning and its expiration, clustering, options, labels, the key of
its encryption, row access policies. Ways that BigQuery documents to lose some of it: CREATE OR REPLACE TABLE and
WRITE_TRUNCATE of a query job (schema, policies, descriptions), WRITE_TRUNCATE of a copy job (the schema and the row
access policies become those of the source).
"""

from collections.abc import Sequence

from google.cloud.bigquery import SchemaField


def columns_of(schema: Sequence[SchemaField]) -> str:
    """Names of the columns, for SELECT and INSERT."""
    return ", ".join(f"`{field.name}`" for field in schema)


def appending(table_id: str, columns: str, query: str) -> str:
    """Append the rows of a query, whose columns are these."""
    return f"INSERT INTO `{table_id}` ({columns}) {query}"


def replacing(table_id: str, columns: str, query: str) -> str:
    """Replace all rows by those of a query, whose columns are these."""
    return f"BEGIN TRANSACTION; TRUNCATE TABLE `{table_id}`; {appending(table_id, columns, query)}; COMMIT TRANSACTION;"
