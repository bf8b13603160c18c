"""The tables and views of a database, by SQLAlchemy's inspector."""

import difflib
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, NoSuchTableError

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.sql.src.failures import explained
from bizon.connectors.sources.sql.src.flavour import Table
from bizon.source.models import OfferedStream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bizon.connectors.sources.sql.src.databases import Database

_MOST_NAMED = 8


class Catalogue:
    """Reads names, keys and estimates. Raises SourceFetchError when the database refuses."""

    def __init__(self, database: "Database") -> None:
        self._database = database

    def offered(self) -> list[OfferedStream]:
        """The tables and views of all schemas, with estimates. Names of the default schema come without it."""
        try:
            with self._database.inspecting.connect() as connection:
                inspector = sa.inspect(connection)
                default = inspector.default_schema_name
                schemas = self._database.flavour.schemas(inspector.get_schema_names())
                found: list[OfferedStream] = []
                for schema in sorted(schemas, key=lambda name: (name != default, name)):
                    counts = self._database.flavour.estimates(connection, schema)
                    prefix = "" if schema == default else f"{schema}."
                    for name in inspector.get_table_names(schema):
                        kind = "table" if _key(inspector, Table(name, schema)) else "table without a primary key"
                        found.append(OfferedStream(f"{prefix}{name}", kind, counts.get(name)))
                    found += [OfferedStream(f"{prefix}{name}", "view") for name in _views(inspector, schema)]
                return found
        except DBAPIError as error:
            raise explained(self._database.flavour, error) from error.orig

    def table(self, stream: str) -> Table:
        """The table or view that a stream names. Raises SourceFetchError, with the nearest name, when there is none."""
        try:
            with self._database.inspecting.connect() as connection:
                inspector = sa.inspect(connection)
                found = next((each for each in _readings(stream) if _exists(inspector, each)), None)
                if found is not None:
                    return found
                names = [each.name for each in self.offered()]
        except DBAPIError as error:
            raise explained(self._database.flavour, error) from error.orig
        raise SourceFetchError(f"there is no table, view or query '{stream}'{nearest(stream, names)}")

    def key_of(self, table: Table) -> list[str]:
        """The columns of the primary key; none for a view, or a table without one."""
        try:
            with self._database.inspecting.connect() as connection:
                return _key(sa.inspect(connection), table)
        except DBAPIError as error:
            raise explained(self._database.flavour, error) from error.orig


def nearest(wrong: str, names: "Iterable[str]") -> str:
    """The end of an error about a name that does not exist."""
    every = list(names)
    by_folded = {each.lower(): each for each in every}
    close = difflib.get_close_matches(wrong.lower(), by_folded, n=1)
    by_tail = [each for each in every if each.rpartition(".")[2].lower() == wrong.rpartition(".")[2].lower()]
    hint = by_tail[0] if by_tail else by_folded[close[0]] if close else None
    some = ", ".join(every[:_MOST_NAMED]) + (
        f" and {len(every) - _MOST_NAMED} more" if len(every) > _MOST_NAMED else ""
    )
    return f"{f'; did you mean {hint!r}?' if hint else ''} (there are: {some or 'none'})"


def _key(inspector: "sa.Inspector", table: Table) -> list[str]:
    try:
        return list(inspector.get_pk_constraint(table.name, table.schema)["constrained_columns"])
    except (NoSuchTableError, NotImplementedError):  # gone meanwhile, or a dialect that knows no keys
        return []


def _views(inspector: "sa.Inspector", schema: str) -> list[str]:
    views = inspector.get_view_names(schema)
    try:
        return sorted({*views, *inspector.get_materialized_view_names(schema)})
    except NotImplementedError:  # a dialect without materialized views
        return list(views)


def _readings(stream: str) -> "Iterable[Table]":
    """A name without a schema, or with one; a name may have dots in it."""
    yield Table(stream)
    schema, dot, name = stream.partition(".")
    if dot and schema and name:
        yield Table(name, schema)


def _exists(inspector: "sa.Inspector", table: Table) -> bool:
    try:
        return inspector.has_table(table.name, table.schema)
    except NotImplementedError:  # a dialect that only lists its tables
        names = {*inspector.get_table_names(table.schema), *inspector.get_view_names(table.schema)}
        return table.name in names
