"""The statements of a merge, in the engines that run them, against a model of what they promise."""

from dataclasses import replace
from typing import Any

import matrices
import pytest
from destination.merge_engine import MERGE, ROW, STAGED, Engine, Row, in_duckdb, may_replace, sent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bizon.destination.column_types import INT64, JSON, TEXT
from bizon.destination.merge_parts import Merge
from bizon.destination.merging import unusable


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
        if wins is not None and may_replace(merge, rows.get(key), wins):
            rows[key] = (*wins[:4], *((False,) if merge.deletes == "flag" else ()))
        if not newest[4] or merge.deletes == "ignore":
            continue
        old = rows.get(key)
        if old is not None and newest[2] is not None and not may_replace(merge, old, newest):
            continue
        if merge.deletes == "remove":
            rows.pop(key, None)
        else:
            version = newest[2] if newest[2] is not None or old is None or not merge.version else old[2]
            base = (*newest[:4],) if old is None else old[:4]
            rows[key] = (*base[:2], version if merge.version else base[2], base[3], True)
    return sorted(rows.values(), key=str)


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
    with in_duckdb() as engine:
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
