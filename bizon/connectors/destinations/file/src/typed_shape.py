"""Rows of inferred columns: each file has a schema, which follows its records.

A column stays where it was first, and new ones come at the end, also in CSV. The manifest of a file names its columns;
the receipt of a batch names those that the batch has added or widened. So a start knows the columns of the rows that
count, and no others.
"""

from typing import TYPE_CHECKING

import polars as pl

from bizon.connectors.destinations.file.src.config import declared_type, path_stem
from bizon.destination.column_names import NameRules
from bizon.destination.columns import frame_type
from bizon.destination.system_columns import SYSTEM_COLUMNS
from bizon.destination.typed_batch import Planner, There
from bizon.destination.typed_outputs import TypedOutputs

if TYPE_CHECKING:
    from bizon.connectors.destinations.file.src.config import FileDestinationDetailsConfig


class TypedShape(TypedOutputs):
    """The typed rows of every file of a run."""

    def __init__(self, config: "FileDestinationDetailsConfig") -> None:
        self._format = config.format
        declared = {
            path_stem(schema.destination_id, config.format): {
                column.name: declared_type(column.type) for column in schema.record_schema
            }
            for schema in config.record_schemas or ()
        }
        rules = NameRules(snake_case=config.has_snake_case)
        super().__init__(Planner(rules, config.mode, config.flatten, declared=declared))

    def empty(self, destination_id: str) -> pl.DataFrame:
        """A frame without rows, with the columns of the file."""
        columns = {**SYSTEM_COLUMNS, **self._columns[self._key(destination_id)]}
        return pl.DataFrame(schema={name: frame_type(kind) for name, kind in columns.items() if kind is not None})

    def shape(self, destination_id: str, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows to write. Raises RowsRejectedError for records that are not objects, and, in schema mode strict, for
        those that do not fit; the columns are the old ones then."""
        plan = self.plan(destination_id, frame)
        self.keep(destination_id, plan)
        return _in_order(plan.frame, plan.after)

    def _key(self, output: str) -> str:
        return path_stem(output, self._format)


def _in_order(frame: pl.DataFrame, columns: There) -> pl.DataFrame:
    """The frame with our own columns, then each column of the file that has a type; null where the frame has none."""
    known = {name: kind for name, kind in columns.items() if kind is not None}
    absent = [pl.lit(None, frame_type(kind)).alias(name) for name, kind in known.items() if name not in frame.columns]
    return frame.with_columns(absent).select(*SYSTEM_COLUMNS, *known)
