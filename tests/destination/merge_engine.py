"""The engines that merge, with the two tables of a merge that nothing else uses."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import duckdb
from hypothesis import strategies as st
from postgres import Place

from bizon.destination.merge_parts import Merge, Statement, TombstoneTable
from bizon.destination.merging import duckdb_merge, postgres_merge, run
from bizon.destination.sql_target import Transaction

STAGED = ("id", 'na"me %', "version", "text", "gone", "page", "position")
MERGE = Merge(
    "the target", "staging", STAGED[:4], STAGED[:2], STAGED[5:], version="version", deleted="gone", deletes="ignore"
)
BURYING = replace(MERGE, deletes="remove", tombstones=TombstoneTable("tombstones", 30))
ROW = st.tuples(
    st.integers(0, 2), st.sampled_from("ab"), st.sampled_from([None, 1, 2]), st.text("xyz", max_size=3), st.booleans()
)
Row = tuple[Any, ...]


class Engine:
    """A database with the two tables. ``merge`` makes statements."""

    def __init__(self, connection: Any, style: str, merge: Callable[[Merge], list[Statement]], *, index: bool) -> None:
        self._connection, self._style, self._merge, self._index = connection, style, merge, index
        self._kind = "TEMP TABLE" if index else "TABLE"

    def merged(self, merge: Merge, target: list[Row], *staged: list[Row], times: int = 2) -> list[Row]:
        """The rows of the target afterwards, sorted. Each list of staged rows is merged ``times`` times."""
        columns = (*merge.columns, *merge.kept)
        with closing(self._connection.cursor()) as cursor:
            within = Transaction(cursor, self._style, '"')
            types = {"id": "BIGINT", "version": "BIGINT", "gone": "BOOLEAN", "page": "BIGINT", "position": "BIGINT"}
            for table, names in (("the target", columns), ("staging", STAGED)):
                within.run("DROP TABLE IF EXISTS {table}", table=table)
                named = {f"n{number}": name for number, name in enumerate(names)}
                fields = ", ".join(f"{{{key}}} {types.get(name, 'TEXT')}" for key, name in named.items())
                within.run(f"CREATE {self._kind} {{table}} ({fields})", table=table, **named)
            if self._index:
                within.run("CREATE UNIQUE INDEX ON {target} ({a}, {b})", target="the target", a=STAGED[0], b=STAGED[1])
            if merge.tombstones is not None:
                self._bury(within)
            self._insert(within, "the target", target)
            for rows in staged:
                within.run("DELETE FROM staging")
                self._insert(within, "staging", rows)
                for _ in range(times):
                    run(within, self._merge(merge))
            found = within.rows("SELECT * FROM {table}", table="the target")
            self.buried = self._graves(within) if merge.tombstones is not None else []
        return sorted(found, key=str)

    def _bury(self, within: Transaction) -> None:
        """Create the table of tombstones. One is from long ago."""
        names = dict(zip("abc", STAGED, strict=False))
        within.run("DROP TABLE IF EXISTS tombstones")
        columns = "{a} BIGINT, {b} TEXT, {c} BIGINT, _bizon_removed_at TIMESTAMP WITH TIME ZONE"
        within.run(f"CREATE {self._kind} tombstones ({columns})", **names)
        if self._index:
            within.run("CREATE UNIQUE INDEX ON tombstones ({a}, {b})", **names)
        within.run("INSERT INTO tombstones VALUES (0, 'a', 9, CURRENT_TIMESTAMP - INTERVAL '31 days')")

    def _graves(self, within: Transaction) -> list[Row]:
        """Keys and versions: DuckDB 1.4 needs a package to fetch a moment."""
        names = dict(zip("abc", STAGED, strict=False))
        return within.rows("SELECT {a}, {b}, {c} FROM tombstones ORDER BY 1, 2", **names)

    def _insert(self, within: Transaction, table: str, rows: list[Row]) -> None:
        if rows:
            marks = ", ".join("?" for _ in rows[0])
            within.run_for_each(f"INSERT INTO {{table}} VALUES ({marks})", rows, table=table)


@contextmanager
def in_duckdb() -> Iterator[Engine]:
    """Within: a database in memory."""
    with closing(duckdb.connect()) as connection:
        yield Engine(connection, "qmark", duckdb_merge, index=False)


@contextmanager
def in_postgres(place: Place) -> Iterator[Engine]:
    """Within: a transaction of a server. The tables are temporary and gone with it."""
    with closing(place.connect()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("BEGIN")
        yield Engine(connection, "pyformat", postgres_merge, index=True)


def sent(rows: list[Row]) -> list[Row]:
    """Rows as they are staged, in order of their arrival."""
    return [(*row, number // 3, number % 3) for number, row in enumerate(rows)]


def may_replace(merge: Merge, old: Row | None, new: Row) -> bool:
    """Whether a row of the table gives way to one that arrives."""
    if old is None or merge.version is None or old[2] is None:
        return True
    return new[2] is not None and new[2] >= old[2]
