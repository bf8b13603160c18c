"""The types of columns in Postgres."""

from bizon.destination.column_types import TEXT, decimal
from bizon.destination.type_names import TypeNames

TYPES = TypeNames(
    others={
        "integer": decimal(9),
        "smallint": decimal(4),
        "numeric": decimal(76, 38),
        "character varying": TEXT,
    }
)
"""Other types are left alone.

JSON is ``json``, which keeps its text. ``jsonb`` changes it: it drops all but one of equal keys, and returns other text
than was written. It refuses numbers of more than 131,072 digits, NUL and half a surrogate pair, with the whole batch.
"""
