"""Columns inferred from a few records."""

import pytest

from bizon.rows.inferred import inferred_columns


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "integer"),
        ([1, 2.5], "number"),
        ([True, False], "boolean"),
        ([True, 1], "boolean or integer"),
        (["a", None], "text"),
        (["2024-05-01T10:00:00Z", "2024-05-01 10:00"], "timestamp"),
        (["2024-05-01"], "date"),
        (["2024-05-01", "soon"], "text"),
        ([{"a": 1}], "object"),
        ([[1], "x"], "list or text"),
        ([None], "null"),
    ],
)
def test_the_type_of_a_column_covers_all_its_values(values, kind):
    (column,) = inferred_columns([{"a": value} for value in values])
    assert column.type == kind


def test_a_missing_key_counts_as_null_and_columns_keep_their_first_place():
    columns = inferred_columns([{"b": 1}, {"a": None, "b": 2}, {"a": "x", "b": None}, {"b": 1}])
    assert [(column.name, column.nulls) for column in columns] == [("b", 0.25), ("a", 0.75)]


def test_no_records_have_no_columns():
    assert inferred_columns([]) == []
