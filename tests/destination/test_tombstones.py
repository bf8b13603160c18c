"""Tombstones: the statements that keep them, against a model in both engines, and the table that they are in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import matrices
import pytest
from connectors.destinations.duckdb.kit import DuckdbTarget
from connectors.destinations.postgres.kit import PostgresTarget
from connectors.destinations.table_kit import INCREMENTAL, Target, page
from destination.merge_engine import BURYING, ROW, Engine, Row, in_duckdb, may_replace, sent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bizon.destination.column_types import INT64, TEXT, TIMESTAMP, ColumnType, decimal
from bizon.destination.merge_rule import MergeRule
from bizon.destination.system_columns import DELETED
from bizon.destination.tombstones import Tombstones
from bizon.destination.typed_table import TypedTableDestination


@settings(
    max_examples=matrices.examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
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
            if graves.get(key, -1) <= rank and may_replace(BURYING, old, newest):
                rows[key] = newest[:4]
        elif old is None or newest[2] is None or may_replace(BURYING, old, newest):
            rows.pop(key, None)
            known = max(rank, graves.get(key, -1), -1 if old is None or old[2] is None else old[2])
            graves.update({key: known} if known >= 0 else {})
        if key in rows:
            graves.pop(key, None)
    return sorted(rows.values(), key=str)


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


OLD = (1, "a", 3, "old")


def gone(version: int | None, key: int = 1) -> Row:
    return (key, "a", version, "gone", True)


@pytest.mark.parametrize(
    ("staged", "rows", "graves"),
    [
        ([gone(5)], [], [(1, "a", 5)]),
        ([gone(None)], [], [(1, "a", 3)]),
        ([gone(3)], [], [(1, "a", 3)]),
        ([gone(2)], [OLD], []),
        ([gone(7), gone(5)], [], [(1, "a", 7)]),
        ([gone(5), (1, "a", 6, "new", False)], [(1, "a", 6, "new")], []),
        ([(1, "a", 6, "new", False), gone(None)], [], [(1, "a", 6)]),
        ([gone(5, key=2)], [OLD], [(2, "a", 5)]),
        ([gone(None, key=2)], [OLD], []),
    ],
    ids=[
        "a newer deletion",
        "one without a version",
        "one of the same version",
        "an older one",
        "two of them",
        "one before a newer row",
        "one without a version after a newer row",
        "one of a row that never was",
        "one of a row that never was, without a version",
    ],
)
def test_a_deletion_leaves_the_version_from_which_on_its_row_may_return(
    engine: Engine, staged: list[Row], rows: list[Row], graves: list[Row]
) -> None:
    assert engine.merged(BURYING, [OLD], sent(staged)) == rows
    assert [row[:3] for row in engine.buried] == graves


def test_a_row_that_is_removed_again_is_remembered_once_with_the_larger_version(engine: Engine) -> None:
    assert engine.merged(BURYING, [OLD], sent([gone(5)]), sent([gone(4)])) == []
    assert [row[:3] for row in engine.buried] == [(1, "a", 5)]
    assert engine.merged(BURYING, [OLD], sent([gone(5)]), sent([gone(8)])) == []
    assert [row[:3] for row in engine.buried] == [(1, "a", 8)]


def test_rows_that_share_a_key_in_duckdb_are_removed_together_and_the_largest_version_is_remembered() -> None:
    with in_duckdb() as engine:
        assert engine.merged(BURYING, [OLD, (1, "a", 4, "twice")], sent([gone(None)])) == []
        assert [row[:3] for row in engine.buried] == [(1, "a", 4)]


RULE = MergeRule(["id"], "v", removed=DELETED)
TYPES: dict[str, ColumnType] = {"id": INT64, "other": TEXT, "v": INT64}
REMOVING = {"write_mode": "merge", "primary_key": ["id"], "version": "v", "deletes": "remove", "deleted_field": "gone"}


@pytest.fixture(params=["postgres", "duckdb"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    if request.param == "duckdb":
        return DuckdbTarget(tmp_path / "items.duckdb")
    return PostgresTarget(request.getfixturevalue("postgres"))


@contextmanager
def destination_of(target: Target) -> Iterator[TypedTableDestination]:
    with target.pipeline(INCREMENTAL, **REMOVING) as into:
        destination = into.open("job")
        assert isinstance(destination, TypedTableDestination)
        assert destination.check_connection()
        yield destination


def readied(
    destination: TypedTableDestination, rule: MergeRule = RULE, types: Mapping[str, ColumnType] = TYPES, days: int = 30
) -> str | None:
    """The name of the table for a merge; None when it needs none. A new one gets a tombstone."""
    with destination.target.transaction() as within:
        found = Tombstones(destination, days).ready(within, "items", rule, types)
        if found is None:
            return None
        if not within.rows("SELECT 1 FROM {table}", table=found.name):
            within.run("INSERT INTO {table} ({version}) VALUES (7)", table=found.name, version="v")
    return found.name


def graves(target: Target, columns: str = "1") -> list[tuple[Any, ...]]:
    """A row for each tombstone. DuckDB 1.4 needs a package to fetch a moment."""
    (name,) = (table for table in target.tables() if table.startswith("items_removed_"))
    return target.rows(f"SELECT {columns} FROM {name}")


@pytest.mark.parametrize(
    ("rule", "types", "days"),
    [
        (RULE, TYPES, 0),
        (replace(RULE, removed=None), TYPES, 30),
        (replace(RULE, version=None), TYPES, 30),
        (replace(RULE, key=["id", "v"]), TYPES, 30),
        (RULE, {"id": INT64}, 30),
    ],
    ids=["no days", "nothing removed", "no version", "the version in the key", "no column of the version"],
)
def test_a_merge_that_compares_no_versions_has_no_tombstones(
    tmp_path: Path, rule: MergeRule, types: Mapping[str, ColumnType], days: int
) -> None:
    target = DuckdbTarget(tmp_path / "items.duckdb")
    with destination_of(target) as destination:
        assert readied(destination, rule, types, days) is None
    assert sorted(target.tables()) == ["_bizon_outputs", "items"]


def test_tombstones_stay_while_key_and_version_do_and_widen_with_them(target: Target) -> None:
    with destination_of(target) as destination:
        first = readied(destination)
        assert first is not None
        assert readied(destination) == first
        assert readied(destination, types={**TYPES, "v": decimal(38, 0)}) == first
        with destination.target.transaction() as within:
            there = destination.columns_of(within, first)
    assert there == {"id": INT64, "v": decimal(38, 0), "_bizon_removed_at": TIMESTAMP}
    assert len(graves(target)) == 1


@pytest.mark.parametrize(
    ("rule", "types"),
    [
        (replace(RULE, key=["other"]), TYPES),
        (replace(RULE, key=["id", "other"]), TYPES),
        (RULE, {**TYPES, "id": TEXT}),
        (replace(RULE, version="w"), {**TYPES, "w": INT64}),
    ],
    ids=["another key", "one more key", "a key of another type", "another version"],
)
def test_tombstones_of_other_columns_are_forgotten(
    target: Target, rule: MergeRule, types: Mapping[str, ColumnType]
) -> None:
    with destination_of(target) as destination:
        name = readied(destination)
        assert name is not None
        with destination.target.transaction() as within:
            found = Tombstones(destination, 30).ready(within, "items", rule, types)
            assert found is not None
            assert found.name == name
            there = destination.columns_of(within, name)
    assert [*there] == [*rule.key, rule.version, "_bizon_removed_at"]
    assert graves(target) == []


def test_removed_rows_are_forgotten_with_their_table(target: Target) -> None:
    late, first = page({"id": 1, "v": 1}), page({"id": 1, "v": 2, "gone": True}, {"id": 2, "v": 1})
    target.load(INCREMENTAL, first, **REMOVING)
    target.load(INCREMENTAL, late, **REMOVING)
    assert target.rows("SELECT id FROM items") == [(2,)]
    assert graves(target, "id, v") == [(1, 2)]
    with destination_of(target) as destination, destination.target.transaction() as within:
        for _ in range(2):
            Tombstones(destination, 30).forget(within, "items")
    target.load(INCREMENTAL, late, **REMOVING)
    assert target.rows("SELECT id FROM items ORDER BY id") == [(1,), (2,)]
