"""Plans of batches: the columns that a table needs, and the rows."""

from datetime import UTC, datetime
from typing import Any

import orjson
import polars as pl
import pytest

from bizon.common.errors.errors import RowsRejectedError
from bizon.destination.column_names import NameRules
from bizon.destination.column_types import DATE, FLOAT64, INT64, JSON, TEXT, TIMESTAMP, ColumnType, decimal
from bizon.destination.system_columns import SYSTEM_COLUMNS, deletions
from bizon.destination.typed_batch import Plan, Planner, There
from bizon.destination.typed_config import SchemaMode
from bizon.destination.typed_digest import Digest
from bizon.rows.frames import DESTINATION_SCHEMA

NEW: There = dict(SYSTEM_COLUMNS)
MANY = 3000  # records: more than the first look at a table takes


def rows(*records: Any) -> pl.DataFrame:
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    texts = [record if isinstance(record, str) else orjson.dumps(record).decode() for record in records]
    return pl.DataFrame(
        [(f"job-0.0-{n}", moment, moment, str(n), moment, text) for n, text in enumerate(texts)],
        schema=DESTINATION_SCHEMA,
        orient="row",
    )


def planner(mode: SchemaMode = SchemaMode.EVOLVE, **settings: Any) -> Planner:
    return Planner(settings.pop("rules", NameRules()), mode, **settings)


def added(plan: Plan) -> dict[str, ColumnType]:
    return {column.name: column.type for column in plan.add}


def test_the_first_batch_brings_the_columns_of_all_its_records() -> None:
    plan = planner().plan("t", NEW, rows({"a": 1}, {"b": "x"}, {"a": None}))
    assert added(plan) == {"a": INT64, "b": TEXT}
    assert plan.frame["a"].to_list() == [1, None, None]
    assert plan.frame.columns[: len(SYSTEM_COLUMNS)] == list(SYSTEM_COLUMNS)
    assert not plan.rescued


LATE: dict[str, tuple[Any, Any, ColumnType]] = {
    "a float after integers": (1, 0.5, FLOAT64),
    "a large integer after integers": (1, 2**70, decimal(38)),
    "text after dates": ("2024-01-01", "x", TEXT),
    "a moment after dates": ("2024-01-01", "2024-01-01T00:00:00Z", TEXT),
    "text after moments": ("2024-01-01T00:00:00Z", "x", TEXT),
    "a number after text": ("x", 1, JSON),
    "an object after text": ("x", {"a": 1}, JSON),
}


@pytest.mark.parametrize(("usual", "late", "kind"), LATE.values(), ids=LATE)
def test_a_value_at_the_end_of_the_first_batch_counts_like_any_other(usual: Any, late: Any, kind: ColumnType) -> None:
    records = [*([{"a": usual}] * MANY), {"a": late, "b": "2024-01-01"}]
    plan = planner().plan("t", NEW, rows(*map(_text, records)))
    assert added(plan) == {"a": kind, "b": DATE}
    assert not plan.rescued


def _text(record: dict[str, Any]) -> str:
    return str(record).replace("'", '"')


def test_a_later_batch_adds_and_widens() -> None:
    plans = planner()
    first = plans.plan("t", NEW, rows({"a": 1}))
    second = plans.plan("t", first.after, rows({"a": "x"}, {"a": 2, "c": "2024-01-01T00:00:00Z"}))
    assert (added(second), second.widen) == ({"c": TIMESTAMP}, ())
    assert second.rescued == {("a",): 1}
    third = plans.plan("t", second.after, rows('{"a": 123456789012345678901}'))
    assert [(column.name, column.type) for column in third.widen] == [("a", decimal(38))]
    assert third.after["a"] == decimal(38)


def test_a_table_changed_by_others_is_planned_from_its_catalogue() -> None:
    plans = planner()
    after = plans.plan("t", NEW, rows({"a": 1, "b": 1})).after
    dropped = {name: kind for name, kind in after.items() if name != "b"}
    assert added(plans.plan("t", dropped, rows({"a": 1, "b": 2}))) == {"b": INT64}
    retyped = {**after, "b": None}
    plan = plans.plan("t", retyped, rows({"a": 1, "b": 2}))
    assert (plan.add, plan.rescued) == ((), {("b",): 1})
    assert plan.refused[("b",)] == "the table has this column, of a type that bizon does not write"


def test_a_key_keeps_its_column_within_a_run() -> None:
    plans = planner(rules=NameRules(snake_case=True))
    after = plans.plan("t", NEW, rows({"OrderId": 1})).after
    plan = plans.plan("t", after, rows({"order_id": 5, "OrderId": 2}))
    assert plan.frame["order_id"].to_list() == [2]
    assert plan.rescued == {("order_id",): 1}


def test_strict_takes_the_first_batch_and_refuses_what_does_not_fit_later() -> None:
    plans = planner(SchemaMode.STRICT)
    after = plans.plan("t", NEW, rows({"a": 1}, {"a": 2, "b": 1})).after
    with pytest.raises(RowsRejectedError, match="record '1' does not fit its table in 'c'") as refused:
        plans.plan("t", after, rows({"a": 1}, {"c": 1}))
    assert list(refused.value.reasons) == [1]


@pytest.mark.parametrize("mode", SchemaMode)
def test_a_record_that_is_not_an_object_is_refused(mode: SchemaMode) -> None:
    with pytest.raises(RowsRejectedError, match="record '1' is not a JSON object"):
        planner(mode).plan("t", NEW, rows({"a": 1}, "[]"))


def test_a_mark_of_deletion_is_any_value_but_none_false_and_zero() -> None:
    values = [None, False, 0, "", "false", "FALSE", "0", True, "true", 1, "2024-01-01", {"a": 1}]
    texts = pl.Series([orjson.dumps({"gone": value}).decode() for value in values])
    assert deletions(texts, "gone").to_list() == [False] * 7 + [True] * 5
    assert deletions(pl.Series(["{}"]), "gone").to_list() == [False]


FRAME = pl.DataFrame({"a": [1, 2], "t": ["x", None], "f": [0.1, -0.0], "n": [None, None]})


def test_a_digest_does_not_depend_on_order_width_and_the_type_of_numbers() -> None:
    wide = FRAME.with_columns(pl.col("a").cast(pl.Decimal(38, 9)))
    for same in (FRAME.reverse(), FRAME.select("f", "a", "t"), wide, FRAME.with_columns(m=pl.lit(None, dtype=pl.Date))):
        assert Digest.of_rows(same) == Digest.of_rows(FRAME)


@pytest.mark.parametrize(
    "other",
    [
        FRAME.head(1),
        pl.concat([FRAME, FRAME.head(1)]),
        FRAME.with_columns(a=pl.Series([2, 1])),
        FRAME.with_columns(a=pl.Series([10, 2])),
        FRAME.with_columns(t=pl.Series(["x", ""])),
        FRAME.with_columns(t=pl.Series([None, "x"])),
        FRAME.with_columns(f=pl.Series([0.1, 0.0])),
        FRAME.rename({"t": "u"}),
    ],
)
def test_a_digest_tells_other_values_apart(other: pl.DataFrame) -> None:
    assert Digest.of_rows(other) != Digest.of_rows(FRAME)
