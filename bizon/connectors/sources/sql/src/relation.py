"""The rows that a stream reads: a table, a view or a query, with its columns and its key."""

from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.sql.src.catalogue import Catalogue, nearest
from bizon.connectors.sources.sql.src.failures import in_a_transaction
from bizon.connectors.sources.sql.src.flavour import Column, Table, quoted

if TYPE_CHECKING:
    from bizon.connectors.sources.sql.src.config import SqlSourceConfig
    from bizon.connectors.sources.sql.src.databases import Database


class Relation(NamedTuple):
    """``columns``: those to deliver. ``key``: identifies a record; empty when nothing does. ``is_unique``: the database
    guarantees it. ``nullable``: the columns of the key that may be null. ``cursor``: tells what changed; None in a full
    refresh."""

    clause: "sa.FromClause | sa.TextClause"
    where: "sa.TextClause | None"
    columns: list[Column]
    key: list[Column]
    is_unique: bool
    nullable: list[Column]
    cursor: Column | None

    def select(self, *selected: Any) -> "sa.Select[Any]":
        """A statement on the records that the configuration does not refuse."""
        statement = sa.select(*selected).select_from(self.clause)
        return statement if self.where is None else statement.where(self.where)


def relation_of(config: "SqlSourceConfig", database: "Database") -> Relation:
    """The relation that the configured stream reads; asks the database. Raises SourceFetchError for a name that
    does not exist."""
    query = config.queries.get(config.stream)
    catalogue = Catalogue(database)
    table = None if query is not None else catalogue.table(config.stream)
    quotes_all = database.flavour.quotes_all
    clause = table.clause(quotes_all=quotes_all) if table is not None else _raw(f"(\n{query}\n) bizon_query")
    found = _columns(database, clause, table)
    by_name = {column.name: column for column in found}
    chosen = found if config.columns == ("*",) else [_named(by_name, name, "columns") for name in config.columns]
    own = catalogue.key_of(table) if table is not None else []
    if table is not None:
        by_name |= {name: Column(name, convert=None) for name in database.flavour.hidden_columns if name not in by_name}
    key = [_named(by_name, name, "primary_key") for name in config.primary_key or own]
    cursor = None
    if config.is_incremental and config.cursor_field is not None:
        cursor = _named(by_name, config.cursor_field, "cursor_field")
    where = None if config.where is None else _raw(f"(\n{config.where}\n)")
    is_unique = bool(own) and {*own} <= {column.name for column in key}
    nullable = [column for column in key if column.name not in own or database.flavour.keys_may_be_null]
    return Relation(clause, where, chosen, key, is_unique, nullable, cursor)


def _columns(database: "Database", clause: Any, table: Table | None) -> list[Column]:
    statement = sa.select(sa.text("*")).select_from(clause).where(sa.literal_column("1") == sa.literal_column("0"))

    def ask(connection: "sa.Connection") -> list[Column]:
        result = connection.execute(statement)
        found = database.flavour.described(connection, result, table)
        result.close()
        return found

    found = in_a_transaction(database.flavour, database.reading, ask)
    names = [column.name for column in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SourceFetchError(f"the query has two columns '{twice}'; name one of them with AS")
    quotes_all = database.flavour.quotes_all
    return [column._replace(name=quoted(column.name, quotes_all=quotes_all)) for column in found]


def _named(columns: dict[str, Column], name: str, key: str) -> Column:
    found = columns.get(name)
    if found is None:
        raise SourceFetchError(f"source.{key}: there is no column '{name}'{nearest(name, columns)}")
    return found


def _raw(text: str) -> "sa.TextClause":
    """SQL of the user, in which no colon is a parameter."""
    return sa.text(text.replace(":", "\\:"))
