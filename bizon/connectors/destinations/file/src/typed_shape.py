"""Rows of inferred columns: each file has a schema, which follows its records.

A column stays where it was first, and new ones come at the end, also in CSV. The manifest of a file names its columns;
the receipt of a batch names those that the batch has added or widened. So a start knows the columns of the rows that
count, and no others.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from bizon.connectors.destinations.file.src.config import declared_type, path_stem
from bizon.destination.column_names import RESERVED, NameRules, folded
from bizon.destination.column_receipts import ColumnReceipts, columns_after
from bizon.destination.columns import frame_type
from bizon.destination.rescue_tally import RescueTally
from bizon.destination.system_columns import SYSTEM_COLUMNS
from bizon.destination.typed_batch import Planner, There

if TYPE_CHECKING:
    from bizon.connectors.destinations.file.src.config import FileDestinationDetailsConfig
    from bizon.destination.leaves import Path
    from bizon.destination.models import BatchRange, CommittedBatch


class TypedShape:
    """The typed rows of every file of a run. ``begin`` is called for a file before anything else."""

    def __init__(self, config: "FileDestinationDetailsConfig") -> None:
        self._format = config.format
        declared = {
            path_stem(schema.destination_id, config.format): {
                column.name: declared_type(column.type) for column in schema.record_schema
            }
            for schema in config.record_schemas or ()
        }
        rules = NameRules(snake_case=config.has_snake_case)
        self._planner = Planner(rules, config.mode, config.flatten, declared=declared)
        self._columns: dict[str, There] = {}
        self._receipts = ColumnReceipts({})
        self._rescued: Mapping[Path, int] = {}
        self._tally = RescueTally()

    def has_begun(self, destination_id: str) -> bool:
        """Whether the columns of a file are known."""
        return self._stem(destination_id) in self._columns

    def begin(self, destination_id: str, there: There) -> None:
        """The columns that a file has when the run starts, with the rows that wait to be published."""
        stem = self._stem(destination_id)
        own = {name: kind for name, kind in there.items() if not folded(name).startswith(RESERVED)}
        declared = {column.name: column.type for column in self._planner.missing(stem, own)}
        self._columns[stem] = {**own, **declared}
        self._receipts = ColumnReceipts(self.noted(destination_id))

    def resume(self, destination_id: str, there: There, committed: "Iterable[CommittedBatch]") -> None:
        """:meth:`begin`, with the columns of the batches that count."""
        self.begin(destination_id, columns_after(there, committed))

    def begin_batch(self, batch: "BatchRange") -> None:
        """The next rows are from these pages."""
        self._receipts.begin(batch)

    def receipt(self, destination_id: str) -> dict[str, Mapping[str, Any]]:
        """The columns that the last batch has added or widened, and its rescued values by key, for its receipt."""
        changes = self._receipts.receipt(self.noted(destination_id))
        rescued = {".".join(path): values for path, values in self._rescued.items()}
        return {**changes, **({"rescued": rescued} if rescued else {})}

    def rescued(self) -> int:
        """The values of the last rows that are in ``_bizon_rescued``."""
        return sum(self._rescued.values())

    def noted(self, destination_id: str) -> dict[str, str]:
        """The columns of a file as of now, as its manifest keeps them: types by name, in order."""
        columns = self._columns[self._stem(destination_id)]
        return {name: str(kind) for name, kind in columns.items() if kind is not None}

    def empty(self, destination_id: str) -> pl.DataFrame:
        """A frame without rows, with the columns of the file."""
        columns = {**SYSTEM_COLUMNS, **self._columns[self._stem(destination_id)]}
        return pl.DataFrame(schema={name: frame_type(kind) for name, kind in columns.items() if kind is not None})

    def shape(self, destination_id: str, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows to write. Raises RowsRejectedError for records that are not objects, and, in schema mode strict, for
        those that do not fit; the columns are the old ones then."""
        stem = self._stem(destination_id)
        plan = self._planner.plan(stem, self._columns[stem], frame)
        self._columns[stem], self._rescued = plan.after, plan.rescued
        self._tally.note(destination_id, plan.rescued, plan.refused)
        return _in_order(plan.frame, plan.after)

    def _stem(self, destination_id: str) -> str:
        return path_stem(destination_id, self._format)


def _in_order(frame: pl.DataFrame, columns: There) -> pl.DataFrame:
    """The frame with our own columns, then each column of the file that has a type; null where the frame has none."""
    known = {name: kind for name, kind in columns.items() if kind is not None}
    absent = [pl.lit(None, frame_type(kind)).alias(name) for name, kind in known.items() if name not in frame.columns]
    return frame.with_columns(absent).select(*SYSTEM_COLUMNS, *known)
