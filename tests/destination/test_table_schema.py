"""A table follows its records as far as its mode allows, and never changes a stored value."""

from collections.abc import Mapping

import polars as pl
import pytest

from bizon.destination.column_names import NameRules
from bizon.destination.column_types import FLOAT64, INT64, TEXT, TIMESTAMP, ColumnType, decimal
from bizon.destination.columns import Column
from bizon.destination.table_schema import Difference, TableSchema, table_schema
from bizon.destination.typed import RESCUED, Typed, inferred, typed
from bizon.destination.typed_config import SchemaMode

RULES = NameRules()
FIXED = (SchemaMode.FREEZE, SchemaMode.STRICT)


def of(
    there: Mapping[str, ColumnType], mode: SchemaMode = SchemaMode.EVOLVE, rules: NameRules = RULES, **more: int
) -> TableSchema:
    return table_schema(there, {}, rules, mode, **more)


def difference(schema: TableSchema, *texts: str, flatten: int = 0) -> Difference:
    return schema.difference(typed(pl.Series(texts), schema.columns, flatten).unmet)


def after(schema: TableSchema, *texts: str, flatten: int = 0) -> Typed:
    """The rows, once the table has changed for them."""
    changed = schema.changed(difference(schema, *texts, flatten=flatten))
    return typed(pl.Series(texts), changed.columns, flatten, strict=changed.is_strict)


def test_a_batch_that_fits_changes_nothing() -> None:
    assert difference(of({"a": INT64}), '{"a":1}', '{"a":null}', "{}").is_empty


def test_new_keys_become_columns_in_their_order() -> None:
    found = difference(of({"a": INT64}), '{"c":1}', '{"b":"x","a":2}')
    assert found == Difference(add=(Column(("c",), "c", INT64), Column(("b",), "b", TEXT)))


def test_keys_keep_their_order_when_a_value_needs_care() -> None:
    found = difference(of({}), '{"b":18446744073709551616,"a":1}', '{"B":1,"c":2}')
    assert [column.name for column in found.add] == ["b", "a", "c"]
    assert [*found.refused] == [("B",)]


@pytest.mark.parametrize(
    ("there", "value", "wide"),
    [
        (INT64, "9223372036854775808", decimal(38)),
        (INT64, "0.25", decimal(28, 9)),
        (decimal(5, 2), "1234", decimal(6, 2)),
        (decimal(5, 2), "0.125", decimal(12, 9)),
    ],
)
def test_a_column_of_numbers_is_widened(there: ColumnType, value: str, wide: ColumnType) -> None:
    found = difference(of({"a": there}), f'{{"a":{value}}}')
    assert [str(column.type) for column in found.widen] == [str(wide)]
    assert after(of({"a": there}), f'{{"a":{value}}}').rescued == {}


@pytest.mark.parametrize(
    ("there", "value"),
    [
        (INT64, '"x"'),
        (INT64, "1e-30"),
        (FLOAT64, "9007199254740993"),
        (TIMESTAMP, '"yesterday"'),
        (TEXT, "5"),
        (decimal(38), "0.5"),
    ],
)
def test_a_value_is_rescued_where_widening_might_change_a_stored_one(there: ColumnType, value: str) -> None:
    text = f'{{"a":{value}}}'
    assert difference(of({"a": there}), text).is_empty
    result = after(of({"a": there}), text)
    assert result.frame.rows() == [(None, text)]
    assert result.rescued == {("a",): 1}


@pytest.mark.parametrize("mode", FIXED)
def test_a_table_that_stays_as_it_is(mode: SchemaMode) -> None:
    found = difference(of({"a": INT64}, mode), '{"a":0.5,"b":1}')
    assert not found.needs_ddl
    assert found.refused == {("b",): f"the table has no such column, and `schema_mode` is {mode}"}


@pytest.mark.parametrize("mode", FIXED)
def test_a_new_table_takes_its_columns_from_the_first_batch_in_every_mode(mode: SchemaMode) -> None:
    result = after(of({}, mode), '{"a":1}')
    assert result.frame.rows() == [(1, None)]
    assert not result.faults


