"""The parts of a merge by deletion and insertion, for engines that update slowly or have no index. Pure.

A small temporary table has the staged rows that change nothing: rows that a newer one of their key beats, in staging
or in the target, and rows that a tombstone forbids. It is empty as a rule, so a merge costs little more than its DELETE
and its INSERT.
"""

from bizon.destination.merge_parts import Merge, Parts, Statement
from bizon.destination.merge_tombstones import forbidden

_BEATEN = "_bizon_beaten"
_KEPT = "_bizon_kept"


class Swaps(Parts):
    """The statements of one merge. ``t`` is the target, ``s`` a staged row."""

    def __init__(self, merge: Merge) -> None:
        super().__init__(merge)
        self._merge = merge
        self._arrival = self.all(merge.arrival)
        self._key = self.all(merge.keys)

    def unbeaten(self) -> str:
        """The newest staged row of each key."""
        return f"(SELECT {self.chosen} FROM {{staging}} ANTI JOIN ({self._twice()}) b USING ({self._arrival}))"

    def left(self, source: str = "{staging}") -> str:
        """The staged rows that change something, between ``begun`` and ``ended``."""
        return f"{source} s ANTI JOIN {_BEATEN} b USING ({self._arrival})"

    def newest(self) -> str:
        """The same, with their rank."""
        return f"(SELECT s.* FROM {self.left(f'(SELECT * FROM {self.ranked()[0]})')})"

    def begun(self, *, only_live: bool) -> list[Statement]:
        """Find the rows that change nothing. ``only_live``: among those that are not deleted."""
        where = self.live() if only_live else ""
        losers = [self._twice(where), *self._older(is_asked=not only_live), *self._forbidden]
        found = [self.statement(f"CREATE OR REPLACE TEMP TABLE {_BEATEN} AS {' UNION ALL '.join(losers)}")]
        if self._merge.kept:
            same = f"EXISTS (SELECT 1 FROM {{staging}} s WHERE {self.same('s')})"
            kept = f"SELECT DISTINCT ON ({self._key}) {self._key}, {self.all(self._merge.kept)} FROM {{target}} t"
            found.append(self.statement(f"CREATE OR REPLACE TEMP TABLE {_KEPT} AS {kept} WHERE {same}"))
        return found

    def swapped(self, *, only_live: bool) -> list[Statement]:
        """Staged rows replace the old ones of their keys. Deleted ones have no successor; ``only_live``: they stay."""
        live = self.live("s.")
        condition = f" WHERE {live}" if live else ""
        old = f"SELECT {self.all(self._merge.keys, 's.')} FROM {self.left()}{condition if only_live else ''}"
        new, kept = self.left(), self._merge.kept
        columns, values = self.all(), self.all(of="s.")
        if kept:
            new = f"{new} LEFT JOIN {_KEPT} k USING ({self._key})"
            columns, values = f"{columns}, {self.all(kept)}", f"{values}, {self.all(kept, 'k.')}"
        return [
            self.statement(f"DELETE FROM {{target}} AS t USING ({old}) s WHERE {self.same('s')}"),
            self.statement(f"INSERT INTO {{target}} ({columns}) SELECT {values} FROM {new}{condition}"),
        ]

    def ended(self) -> list[Statement]:
        """Drop the temporary tables."""
        return [self.statement(f"DROP TABLE {name}") for name in (_BEATEN, *((_KEPT,) if self._merge.kept else ()))]

    @property
    def _forbidden(self) -> list[str]:
        return forbidden(self, self._merge, self._arrival_of_s)

    @property
    def _arrival_of_s(self) -> str:
        return self.all(self._merge.arrival, "s.")

    def _twice(self, where: str = "") -> str:
        """Rows that another one of their key in staging beats. Only keys that come more than once are compared."""
        source, order, condition = self.ranked(where)
        again = f"SELECT {self._key} FROM {{staging}}{condition} GROUP BY {self._key} HAVING count(*) > 1"
        place = f"row_number() OVER (PARTITION BY {self._key} ORDER BY {order})"
        return (
            f"SELECT {self._arrival} FROM {source} JOIN ({again}) a USING ({self._key}){condition} QUALIFY {place} > 1"
        )

    def _older(self, *, is_asked: bool) -> list[str]:
        """Rows that are older than the one of the target. ``is_asked``: a deletion without a version is not."""
        if self._merge.version is None:
            return []
        version = self[self._merge.version]
        unknown = f"t.{version} IS NOT NULL AND s.{version} IS NULL"
        if is_asked:
            unknown = f"{unknown} AND {self.live('s.')}"
        newer = f"(t.{version} > s.{version} OR {unknown})"
        return [f"SELECT {self._arrival_of_s} FROM {{staging}} s JOIN {{target}} t ON {self.same('s')} WHERE {newer}"]
