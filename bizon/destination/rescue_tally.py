"""Values of a run that have no room in their column, counted by column and warned of once; and versions without a
column."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bizon.common.safe_log import logger

if TYPE_CHECKING:
    from bizon.destination.leaves import Path


@dataclass
class RescueTally:
    """``counts``: by table, values in ``_bizon_rescued`` by key; keys of nested objects are joined by a point."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    _unversioned: set[str] = field(default_factory=set)

    def note(self, output: str, rescued: "Mapping[Path, int]", refused: "Mapping[Path, str]") -> None:
        """Count the values of a batch once it is written. ``refused``: why a path has no column."""
        known = self.counts.setdefault(output, {})
        for path, values in rescued.items():
            key = ".".join(path)
            if key not in known:
                why = refused.get(path, "they do not fit its type without loss")
                logger.warning(f"table '{output}': {values:,} values of '{key}' are in _bizon_rescued: {why}")
            known[key] = known.get(key, 0) + values

    def note_version(self, output: str, key: str | None) -> None:
        """Warn of a table without a column for the key of the version; None: it has one."""
        if key is not None and output not in self._unversioned:
            self._unversioned.add(output)
            logger.warning(
                f"table '{output}' has no column for '{key}', by which rows are compared (`version`, by default "
                f"`cursor_field`), so the row that arrives last wins"
            )
