"""A table whose columns follow its records: the columns that it lacks, and those that have to be wider."""

from collections.abc import Sequence
from typing import Any

from google.cloud.bigquery import SchemaField

from bizon.common.errors.errors import DestinationError
from bizon.connectors.destinations.bigquery.src.inferred_types import kind_of
from bizon.connectors.destinations.bigquery.src.merging import relaxed
from bizon.destination.column_types import holds


def grown(there: Sequence[SchemaField], wanted: Sequence[SchemaField], table: str) -> list[SchemaField]:
    """The columns of a table, each with the one of both types that holds the other, followed by the wanted ones that
    it lacks. A column that is not wanted, or wanted nullable, becomes so. Raises DestinationError where neither type
    holds the other."""
    by_name = {field.name.lower(): field for field in wanted}
    kept = [_wider(field, by_name.pop(field.name.lower(), None), table) for field in there]
    return [*kept, *by_name.values()]


def retyped(there: Sequence[SchemaField], grown: Sequence[SchemaField]) -> list[SchemaField]:
    """The columns that have another type in ``grown``."""
    before = {field.name.lower(): kind_of(field) for field in there}
    return [field for field in grown if before.get(field.name.lower(), kind_of(field)) != kind_of(field)]


def _wider(there: SchemaField, wanted: SchemaField | None, table: str) -> SchemaField:
    if wanted is None:
        return relaxed(there)
    found, needed = kind_of(there), kind_of(wanted)
    there = there if wanted.mode == "REQUIRED" else relaxed(there)
    if found == needed:
        return there
    if found is None or needed is None or not (holds(found, needed) or holds(needed, found)):
        raise DestinationError(
            f"column '{there.name}' of table '{table}' is {there.field_type}, which does not take the "
            f"{wanted.field_type} values of this run: was its type changed since? Change it back, or drop the column, "
            f"and run again"
        )
    if holds(found, needed):
        return there
    shown: dict[str, Any] = {**there.to_api_repr(), "type": wanted.field_type}
    shown.pop("precision", None)
    shown.pop("scale", None)
    return SchemaField.from_api_repr(shown)