def test_frozen_keys_are_rescued() -> None:
    assert after(of({"a": INT64}, SchemaMode.FREEZE), '{"a":1,"b":2}').frame.rows() == [(1, '{"b":2}')]


def test_strict_refuses_the_record_and_says_why() -> None:
    result = after(of({"a": INT64}, SchemaMode.STRICT), '{"a":1,"b":2}', '{"a":2}')
    assert result.faults == {0: "does not fit its table in 'b': no column there, or one of another type"}
    assert result.frame.rows() == [(None, None), (2, None)]


def test_a_declared_type_wins_and_stays() -> None:
    schema = table_schema({"b": INT64}, {"a": INT64, "B": TEXT}, RULES)
    assert schema.columns == (Column(("a",), "a", INT64), Column(("B",), "b", INT64))
    assert schema.missing(["_bizon_id", "b"]) == (Column(("a",), "a", INT64),)
    assert difference(schema, '{"a":0.5,"B":0.5}').is_empty


def test_a_name_in_another_case_is_refused_by_name() -> None:
    found = difference(of({"Id": INT64}), '{"id":1}')
    assert found.refused == {("id",): "column 'Id' has this name, which is compared in any case"}


def test_reserved_columns_of_the_table_do_not_count() -> None:
    assert of({"_bizon_id": TEXT, "_Source_data": TEXT}).columns == ()


def test_a_long_name_finds_its_column_again() -> None:
    rules = NameRules(longest=30)
    key = "k" * 50
    schema = of({rules.name((key,)): INT64}, rules=rules)
    assert schema.columns == ()
    found = difference(schema, f'{{"{key}":1}}')
    assert found == Difference(bind=(Column((key,), rules.name((key,)), INT64),))
    assert after(schema, f'{{"{key}":1}}').frame.rows() == [(1, None)]
    assert schema.changed(found).unbound == {}


def test_two_keys_for_one_flattened_column() -> None:
    schema = of({"a_b": INT64}, flatten=1)
    found = difference(schema, '{"a":{"b":1},"a_b":2}', flatten=1)
    assert [column.path for column in found.bind] == [("a", "b")]
    assert list(found.refused) == [("a_b",)]
    assert after(schema, '{"a":{"b":1},"a_b":2}', flatten=1).frame.rows() == [(1, '{"a_b":2}')]


def test_a_table_has_a_maximum_number_of_columns() -> None:
    found = difference(of({"a": INT64}, most=2), '{"b":1,"c":2}')
    assert [column.name for column in found.add] == ["b"]
    assert found.refused == {("c",): "the table has 2 columns, the most that it may have"}


def test_every_record_counts_for_the_type_of_a_column() -> None:
    texts = [*['{"a":1}'] * 5_000, '{"a":0.5,"late":true}']
    schema = of({}).changed(of({}).difference(inferred(pl.Series(texts))))
    assert [str(column.type) for column in schema.columns] == ["float64", "boolean"]


def test_flattened_keys_become_columns_and_other_values_keep_their_key() -> None:
    texts = ('{"a":{"b":{"c":1},"d":[]}}', '{"a":{}}', '{"a":5}', '{"a":{"b":2}}', '{"a": {"b": {"c": 1.50}}}')
    result = after(of({}), *texts, flatten=1)
    assert result.frame.columns == ["a_b", "a_d", "a", RESCUED]
    assert result.frame["a_b"].to_list() == ['{"c":1}', None, None, "2", '{"c": 1.50}']
    assert result.frame["a"].to_list() == [None, "{}", "5", None, None]
    assert after(of({}), *texts, flatten=2).frame["a_b_c"].to_list() == [1.0, None, None, None, 1.5]


def test_rescued_values_keep_their_keys() -> None:
    schema = of({"a_b": INT64}, SchemaMode.FREEZE, flatten=1)
    text = '{"a":{"b":"x","c":[1.10]},"d":null}'
    assert after(schema, text, flatten=1).frame[RESCUED][0] == '{"a":{"b":"x","c":[1.10]}}'


def test_no_record_has_no_columns() -> None:
    assert inferred(pl.Series([], dtype=pl.String)) == {}
    assert typed(pl.Series([], dtype=pl.String), of({"a": TIMESTAMP}).columns).frame.shape == (0, 2)
