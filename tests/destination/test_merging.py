"""The statements of a merge, in the engines that run them, against a model of what they promise."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import duckdb
import matrices
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgres import Place

from bizon.destination.column_types import INT64, JSON, TEXT
from bizon.destination.merge_parts import Merge, Statement, TombstoneTable
from bizon.destination.merging import duckdb_merge, postgres_merge, run, unusable
from bizon.destination.sql_target import Transaction

STAGED = ("id", 'na"me %', "version", "text", "gone", "page", "position")
MERGE = Merge(
    "the target", "staging", STAGED[:4], STAGED[:2], STAGED[5:], version="version", deleted="gone", deletes="ignore"
)
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
            self.buried = within.rows("SELECT * FROM tombstones ORDER BY 1, 2") if merge.tombstones is not None else []
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

    def _insert(self, within: Transaction, table: str, rows: list[Row]) -> None:
        if rows:
            marks = ", ".join("?" for _ in rows[0])
            within.run_for_each(f"INSERT INTO {{table}} VALUES ({marks})", rows, table=table)


@pytest.fixture(params=["postgres", "duckdb"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "duckdb":
        with closing(duckdb.connect()) as connection:
            yield Engine(connection, "qmark", duckdb_merge, index=False)
        return
    place: Place = request.getfixturevalue("postgres_server")
    with closing(place.connect()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("BEGIN")  # the tables are temporary and gone with it
        yield Engine(connection, "pyformat", postgres_merge, index=True)


def model(merge: Merge, target: list[Row], staged: list[Row]) -> list[Row]:
    """The rows of the target after the merge."""
    rows = {row[:2]: row for row in target}
    by_key: dict[Row, list[tuple[float, int, Row]]] = {}
    for arrived, row in enumerate(staged):
        seen = by_key.setdefault(row[:2], [])
        rank = row[2] if row[2] is not None else -1
        if row[4] and row[2] is None and merge.deletes != "ignore":
            rank = max((each[0] for each in seen if each[2][2] is not None), default=-1)
        seen.append((rank if merge.version else 0, arrived, row))
    for key, arrivals in by_key.items():
        live = [each for each in arrivals if not each[2][4]]
        newest = max(arrivals)[2]
        wins = max(live)[2] if live else None
        if merge.deletes == "remove" and newest[4]:
            wins = None
        if wins is not None and _may_replace(merge, rows.get(key), wins):
            rows[key] = (*wins[:4], *((False,) if merge.deletes == "flag" else ()))
        if not newest[4] or merge.deletes == "ignore":
            continue
        old = rows.get(key)
        if old is not None and newest[2] is not None and not _may_replace(merge, old, newest):
            continue
        if merge.deletes == "remove":
            rows.pop(key, None)
        else:
            version = newest[2] if newest[2] is not None or old is None or not merge.version else old[2]
            base = (*newest[:4],) if old is None else old[:4]
            rows[key] = (*base[:2], version if merge.version else base[2], base[3], True)
    return sorted(rows.values(), key=str)


def _may_replace(merge: Merge, old: Row | None, new: Row) -> bool:
    if old is None or merge.version is None or old[2] is None:
        return True
    return new[2] is not None and new[2] >= old[2]


@pytest.mark.parametrize("deletes", ["ignore", "flag", "remove"])
@pytest.mark.parametrize("version", ["version", None])
@settings(
    max_examples=matrices.examples(24), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    target=st.lists(ROW, max_size=5, unique_by=lambda row: row[:2]),
    staged=st.lists(ROW, max_size=12),
    times=st.integers(1, 2),
)
def test_a_merge_gives_what_the_model_says_once_or_twice(
    engine: Engine, target: list[Row], staged: list[Row], times: int, deletes: Any, version: str | None
) -> None:
    columns = STAGED[:5] if deletes == "flag" else STAGED[:4]
    merge = replace(MERGE, deletes=deletes, version=version, columns=columns)
    there = [row[: len(merge.columns)] for row in target]
    assert engine.merged(merge, there, sent(staged), times=times) == model(merge, there, staged)


def sent(rows: list[Row]) -> list[Row]:
    """Rows as they are staged, in order of their arrival."""
    return [(*row, number // 3, number % 3) for number, row in enumerate(rows)]


@settings(
    max_examples=matrices.examples(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    target=st.lists(ROW, max_size=4, unique_by=lambda row: row[:2]),
    staged=st.lists(st.lists(ROW, max_size=6), min_size=1, max_size=4),
    times=st.integers(1, 2),
)
def test_with_tombstones_only_a_newer_row_brings_a_removed_one_back(
    engine: Engine, target: list[Row], staged: list[list[Row]], times: int
) -> None:
    there = [row[:4] for row in target]
    expected, graves = there, {}
    for rows in staged:
        expected = buried_model(expected, rows, graves)
    assert engine.merged(BURYING, there, *map(sent, staged), times=times) == expected
    assert [row[:3] for row in engine.buried] == sorted((*key, version) for key, version in graves.items())


def buried_model(target: list[Row], staged: list[Row], graves: dict[Row, int]) -> list[Row]:
    """The rows of the target after one merge; ``graves``: the versions of removed keys, changed in place."""
    rows = {row[:2]: row for row in target}
    for key in dict.fromkeys(row[:2] for row in staged):
        arrived = [row for row in staged if row[:2] == key]
        seen, ranked = -1, []
        for number, row in enumerate(arrived):
            rank = seen if row[4] and row[2] is None else -1 if row[2] is None else row[2]
            seen = max(seen, -1 if row[2] is None else row[2])
            ranked.append((rank, number, row))
        rank, _, newest = max(ranked)
        old = rows.get(key)
        if not newest[4]:
            if graves.get(key, -1) <= rank and _may_replace(BURYING, old, newest):
                rows[key] = newest[:4]
        elif old is None or newest[2] is None or _may_replace(BURYING, old, newest):
            rows.pop(key, None)
            known = max(rank, graves.get(key, -1), -1 if old is None or old[2] is None else old[2])
            graves.update({key: known} if known >= 0 else {})
        if key in rows:
            graves.pop(key, None)
    return sorted(rows.values(), key=str)


BURYING = replace(MERGE, deletes="remove", tombstones=TombstoneTable("tombstones", 30))


def test_a_late_row_does_not_bring_back_a_removed_one(engine: Engine) -> None:
    gone, late, new = (1, "a", 5, "gone", True), (1, "a", 4, "late", False), (1, "a", 6, "new", False)
    assert engine.merged(BURYING, [(1, "a", 3, "old")], sent([gone]), sent([late])) == []
    assert engine.merged(BURYING, [(1, "a", 3, "old")], sent([gone]), sent([late]), sent([new])) == [new[:4]]
    assert engine.buried == []


def test_a_tombstone_that_is_too_old_is_forgotten(engine: Engine) -> None:
    late = (0, "a", 8, "late", False)
    assert engine.merged(BURYING, [], sent([late])) == [late[:4]]


def test_a_removed_row_may_have_been_flagged_before(engine: Engine) -> None:
    """Then the target has a column of the name that marks deleted rows in staging."""
    there = [(1, "a", 3, "old", True), (2, "a", 3, "kept", False)]
    staged = sent([(1, "a", 5, "x", True), (2, "a", 4, "y", False)])
    assert engine.merged(replace(BURYING, kept=("gone",)), there, staged) == [(2, "a", 4, "y", False)]


def test_a_replaced_row_keeps_columns_added_by_others(engine: Engine) -> None:
    merge = replace(MERGE, kept=("mine",))
    there = [(1, "a", 1, "old", "kept"), (2, "a", 9, "newer", "kept, too")]
    staged = [(1, "a", 2, "new", False, 0, 0), (2, "a", 2, "older", False, 0, 1), (3, "a", 2, "first", False, 0, 2)]
    assert engine.merged(merge, there, staged) == [
        (1, "a", 2, "new", "kept"),
        (2, "a", 9, "newer", "kept, too"),
        (3, "a", 2, "first", None),
    ]


def test_a_deletion_marks_the_row_and_keeps_its_values(engine: Engine) -> None:
    merge = replace(MERGE, deletes="flag", columns=STAGED[:5], marks=("text",))
    there = [(1, "a", 1, "job 1", False)]
    staged = [(1, "a", None, "job 2", True, 0, 0)]
    assert engine.merged(merge, there, staged) == [(1, "a", 1, "job 2", True)]


def test_a_table_with_nothing_but_keys_can_be_merged(engine: Engine) -> None:
    merge = replace(MERGE, columns=STAGED[:2], version=None)
    staged = [(1, "a", None, None, False, 0, 0), (1, "a", None, None, False, 0, 1)]
    assert engine.merged(merge, [(2, "b")], staged) == [(1, "a"), (2, "b")]


def test_duckdb_leaves_one_of_the_rows_that_had_the_same_key() -> None:
    with closing(duckdb.connect()) as connection:
        engine = Engine(connection, "qmark", duckdb_merge, index=False)
        merge = replace(MERGE, kept=("mine",))
        there = [(1, "a", 1, "old", "x"), (1, "a", 1, "old", "x")]
        assert engine.merged(merge, there, [(1, "a", 2, "new", False, 0, 0)]) == [(1, "a", 2, "new", "x")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"keys": ()}, "a merge needs a key"),
        ({"keys": ("other",)}, "'other' is not a column"),
        ({"version": "page"}, "'page' is not a column"),
        ({"deletes": "remove", "deleted": None}, "needs the column that says which rows are deleted"),
        ({"deletes": "flag"}, "'gone' is not a column"),
    ],
)
def test_a_merge_that_cannot_be_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        replace(MERGE, **changes)


def test_keys_and_versions_are_columns_whose_values_can_be_compared() -> None:
    types = {"id": INT64, "text": TEXT, "object": JSON}
    assert unusable(types, ["id"], "text") is None
    assert unusable(types, ["id"], None) is None
    assert unusable(types, ["none"], None) == "there is no column 'none'"
    assert unusable(types, ["id"], "object") == "column 'object' is json, and its values cannot be compared"
