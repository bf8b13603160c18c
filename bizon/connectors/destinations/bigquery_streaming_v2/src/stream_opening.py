"""Streams of a table that has just got new columns: the API knows them some seconds later."""

from collections.abc import Callable, Sequence

from google.api_core import exceptions
from google.cloud.bigquery import SchemaField
from google.cloud.bigquery_storage_v1 import types

from bizon.common.waiting import rest

_WAITS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0, 30.0, 30.0)  # seconds between looks
_DECIMALS = {"NUMERIC": ("NUMERIC", "BIGNUMERIC"), "BIGNUMERIC": ("BIGNUMERIC",)}


def opened(
    look: Callable[[], types.WriteStream], fields: Sequence[SchemaField], sleep: Callable[[float], None] = rest
) -> types.WriteStream:
    """The stream that ``look`` returns, once its table has these columns, with decimals that hold theirs: until then, a
    value for a column that was widened would be refused as a value of the old type. After two minutes, the stream as it
    is. A stream that names no columns tells nothing, and is taken."""
    for wait in _WAITS:
        try:
            stream = look()
        except exceptions.NotFound:  # a new table
            sleep(wait)
            continue
        known = {field.name.lower(): field.type_.name for field in stream.table_schema.fields}
        if not known or all(_is_known(field, known) for field in fields):
            return stream
        sleep(wait)
    return look()


def _is_known(field: SchemaField, known: dict[str, str]) -> bool:
    found = known.get(field.name.lower())
    return found is not None and found in _DECIMALS.get(field.field_type, (found,))
