"""Values that tables are known to lose: each arrives unchanged, is rescued, or is refused by name."""

from typing import NamedTuple

import polars as pl
import pytest
from typed_rows import assert_nothing_is_lost

from bizon.destination.column_names import NameRules
from bizon.destination.table_schema import table_schema
from bizon.destination.typed import RESCUED, typed

LONG_KEY = "é" * 100  # 200 bytes
DEEP = "[" * 300 + "]" * 300
TOO_DEEP = "[" * 100_000 + "]" * 100_000


class Hard(NamedTuple):
    """``texts``: the records of a first batch. ``types``: the columns of the new table. ``rescued``: the rows with
    rescued values, with their JSON. ``refused``: words of the reason why a row is refused."""

    texts: list[str]
    types: dict[str, str]
    rescued: dict[int, str] = {}
    refused: dict[int, str] = {}


HARD = {
    "integers to the end of 64 bits": Hard(['{"a":9223372036854775807}', '{"a":-9223372036854775808}'], {"a": "int64"}),
    "an integer of 64 bits without a sign": Hard(['{"a":18446744073709551615}', '{"a":1}'], {"a": "decimal(38, 0)"}),
    "an integer of 30 digits": Hard(['{"a":123456789012345678901234567890}', '{"a":1}'], {"a": "decimal(38, 0)"}),
    "an integer of 5,000 digits": Hard(
        [f'{{"a":{"7" * 5000}}}', '{"a":1}'], {"a": "int64"}, {0: f'{{"a":{"7" * 5000}}}'}
    ),
    "a decimal of 30 digits": Hard(['{"a":1.23456789012345678901234567891}'], {"a": "decimal(38, 29)"}),
    "integers and fractions": Hard(['{"a":1}', '{"a":0.1}', '{"a":9007199254740992}'], {"a": "float64"}),
    "a fraction and an integer beyond 2**53": Hard(['{"a":0.25}', '{"a":9007199254740993}'], {"a": "decimal(38, 2)"}),
    "1e400": Hard(['{"a":1e400}', '{"a":1.5}'], {"a": "float64"}, {0: '{"a":1e400}'}),
    "NaN and infinities": Hard(
        ['{"a":NaN,"b":1}', '{"a":-Infinity}', '{"a":1.5,"b":[Infinity,"NaN"]}'],
        {"a": "float64", "b": "int64"},
        {0: '{"a":"NaN"}', 1: '{"a":"-Infinity"}', 2: '{"b":["Infinity","NaN"]}'},
    ),
    "minus zero, and numbers spelled in other ways": Hard(
        ['{"a":-0,"b":1.10}', '{"a":1,"b":1E2}', '{"a":2,"b":-0.0}'], {"a": "int64", "b": "float64"}
    ),
    "NUL": Hard([r'{"a":"x\u0000y"}'], {"a": "text"}, {0: r'{"a":"x\u0000y"}'}),
    "half a surrogate pair": Hard(
        [r'{"a":"x\ud800y","b":{"c":"\udfff\ud83d\ude00\\ud800"}}'],
        {"a": "text", "b": "json"},
        {0: r'{"a":"x\ud800y","b":{"c":"\udfff\ud83d\ude00\\ud800"}}'},
    ),
    "an empty key": Hard(['{"":1,"a":2}'], {"a": "int64"}, {0: '{"":1}'}),
    "a key of 200 bytes": Hard([f'{{"{LONG_KEY}":1}}'], {f"{'é' * 26}_f42ec48e1e": "int64"}),
    "a key with NUL": Hard([r'{"a\u0000":1,"a":2}'], {"a": "int64"}, {0: r'{"a\u0000":1}'}),
    "keys that differ in case": Hard(['{"a":1,"A":2}', '{"A":3}'], {"a": "int64"}, {0: '{"A":2}', 1: '{"A":3}'}),
    "a repeated key": Hard(['{"a":1,"a":{"b":1,"b":2},"a":3}'], {"a": "json"}, {0: '{"a":1,"a":{"b":1,"b":2}}'}),
    "dots, quotes and spaces in keys": Hard(
        [r'{"a.b":1,"\"; --":2," ":3}'], {"a.b": "int64", '"; --': "int64", " ": "int64"}
    ),
    "reserved keys": Hard(
        ['{"_bizon_id":1,"_SOURCE_x":2,"a":3}'], {"a": "int64"}, {0: '{"_bizon_id":1,"_SOURCE_x":2}'}
    ),
    "300 levels": Hard([f'{{"a":{DEEP}}}'], {"a": "json"}),
    "100,000 levels": Hard(['{"a":1}', f'{{"a":{TOO_DEEP}}}'], {"a": "int64"}, {}, {1: "nested too deeply"}),
    "empty objects and lists": Hard(['{"a":{},"b":[]}', '{"a":{"c":[]},"b":[{}]}'], {"a": "json", "b": "json"}),
    "only nulls": Hard(['{"a":null,"b":1}', '{"a":null}', "{}"], {"b": "int64"}),
    "dates of year 1 and 9999": Hard(['{"a":"0001-01-01"}', '{"a":"9999-12-31"}'], {"a": "date"}),
    "a date that is none": Hard(['{"a":"2024-02-30"}', '{"a":"2024-02-29"}'], {"a": "text"}),
    "moments of year 1 and 9999": Hard(
        ['{"a":"0001-01-01T00:00:00Z"}', '{"a":"9999-12-31T23:59:59.999999Z"}'], {"a": "timestamp"}
    ),
    "moments beyond the calendar in UTC": Hard(['{"a":"0001-01-01T00:00:00+01:00"}'], {"a": "text"}),
    "offsets": Hard(['{"a":"2024-01-01T00:00:00+14:00"}', '{"a":"2024-01-01t00:00:00.5-00:30"}'], {"a": "timestamp"}),
    "moments without an offset": Hard(['{"a":"2024-01-01T00:00:00"}'], {"a": "text"}),
    "nanoseconds": Hard(['{"a":"2024-01-01T00:00:00.123456789Z"}'], {"a": "text"}),
    "a leap second": Hard(['{"a":"2016-12-31T23:59:60Z"}', '{"a":"2017-01-01T00:00:00Z"}'], {"a": "text"}),
    "text and numbers": Hard(['{"a":1}', '{"a":"x"}', '{"a":true}'], {"a": "json"}),
    "escapes, emoji and spaces": Hard(['{ "é\\u00e9" :\t"\\/ 😀\\ud83d\\ude00" }'], {"éé": "text"}),
    "not an object": Hard(
        ['{"a":1}', "[1]", '{"a":1', '{"a":1}}', "", '{"a":01}'],
        {"a": "int64"},
        {},
        dict.fromkeys(range(1, 6), "is not a JSON object"),
    ),
}


