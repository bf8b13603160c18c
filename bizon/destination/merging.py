"""The statements of `write_mode: merge`: staged rows replace the rows of a table that have their key. Pure.

The newest row of a key wins: the one with the largest version, of equal ones the one that arrived last. A row without
a version is the oldest. A row of the table stays when its version is larger than the staged one. So the statements may
run twice, and in any order of jobs.

The statements of a merge belong in one transaction. A full refresh runs them after it has deleted all rows. Keys are
never null here: the caller has refused such rows. Two rows of the table never have the same key, except in a DuckDB
table that somebody else has filled: the merge leaves one of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from bizon.destination.column_types import ColumnType, Kind
from bizon.destination.merge_parts import Deletes, Merge, Parts, Statement
from bizon.destination.merge_swaps import Swaps
from bizon.destination.merge_tombstones import expired, returned, swapped_in, unless_forbidden, upserted
from bizon.destination.system_columns import DELETED, SYSTEM_COLUMNS
from bizon.destination.typed import RESCUED

if TYPE_CHECKING:
    from bizon.destination.merge_rule import MergeRule
    from bizon.destination.sql_target import Transaction

_UNORDERED = (Kind.JSON,)


def merge_of(staging: str, output: str, columns: Sequence[str], rule: "MergeRule", kept: Sequence[str] = ()) -> Merge:
    """The merge of a rule. Where the output has the mark of deleted records, they keep the values of their row."""
    is_flagged = rule.removed is None and DELETED in columns
    deletes: Deletes = "flag" if is_flagged else "ignore" if rule.removed is None else "remove"
    marks = [name for name in SYSTEM_COLUMNS if name in columns and name not in (*rule.key, rule.version, RESCUED)]
    return Merge(
        output,
        staging,
        tuple(columns),
        tuple(rule.key),
        tuple(rule.order),
        rule.version,
        deletes,
        DELETED if is_flagged else rule.removed,
        tuple(marks) if is_flagged else (),
        tuple(kept),
        rule.tombstones,
    )


def unusable(types: Mapping[str, ColumnType], keys: Iterable[str], version: str | None) -> str | None:
    """Why the columns of these types cannot be keys and version; None when they can. A column that is missing cannot
    be either. Called once the columns of a table are known."""
    for name in (*keys, *((version,) if version is not None else ())):
        if name not in types:
            return f"there is no column '{name}'"
        if types[name].kind in _UNORDERED:
            return f"column '{name}' is {types[name]}, and its values cannot be compared"
    return None


def postgres_merge(merge: Merge) -> list[Statement]:
    """The merge for PostgreSQL 13 and newer. The target has a unique index on exactly the keys, in any order."""
    sql = Parts(merge)
    into = f"INSERT INTO {{target}} AS t ({sql.all()}) SELECT {sql.all()} FROM"
    conflict = f"ON CONFLICT ({sql.all(merge.keys)})"
    changed = [name for name in merge.columns if name not in merge.keys]
    sets = ", ".join(f"{sql[name]} = excluded.{sql[name]}" for name in changed)
    guard = sql.not_older("excluded")
    upsert = (
        f"{conflict} DO UPDATE SET {sets}{f' WHERE {guard}' if guard else ''}" if sets else f"{conflict} DO NOTHING"
    )
    if merge.deletes == "ignore":
        return [sql.statement(f"{into} {sql.distinct(sql.live())} s {upsert}")]
    if merge.deletes == "flag":
        dead = f"{conflict} DO UPDATE SET {sql.flagged('excluded', 't')} WHERE {sql.not_older('excluded', dead=True)}"
        return [
            sql.statement(f"{into} {sql.distinct(sql.live())} s {upsert}"),
            sql.statement(f"{into} {sql.distinct()} s WHERE {sql.dead()} {dead}"),
        ]
    gone = f"DELETE FROM {{target}} AS t USING {sql.distinct()} s WHERE {sql.dead('s.')} AND {sql.same('s')}"
    return [
        *expired(sql, merge),
        *upserted(sql, merge),
        sql.statement(f"{into} {sql.distinct()} s WHERE {sql.live()}{unless_forbidden(sql, merge)} {upsert}"),
        sql.statement(f"{gone} AND {sql.not_older('s', dead=True)}"),
        *returned(sql, merge),
    ]


def duckdb_merge(merge: Merge) -> list[Statement]:
    """The merge for DuckDB 1.4 and newer. It needs no index: rows are deleted and inserted, which takes DuckDB a tenth
    of the time of an update."""
    sql = Swaps(merge)
    if merge.deletes == "remove":
        return [
            *expired(sql, merge),
            *sql.begun(only_live=False),
            *swapped_in(sql, merge, sql.newest()),
            *sql.swapped(only_live=False),
            *returned(sql, merge),
            *sql.ended(),
        ]
    live = [*sql.begun(only_live=True), *sql.swapped(only_live=True), *sql.ended()]
    if merge.deletes == "ignore":
        return live
    dead = f"(SELECT * FROM {sql.unbeaten()} s WHERE {sql.dead()})"
    update = f"UPDATE {{target}} AS t SET {sql.flagged('s', 't')} FROM {dead} s WHERE {sql.same('s')}"
    absent = f"WHERE NOT EXISTS (SELECT 1 FROM {{target}} t WHERE {sql.same('s')})"
    return [
        *live,
        sql.statement(f"{update} AND {sql.not_older('s', dead=True)}"),
        sql.statement(f"INSERT INTO {{target}} ({sql.all()}) SELECT {sql.all()} FROM {dead} s {absent}"),
    ]


def run(within: "Transaction", statements: Iterable[Statement]) -> None:
    """Run statements in a transaction."""
    for statement in statements:
        within.run(statement.text, **statement.names)
