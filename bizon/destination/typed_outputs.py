"""The inferred columns of outputs that follow their records, for destinations without a transaction around DDL.

An output begins with the columns that it has, and those that the receipts of the batches that count have added or
widened. Columns stay where they were first, and new ones come at the end.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bizon.destination.column_names import RESERVED, folded
from bizon.destination.column_receipts import ColumnReceipts, columns_after, noted, widest
from bizon.destination.rescue_tally import RescueTally

if TYPE_CHECKING:
    import polars as pl

    from bizon.destination.leaves import Path
    from bizon.destination.models import BatchRange, CommittedBatch
    from bizon.destination.typed_batch import Plan, Planner, There


class TypedOutputs:
    """The columns of every output of a run. ``begin`` or ``resume`` is called for an output before anything else."""

    def __init__(self, planner: "Planner") -> None:
        self._planner = planner
        self._columns: dict[str, There] = {}
        self._receipts = ColumnReceipts({})
        self._rescued: Mapping[Path, int] = {}
        self._tally = RescueTally()

    def has_begun(self, output: str) -> bool:
        """Whether the columns of an output are known."""
        return self._key(output) in self._columns

    def begin(self, output: str, there: "There") -> None:
        """The columns that an output has when the run starts, with the rows that wait to be published."""
        self.look_again(output, there)
        self._receipts = ColumnReceipts(self.noted(output))

    def look_again(self, output: str, there: "There") -> None:
        """The columns that an output has now, which others may have changed."""
        key = self._key(output)
        own = {name: kind for name, kind in there.items() if not folded(name).startswith(RESERVED)}
        declared = {column.name: column.type for column in self._planner.missing(key, own)}
        self._columns[key] = {**own, **declared}

    def follow(self, output: str, there: "There") -> "There":
        """The columns that are known of an output, as wide as those ``there``, which several workers share."""
        key = self._key(output)
        self._columns[key] = widest(self._columns[key], there)
        return self._columns[key]

    def go_back(self, output: str, known: "There") -> None:
        """Know these columns of an output again: the last rows were not written."""
        self._columns[self._key(output)] = known

    def resume(self, output: str, there: "There", committed: "Iterable[CommittedBatch]") -> None:
        """:meth:`begin`, with the columns of the batches that count."""
        self.begin(output, columns_after(there, committed))

    def begin_batch(self, batch: "BatchRange") -> None:
        """The next rows are from these pages."""
        self._receipts.begin(batch)

    def receipt(self, output: str) -> dict[str, Mapping[str, Any]]:
        """The columns that the last batch has added or widened, and its rescued values by key, for its receipt."""
        changes = self._receipts.receipt(self.noted(output))
        rescued = {".".join(path): values for path, values in self._rescued.items()}
        return {**changes, **({"rescued": rescued} if rescued else {})}

    def rescued(self) -> int:
        """The values of the last rows that are in ``_bizon_rescued``."""
        return sum(self._rescued.values())

    def noted(self, output: str) -> dict[str, str]:
        """The columns of an output as of now: types by name, in order."""
        return noted(self._columns[self._key(output)])

    def plan(self, output: str, frame: "pl.DataFrame") -> "Plan":
        """The typed rows of a batch, and the columns that they need. Raises RowsRejectedError for records that are not
        objects, and, in schema mode strict, for those that do not fit."""
        key = self._key(output)
        return self._planner.plan(key, self._columns[key], frame, self._required(output))

    def keep(self, output: str, plan: "Plan") -> None:
        """The rows of the plan are written next: the output has their columns from now on."""
        self._columns[self._key(output)], self._rescued = plan.after, plan.rescued
        self._tally.note(output, plan.rescued, plan.refused)

    def _required(self, output: str) -> Sequence[str]:
        """The columns that take no null."""
        return ()

    def _key(self, output: str) -> str:
        """An output may have more than one name."""
        return output