@pytest.mark.parametrize("hard", HARD.values(), ids=HARD)
def test_a_hard_value_is_kept_rescued_or_refused(hard: Hard) -> None:
    schema = table_schema({}, {}, NameRules(longest=63))
    texts = pl.Series(hard.texts)
    schema = schema.changed(schema.difference(typed(texts, schema.columns).unmet))
    result = typed(texts, schema.columns)
    assert {column.name: str(column.type) for column in schema.columns} == hard.types
    assert {row: text for row, text in enumerate(result.frame[RESCUED]) if text} == hard.rescued
    assert result.faults.keys() == hard.refused.keys()
    assert all(words in result.faults[row] for row, words in hard.refused.items())
    assert_nothing_is_lost(hard.texts, result, list(schema.columns))


@pytest.mark.parametrize("hard", HARD.values(), ids=HARD)
def test_a_hard_value_costs_no_other_row_its_place(hard: Hard) -> None:
    texts = [*hard.texts, *(f'{{"n":{number}}}' for number in range(3)), *hard.texts]
    schema = table_schema({}, {}, NameRules())
    schema = schema.changed(schema.difference(typed(pl.Series(texts), ()).unmet))
    result = typed(pl.Series(texts), schema.columns)
    assert result.frame["n"][len(hard.texts) : -len(hard.texts)].to_list() == [0, 1, 2]
    assert_nothing_is_lost(texts, result, list(schema.columns))


def test_text_that_no_engine_is_sure_to_store_is_replaced_in_the_column() -> None:
    schema = table_schema({}, {}, NameRules())
    texts = pl.Series([r'{"a":"x\u0000\ud800y","b":{"c":"\ud800\\u0000"}}'])
    schema = schema.changed(schema.difference(typed(texts, ()).unmet))
    row = typed(texts, schema.columns).frame.row(0, named=True)
    assert (row["a"], row["b"]) == ("x\ufffd\ufffdy", '{"c":"\ufffd\\\\u0000"}')
