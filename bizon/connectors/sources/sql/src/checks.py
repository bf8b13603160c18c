"""Checks against lost records: keys that are null or not unique, and cursors that are null."""

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from bizon.common.errors.errors import SourceFetchError

if TYPE_CHECKING:
    from bizon.connectors.sources.sql.src.flavour import Column, Flavour
    from bizon.connectors.sources.sql.src.relation import Relation


def no_null_in_key(connection: "sa.Connection", flavour: "Flavour", relation: "Relation") -> None:
    """Raise SourceFetchError for a record whose key is null: no page would reach it."""
    for column in relation.nullable:
        if _has_null(connection, flavour, relation, column):
            raise SourceFetchError(
                f"column '{column.name}' of the primary key is null in some records, which no page would reach: choose "
                "another source.primary_key, or leave them out with source.where"
            )


def no_null_cursor(connection: "sa.Connection", flavour: "Flavour", relation: "Relation", cursor: "Column") -> None:
    """Raise SourceFetchError for a record whose cursor is null."""
    if _has_null(connection, flavour, relation, cursor):
        raise SourceFetchError(
            f"column '{cursor.name}' is null in some records, and source.null_cursor is fail: no incremental run would "
            "find them"
        )


def may_be_equal(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether a database could take two keys for equal: texts that differ only in case, accents or spaces."""
    return [_folded(each) for each in one] == [_folded(each) for each in other]


def not_unique(key: "Sequence[Column]") -> SourceFetchError:
    """The error for two records with the same key, which no pages could tell apart."""
    names = ", ".join(column.name for column in key)
    return SourceFetchError(
        f"source.primary_key ({names}) does not identify a record: two have the same, and one of them would be lost "
        "between two pages. Add columns to it"
    )


def _has_null(connection: "sa.Connection", flavour: "Flavour", relation: "Relation", column: "Column") -> bool:
    statement = relation.select(sa.literal_column("1")).where(flavour.is_null(column)).limit(1)
    return connection.execute(statement).first() is not None


def _folded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = unicodedata.normalize("NFKD", value.casefold())
    return "".join(each for each in parts if not unicodedata.combining(each)).strip()
