"""The values of a run that have no room in their column, counted by column and warned of once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bizon.common.safe_log import logger

if TYPE_CHECKING:
    from bizon.destination.leaves import Path
    from bizon.destination.models import BatchRange


@dataclass
class RescueTally:
    """``counts``: by table, values in ``_bizon_rescued`` by key; keys of nested objects are joined by a point."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    _last: dict[str, "tuple[BatchRange, Mapping[str, int]]"] = field(default_factory=dict)

    _warned: dict[str, set[str]] = field(default_factory=dict)

    def note(
        self, output: str, batch: "BatchRange", rescued: "Mapping[Path, int]", refused: "Mapping[Path, str]"
    ) -> None:
        """Count the values of a batch once it is written; a batch that is written again counts once. ``refused``: why a
        path has no column."""
        last = self._last.get(output)
        if last is not None and last[0] == batch:
            self.counts[output] = dict(last[1])
        known = self.counts.setdefault(output, {})
        self._last[output] = batch, dict(known)
        for path, values in rescued.items():
            key = ".".join(path)
            if key not in self._warned.setdefault(output, set()):
                self._warned[output].add(key)
                why = refused.get(path, "they do not fit its type without loss")
                logger.warning(f"table '{output}': {values:,} values of '{key}' are in _bizon_rescued: {why}")
            known[key] = known.get(key, 0) + values

    @property
    def total(self) -> int:
        """The number of values in all tables."""
        return sum(sum(keys.values()) for keys in self.counts.values())
