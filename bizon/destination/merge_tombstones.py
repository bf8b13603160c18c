"""The parts of a merge with ``deletes: remove`` that remember removed keys. Pure.

A tombstone has the key and the version of a row that was removed. A row that arrives later with an older version stays
out; one that is as new or newer is written, and its tombstone deleted. A deletion without a version is as new as the
row that it removes; where neither has a version, there is nothing to compare, and no tombstone.

Tombstones older than ``TombstoneTable.days`` are deleted by each merge, so their table does not grow without bound. A
row that is later than that comes back.
"""

from typing import TYPE_CHECKING

from bizon.destination.merge_parts import RANK, Statement

if TYPE_CHECKING:
    from bizon.destination.merge_parts import Merge, Parts

_BURIED = "_bizon_buried"


def expired(sql: "Parts", merge: "Merge") -> list[Statement]:
    """Delete old tombstones; first in a merge."""
    if merge.tombstones is None:
        return []
    age = f"CURRENT_TIMESTAMP - INTERVAL '{merge.tombstones.days} days'"
    return [sql.statement(f"DELETE FROM {{tombstones}} WHERE {{removed_at}} < {age}")]


def returned(sql: "Parts", merge: "Merge") -> list[Statement]:
    """Delete the tombstones of staged keys that have a row; last in a merge."""
    if merge.tombstones is None:
        return []
    there = f"SELECT 1 FROM {{staging}} s JOIN {{target}} t ON {sql.same('s')} WHERE {sql.same('s', 'x')}"
    return [sql.statement(f"DELETE FROM {{tombstones}} AS x WHERE EXISTS ({there})")]


def unless_forbidden(sql: "Parts", merge: "Merge") -> str:
    """A further condition: no tombstone is newer than the staged row ``s``. Empty without tombstones."""
    if merge.tombstones is None:
        return ""
    return f" AND NOT EXISTS (SELECT 1 FROM {{tombstones}} x WHERE {sql.same('s', 'x')} AND {_newer(sql, merge)})"


def forbidden(sql: "Parts", merge: "Merge", columns: str) -> list[str]:
    """A query for ``columns`` of the staged rows that a tombstone keeps out."""
    if merge.tombstones is None:
        return []
    live = f"{sql.live('s.')} AND {_newer(sql, merge)}"
    return [f"SELECT {columns} FROM {{staging}} s JOIN {{tombstones}} x ON {sql.same('s', 'x')} WHERE {live}"]


def upserted(sql: "Parts", merge: "Merge") -> list[Statement]:
    """Remember the keys that the merge is about to remove. For an engine whose tombstones have a unique index."""
    if merge.tombstones is None:
        return []
    keys, version = sql.all(merge.keys), sql[str(merge.version)]
    found = _removed(sql, merge, sql.distinct(more=f", {RANK}"), f"GREATEST(s.{RANK}, t.{version})")
    into = f"INSERT INTO {{tombstones}} AS x ({keys}, {version}, {{removed_at}})"
    sets = f"{version} = GREATEST(x.{version}, excluded.{version}), {{removed_at}} = excluded.{{removed_at}}"
    rows = f"SELECT {keys}, {RANK}, CURRENT_TIMESTAMP FROM ({found}) f"
    return [sql.statement(f"{into} {rows} ON CONFLICT ({keys}) DO UPDATE SET {sets}")]


def swapped_in(sql: "Parts", merge: "Merge", newest: str) -> list[Statement]:
    """The same for an engine without an index. ``newest``: the staged rows that change something, with ``RANK``."""
    if merge.tombstones is None:
        return []
    keys, version = sql.all(merge.keys), sql[str(merge.version)]
    rank = f"GREATEST(s.{RANK}, t.{version}, x.{version})"
    found = _removed(sql, merge, newest, rank, f" LEFT JOIN {{tombstones}} x ON {sql.same('s', 'x')}")
    into = f"INSERT INTO {{tombstones}} ({keys}, {version}, {{removed_at}})"
    return [
        sql.statement(f"CREATE OR REPLACE TEMP TABLE {_BURIED} AS {found}"),
        sql.statement(f"DELETE FROM {{tombstones}} AS x USING {_BURIED} s WHERE {sql.same('s', 'x')}"),
        sql.statement(f"{into} SELECT {keys}, {RANK}, CURRENT_TIMESTAMP FROM {_BURIED}"),
        sql.statement(f"DROP TABLE {_BURIED}"),
    ]


def _removed(sql: "Parts", merge: "Merge", newest: str, rank: str, more: str = "") -> str:
    """Keys that are removed, with their largest version. A key has several rows in a target without an index."""
    keys = sql.all(merge.keys, "s.")
    rows = f"{newest} s LEFT JOIN {{target}} t ON {sql.same('s')}{more}"
    where = f"{sql.dead('s.')} AND {sql.not_older('s', dead=True)}"
    return (
        f"SELECT {keys}, max({rank}) AS {RANK} FROM {rows} WHERE {where} GROUP BY {keys} HAVING max({rank}) IS NOT NULL"
    )


def _newer(sql: "Parts", merge: "Merge") -> str:
    version = sql[str(merge.version)]
    return f"(x.{version} > s.{version} OR s.{version} IS NULL)"
