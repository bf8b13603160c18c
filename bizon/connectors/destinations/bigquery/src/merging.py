"""The schema of a table that is there, widened by the columns that a run needs."""

from collections.abc import Sequence

from google.cloud.bigquery import SchemaField

from bizon.common.errors.errors import DestinationError
from bizon.connectors.destinations.bigquery.src.column_config import ColumnMode

_ALIASES = {"FLOAT64": "FLOAT", "INT64": "INTEGER", "BOOL": "BOOLEAN", "STRUCT": "RECORD", "DECIMAL": "NUMERIC"}


def merged(there: Sequence[SchemaField], wanted: Sequence[SchemaField], table: str) -> list[SchemaField]:
    """The columns of a table, followed by the wanted ones that it lacks, as nullable. A column that is no longer
    wanted, or no longer required, becomes nullable, too. Raises DestinationError for a column of another type."""
    by_name = {field.name.lower(): field for field in wanted}
    kept = [_kept(field, by_name.pop(field.name.lower(), None), table) for field in there]
    return kept + [relaxed(field) for field in by_name.values()]


def _kept(there: SchemaField, wanted: SchemaField | None, table: str) -> SchemaField:
    if wanted is None:
        return relaxed(there)
    if _type(there) != _type(wanted) or (there.mode == ColumnMode.REPEATED) != (wanted.mode == ColumnMode.REPEATED):
        raise DestinationError(
            f"column '{there.name}' of table '{table}' is {_described(there)}, record_schemas says "
            f"{_described(wanted)}: BigQuery cannot change it; use another table, or the type it has"
        )
    may_be_null = there.mode == ColumnMode.REQUIRED and wanted.mode != ColumnMode.REQUIRED
    fields = merged(there.fields, wanted.fields, table) if there.fields else ()
    if not may_be_null and list(fields) == list(there.fields):
        return there
    return copied(there, "NULLABLE" if may_be_null else there.mode, fields)


def relaxed(field: SchemaField) -> SchemaField:
    """The column, which may be null."""
    return copied(field, "NULLABLE", field.fields) if field.mode == ColumnMode.REQUIRED else field


def copied(field: SchemaField, mode: str, fields: Sequence[SchemaField]) -> SchemaField:
    """A column with another mode and other nested columns; everything else of it stays."""
    shown = field.to_api_repr()
    return SchemaField.from_api_repr({**shown, "mode": mode, "fields": [inner.to_api_repr() for inner in fields]})


def _type(field: SchemaField) -> str:
    return _ALIASES.get(field.field_type.upper(), field.field_type.upper())


def _described(field: SchemaField) -> str:
    return f"{_type(field)} {field.mode}" if field.mode == ColumnMode.REPEATED else _type(field)
