"""A merge of two tables, and the parts of its statements. Pure; the promises are in ``merging.py``."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bizon.destination.system_columns import REMOVED_AT

Deletes = Literal["ignore", "flag", "remove"]

RANK = "_bizon_rank"
"""The version of a staged row; of a deletion without one, the largest of its key that arrived before it."""


class Statement(NamedTuple):
    """Arguments of ``Transaction.run``: SQL text with ``{name}`` for each name, and the names."""

    text: str
    names: Mapping[str, str]


@dataclass(frozen=True)
class Merge:
    """A merge of two tables. ``columns``: those that both tables have; the merge writes all of them. ``keys``: columns
    that identify a row. ``arrival``: columns of ``staging`` alone, not null, by which rows are ordered as they arrived.
    ``version``: the column that says which of two rows with the same key is newer; None: the one that arrived last.

    ``deletes`` and ``deleted``, a boolean column of staging, true in rows that say that their key was deleted:

    * ``ignore``: such rows are left out. ``deleted`` may be None: no row says so.
    * ``flag``: the row of the table keeps its values, except for ``marks``, and has true in ``deleted``, which is
      one of ``columns``. A deletion without a version is as new as its key is when it arrives.
    * ``remove``: the row leaves the table. An older row that arrives later brings it back, unless there are
      ``tombstones``.

    ``kept``: columns of the target that somebody else has added; a row that is replaced keeps their values.
    ``tombstones``: for ``remove`` and a version, the table that remembers removed keys, see ``merge_tombstones.py``.
    """

    target: str
    staging: str
    columns: tuple[str, ...]
    keys: tuple[str, ...]
    arrival: tuple[str, ...]
    version: str | None = None
    deletes: Deletes = "ignore"
    deleted: str | None = None
    marks: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    tombstones: "TombstoneTable | None" = None

    def __post_init__(self) -> None:
        if not self.keys:
            raise ValueError("a merge needs a key")
        if self.deletes != "ignore" and self.deleted is None:
            raise ValueError(f"deletes: {self.deletes} needs the column that says which rows are deleted")
        flag = self.deleted if self.deletes == "flag" else None
        if self.tombstones is not None and (self.deletes != "remove" or self.version is None):
            raise ValueError("tombstones are for `deletes: remove` and rows with a version")
        needed = (*self.keys, *self.marks, *filter(None, (self.version, flag)))
        missing = [name for name in needed if name not in self.columns]
        if missing:
            raise ValueError(f"'{missing[0]}' is not a column that the merge writes")


@dataclass(frozen=True)
class TombstoneTable:
    """A table with the keys, the version and ``REMOVED_AT`` of removed rows; its versions are never null. ``days``: the
    age at which a merge deletes a tombstone."""

    name: str
    days: int


class Parts:
    """The names of a merge in statements. ``t`` is the target, ``s`` a staged row."""

    def __init__(self, merge: Merge) -> None:
        self._merge = merge
        extra = (*merge.arrival, *filter(None, (merge.version, merge.deleted)), *merge.kept)
        columns = dict.fromkeys((*merge.columns, *extra))
        self._keys = {name: f"c{number}" for number, name in enumerate(columns)}
        stones = merge.tombstones
        self._aside = {} if stones is None else {"tombstones": stones.name, "removed_at": REMOVED_AT}

    def __getitem__(self, name: str) -> str:
        return f"{{{self._keys[name]}}}"

    def all(self, names: Iterable[str] | None = None, of: str = "") -> str:
        return ", ".join(f"{of}{self[name]}" for name in (self._merge.columns if names is None else names))

    def statement(self, text: str) -> Statement:
        names = {key: name for name, key in self._keys.items()}
        return Statement(text, {**names, "target": self._merge.target, "staging": self._merge.staging, **self._aside})

    def live(self, row: str = "") -> str:
        """The condition that a staged row is not deleted; empty: none is. ``row``: its alias with a dot."""
        deleted = self._merge.deleted
        return "" if deleted is None else f"{row}{self[deleted]} IS NOT TRUE"

    def dead(self, row: str = "") -> str:
        """The condition that a staged row is deleted."""
        return f"{row}{self[str(self._merge.deleted)]} IS TRUE"

    def same(self, row: str, other: str = "t") -> str:
        return " AND ".join(f"{other}.{self[key]} = {row}.{self[key]}" for key in self._merge.keys)

    def distinct(self, where: str = "", more: str = "") -> str:
        """The newest staged row of each key, among those that a condition allows. ``more``: further columns."""
        source, order, condition = self.ranked(where)
        keys = self.all(self._merge.keys)
        return f"(SELECT DISTINCT ON ({keys}) {self.chosen}{more} FROM {source}{condition} ORDER BY {keys}, {order})"

    @property
    def chosen(self) -> str:
        """The columns of a staged row that a merge needs."""
        return self.all(dict.fromkeys((*self._merge.columns, *filter(None, (self._merge.deleted,)))))

    def ranked(self, where: str = "") -> tuple[str, str, str]:
        """Staged rows with their rank, the order of rows with the same key, and the condition."""
        merge = self._merge
        source, order = "{staging}", [f"{self[name]} DESC" for name in merge.arrival]
        if merge.version is not None:
            rank = self[merge.version]
            if merge.deletes != "ignore":
                seen = f"max({rank}) OVER (PARTITION BY {self.all(merge.keys)} ORDER BY {self.all(merge.arrival)})"
                source = f"(SELECT *, CASE WHEN {self.dead()} THEN coalesce({rank}, {seen}) ELSE {rank} END"
                source, rank = f"{source} AS {RANK} FROM {{staging}}) r", RANK
            order.insert(0, f"{rank} DESC NULLS LAST")
        return source, ", ".join(order), f" WHERE {where}" if where else ""

    def not_older(self, row: str, *, dead: bool = False) -> str:
        """Whether a row of the target may change; empty: always. ``dead``: for a deletion, which may have no version;
        the condition is never empty."""
        if self._merge.version is None:
            return "TRUE" if dead else ""
        version = self[self._merge.version]
        unknown = f" OR {row}.{version} IS NULL" if dead else ""
        return f"(t.{version} IS NULL OR {row}.{version} >= t.{version}{unknown})"

    def flagged(self, row: str, target: str) -> str:
        """The changes to a row whose key is deleted."""
        merge = self._merge
        sets = {name: f"{row}.{self[name]}" for name in merge.marks}
        if merge.version is not None:
            sets[merge.version] = f"coalesce({row}.{self[merge.version]}, {target}.{self[merge.version]})"
        sets[str(merge.deleted)] = "TRUE"
        return ", ".join(f"{self[name]} = {value}" for name, value in sets.items() if name not in merge.keys)
