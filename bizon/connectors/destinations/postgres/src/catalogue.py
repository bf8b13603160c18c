"""Tables as the catalogue of Postgres has them: columns, what depends on a table, and its indexes."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from bizon.common.errors.errors import DestinationConnectionError, TableRefusedError
from bizon.connectors.destinations.postgres.src.types import TYPES

if TYPE_CHECKING:
    from bizon.connectors.destinations.postgres.src.config import PostgresDetailsConfig
    from bizon.destination.column_types import ColumnType
    from bizon.destination.sql_target import Transaction

_DATABASE = """
SELECT current_setting('server_encoding'), s.oid IS NOT NULL, CASE WHEN s.oid IS NULL
    THEN has_database_privilege(current_database(), 'CREATE')
    ELSE has_schema_privilege(s.oid, 'CREATE') AND has_schema_privilege(s.oid, 'USAGE') END
FROM (SELECT ?::text AS name) n LEFT JOIN pg_namespace s ON s.nspname = ?
"""
_FIND = (
    "SELECT c.oid, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = ? AND c.relname = ?"
)
_COLUMNS = (
    "SELECT attname, format_type(atttypid, atttypmod), attgenerated <> '' OR attidentity = 'a' "
    "FROM pg_attribute WHERE attrelid = ? AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)
_DEPENDS = """
SELECT FROM pg_class c WHERE oid = ? AND (relacl IS NOT NULL OR relhasindex OR relhasrules OR relhastriggers
    OR relhassubclass OR relispartition OR relrowsecurity OR relforcerowsecurity OR reloptions IS NOT NULL
    OR relreplident <> 'd' OR relkind <> 'r' OR relpersistence <> 'p' OR reltablespace <> 0 OR reloftype <> 0
    OR relowner <> current_user::regrole
    OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
        AND (attacl IS NOT NULL OR atthasdef OR attnotnull OR attidentity <> ''
            OR strpos(attoptions::text, 'n_distinct') > 0))
    OR EXISTS (SELECT FROM pg_description WHERE objoid = c.oid AND classoid = 'pg_class'::regclass)
    OR EXISTS (SELECT FROM pg_seclabel WHERE objoid = c.oid AND classoid = 'pg_class'::regclass)
    OR EXISTS (SELECT FROM pg_depend WHERE deptype <> 'i'
        AND (refclassid = 'pg_class'::regclass AND refobjid = c.oid
            OR refclassid = 'pg_type'::regclass AND refobjid = c.reltype))
    OR EXISTS (SELECT FROM pg_publication))
"""
"""Finds a table that has more than columns and rows. A publication may cover tables without naming them."""
_KEY_INDEX = """
SELECT FROM pg_index i WHERE indrelid = ? AND indisunique AND indisvalid AND indpred IS NULL AND indexprs IS NULL
    AND indimmediate AND indnkeyatts = cardinality(?::text[]) AND NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = i.indrelid AND attnum = ANY (indkey[0:indnkeyatts - 1])
            AND attname <> ALL (?::text[]))
"""
_OLD_INDEXES = """
SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = ? AND starts_with(c.relname::text, '_bizon_key_')
"""


def check_database(within: "Transaction", place: str, config: "PostgresDetailsConfig") -> bool:
    """Whether the schema exists. Raises DestinationConnectionError for a database that does not hold every text, and
    for one in which the role cannot create tables."""
    schema = config.schema_name
    encoding, exists, may_create = within.rows(_DATABASE, schema, schema)[0]
    if encoding != "UTF8":
        raise DestinationConnectionError(
            f"{place}: the encoding of the database is {encoding}, which does not hold every text; create a database "
            f"with ENCODING 'UTF8'"
        )
    if not may_create:
        needs = f"USAGE and CREATE on schema '{schema}'" if exists else "CREATE on the database, to create the schema"
        raise DestinationConnectionError(f"{place}: role '{config.username}' needs {needs}")
    return bool(exists)


def find(within: "Transaction", schema: str, table: str) -> int | None:
    """The id of a table; None when there is none. Raises TableRefusedError for a view and the like."""
    found = within.rows(_FIND, schema, table)
    if not found:
        return None
    oid, kind = found[0]
    if kind not in ("r", "p"):
        raise TableRefusedError(f"'{table}' in schema '{schema}' is not a table: write to another destination_id")
    return int(oid)


def columns_of(within: "Transaction", schema: str, table: str) -> Mapping[str, "ColumnType | None"]:
    """The columns of a table, locked against changes until the transaction ends; empty when there is no table. None for
    a column whose values somebody else makes, or whose type would change them."""
    if find(within, schema, table) is None:
        return {}
    within.run("LOCK TABLE ONLY {table} IN ACCESS SHARE MODE", table=table)
    oid = find(within, schema, table)  # the lock may have waited for a table of this name to be replaced
    found = within.rows(_COLUMNS, oid)
    return {name: None if is_made else TYPES.column(kind) for name, kind, is_made in found}


def depends(within: "Transaction", schema: str, table: str) -> bool:
    """Whether something would be lost with a table: grants, views, indexes, comments, defaults, and so on."""
    return bool(within.rows(f"{_DEPENDS} LIMIT 1", find(within, schema, table)))


def ensure_key_index(within: "Transaction", schema: str, table: str, keys: Sequence[str], *more: str) -> None:
    """Create the unique index that a merge needs, unless the table has one on these columns. One that was created for
    other keys would refuse rows, and is dropped. ``more``: columns that get an index each with it. Raises
    psycopg.errors.UniqueViolation when rows have the same key."""
    oid = find(within, schema, table)
    if within.rows(_KEY_INDEX, oid, list(keys), list(keys)):
        return
    for (name,) in within.rows(_OLD_INDEXES, oid):
        within.run("DROP INDEX {index}", index=name)
    names = {f"c{number}": key for number, key in enumerate(keys)}
    columns = ", ".join(f"{{{key}}}" for key in names)
    digest = sha256("\0".join((table, *keys)).encode()).hexdigest()[:16]
    within.run(
        f"CREATE UNIQUE INDEX {{index}} ON {{table}} ({columns})", index=f"_bizon_key_{digest}", table=table, **names
    )
    for column in more:
        within.run("CREATE INDEX ON {table} ({column})", table=table, column=column)
