"""Declared columns of files in the types of the kit."""

from typing import TYPE_CHECKING

from bizon.connectors.destinations.file.src.config import column_type, declared_type
from bizon.destination.declared import DeclaredColumn, Reading
from bizon.destination.unnest import Unnester

if TYPE_CHECKING:
    from bizon.destination.config import RecordSchemaConfig


def unnester(schema: "RecordSchemaConfig") -> Unnester:
    """The columns of one file.

    string: text of the value, a number as it was sent, an object or array as JSON. integer: 64 bits. float: any number
    within its range. boolean: true, false. date: ``2024-12-31``. datetime: RFC 3339, in UTC when it has no offset, cut
    to microseconds; or a date. json: the value as JSON text, its numbers as they were sent. Numbers in quotes are not
    numbers. Half a surrogate pair is not text.
    """
    columns = [
        DeclaredColumn(column.name, declared_type(column.type), column_type(column.type).value)
        for column in schema.record_schema
    ]
    reading = Reading("file", column_first=True, sent_numbers=True, by_columns=True)
    return Unnester(schema.destination_id, columns, reading)
