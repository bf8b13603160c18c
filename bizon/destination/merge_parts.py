"""A merge of two tables, and the parts of its statements. Pure; the promises are in ``merging.py``."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Deletes = Literal["ignore", "flag", "remove"]


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
    * ``remove``: the row leaves the table. An older row that arrives later brings it back, since nothing is left to
      compare it with.

    ``kept``: columns of the target that somebody else has added; a row that is replaced keeps their values.
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

    def __post_init__(self) -> None:
        if not self.keys:
            raise ValueError("a merge needs a key")
        if self.deletes != "ignore" and self.deleted is None:
            raise ValueError(f"deletes: {self.deletes} needs the column that says which rows are deleted")
        flag = self.deleted if self.deletes == "flag" else None
        needed = (*self.keys, *self.marks, *filter(None, (self.version, flag)))
        missing = [name for name in needed if name not in self.columns]
        if missing:
            raise ValueError(f"'{missing[0]}' is not a column that the merge writes")


class Parts:
    """The names of a merge in statements. ``t`` is the target, ``s`` a staged row."""

    def __init__(self, merge: Merge) -> None:
        self._merge = merge
        extra = (*merge.arrival, *filter(None, (merge.version, merge.deleted)), *merge.kept)
        columns = dict.fromkeys((*merge.columns, *extra))
        self._keys = {name: f"c{number}" for number, name in enumerate(columns)}

    def __getitem__(self, name: str) -> str:
        return f"{{{self._keys[name]}}}"

    def all(self, names: Iterable[str] | None = None, of: str = "") -> str:
        return ", ".join(f"{of}{self[name]}" for name in (self._merge.columns if names is None else names))

    def statement(self, text: str) -> Statement:
        names = {key: name for name, key in self._keys.items()}
        return Statement(text, {**names, "target": self._merge.target, "staging": self._merge.staging})

    @property
    def live(self) -> str:
        deleted = self._merge.deleted
        return "" if deleted is None else f"{self[deleted]} IS NOT TRUE"

    @property
    def dead(self) -> str:
        return f"{self[str(self._merge.deleted)]} IS TRUE"

    def same(self, row: str) -> str:
        return " AND ".join(f"t.{self[key]} = {row}.{self[key]}" for key in self._merge.keys)

    def distinct(self, where: str = "") -> str:
        """The newest staged row of each key, among those that a condition allows."""
        source, order, condition = self._ranked(where)
        keys = self.all(self._merge.keys)
        return f"(SELECT DISTINCT ON ({keys}) {self._chosen} FROM {source}{condition} ORDER BY {keys}, {order})"

    def unbeaten(self, where: str = "") -> str:
        """The same, as DuckDB does it fastest: only the rows of keys that come more than once are compared."""
        source, order, condition = self._ranked(where)
        keys, arrival = self.all(self._merge.keys), self.all(self._merge.arrival)
        again = f"SELECT {keys} FROM {source}{condition} GROUP BY {keys} HAVING count(*) > 1"
        place = f"row_number() OVER (PARTITION BY {keys} ORDER BY {order})"
        beaten = f"SELECT {arrival} FROM {source} JOIN ({again}) a USING ({keys}){condition} QUALIFY {place} > 1"
        return f"(SELECT {self._chosen} FROM {{staging}} ANTI JOIN ({beaten}) b USING ({arrival}){condition})"

    @property
    def _chosen(self) -> str:
        return self.all(dict.fromkeys((*self._merge.columns, *filter(None, (self._merge.deleted,)))))

    def _ranked(self, where: str) -> tuple[str, str, str]:
        """Staged rows with their rank, the order of rows with the same key, and the condition."""
        merge = self._merge
        source, order = "{staging}", [f"{self[name]} DESC" for name in merge.arrival]
        if merge.version is not None:
            rank = self[merge.version]
            if merge.deletes != "ignore":
                seen = f"max({rank}) OVER (PARTITION BY {self.all(merge.keys)} ORDER BY {self.all(merge.arrival)})"
                source = f"(SELECT *, CASE WHEN {self.dead} THEN coalesce({rank}, {seen}) ELSE {rank} END"
                source, rank = f"{source} AS _bizon_rank FROM {{staging}}) r", "_bizon_rank"
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

    def unless_newer(self, row: str) -> str:
        """The condition that no row of the target is newer; empty: always."""
        if self._merge.version is None:
            return ""
        version = self[self._merge.version]
        newer = f"(t.{version} > {row}.{version} OR t.{version} IS NOT NULL AND {row}.{version} IS NULL)"
        return f" WHERE NOT EXISTS (SELECT 1 FROM {{target}} t WHERE {self.same(row)} AND {newer})"

    def flagged(self, row: str, target: str) -> str:
        """The changes to a row whose key is deleted."""
        merge = self._merge
        sets = {name: f"{row}.{self[name]}" for name in merge.marks}
        if merge.version is not None:
            sets[merge.version] = f"coalesce({row}.{self[merge.version]}, {target}.{self[merge.version]})"
        sets[str(merge.deleted)] = "TRUE"
        return ", ".join(f"{self[name]} = {value}" for name, value in sets.items() if name not in merge.keys)

    def swapped(self, rows: str) -> list[Statement]:
        """Rows replace the old ones of their keys, by way of a temporary table."""
        merge = self._merge
        chosen, old = self.all(of="s."), ""
        if merge.kept:
            keys = self.all(merge.keys, "s.")
            chosen = f"DISTINCT ON ({keys}) {chosen}, {self.all(merge.kept, 't.')}"
            old = f" LEFT JOIN {{target}} t ON {self.same('s')}"
        newest = f"SELECT {chosen} FROM {rows} s{old}{self.unless_newer('s')}"
        written = self.all((*merge.columns, *merge.kept))
        return [
            self.statement(f"CREATE OR REPLACE TEMP TABLE _bizon_newest AS {newest}"),
            self.statement(f"DELETE FROM {{target}} AS t USING _bizon_newest s WHERE {self.same('s')}"),
            self.statement(f"INSERT INTO {{target}} ({written}) SELECT {written} FROM _bizon_newest"),
            self.statement("DROP TABLE _bizon_newest"),
        ]
