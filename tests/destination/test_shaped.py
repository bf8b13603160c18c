"""Records that fit their table's columns are read the quick way, with the result of the thorough one."""

import json
from collections.abc import Sequence
from typing import NamedTuple

import matrices
import orjson
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bizon.destination import typed as typed_module
from bizon.destination.column_types import BOOLEAN, DATE, FLOAT64, INT64, JSON, TEXT, TIMESTAMP, ColumnType, decimal
from bizon.destination.columns import Column
from bizon.destination.leaves import Path
from bizon.destination.shaped import Shapes
from bizon.destination.typed import RESCUED, Typed, typed

NESTED = {"x": [1, 2.5, "é"], "y": {"z": None}}
VALUES: dict[ColumnType, Sequence[object]] = {
    BOOLEAN: (True, False, None),
    INT64: (0, -1, 2**63 - 1, -(2**63), 2**53 + 1, None),
    FLOAT64: (0.1, -0.0, 1e22, 5e-324, 7, 2**53, 2**53 + 1, None),
    decimal(38, 9): (1.25, 7, -3, None),
    TEXT: ("", "a", "é😀", 'quote"', "\0", "\n", "{}", None),
    DATE: ("2024-02-29", "2023-02-29", None),
    TIMESTAMP: ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00.1234567Z", "2016-12-31T23:59:60Z", None),
    JSON: (NESTED, [], {}, "text", 1, 0.5, True, None),
}
FOREIGN = (True, 1.5, 2**64, 2**200, "text", [1], {"b": 1}, {}, None)
SPELLINGS = ("1.50", "1e5", "-0", "1E400", "NaN", r'"\u0000"', r'"\ud800"', r'"\/"', '{"a":1,"a":2}', "[1.10]", "{")


def columns_of(kinds: Sequence[ColumnType], nested: Sequence[ColumnType] = ()) -> list[Column]:
    flat = [Column((f"k{number}",), f"k{number}", kind) for number, kind in enumerate(kinds)]
    deep = [Column(("o", f"k{number}"), f"o_k{number}", kind) for number, kind in enumerate(nested)]
    return flat + deep


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[Column], int, list[str]]:
    """Columns, levels to flatten, and the texts of records most of which fit."""
    flatten = draw(st.integers(0, 1))
    kinds = draw(st.lists(st.sampled_from(tuple(VALUES)), min_size=1, max_size=4))
    nested = draw(st.lists(st.sampled_from(tuple(VALUES)), max_size=2)) if flatten else []
    columns = columns_of(kinds, nested)
    return columns, flatten, draw(st.lists(_text(columns), max_size=40))


@st.composite
def _text(draw: st.DrawFn, columns: Sequence[Column]) -> str:
    record: dict[str, object] = {}
    for column in columns:
        if draw(st.integers(0, 9)):
            *above, key = column.path
            place = record.setdefault(above[0], {}) if above else record
            assert isinstance(place, dict)
            place[key] = draw(st.sampled_from(VALUES[column.type]))
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    oddity = draw(st.integers(0, 60))
    if oddity == 0:
        return text.replace(":", ": ", 1)
    if oddity == 1:
        return json.dumps({**record, draw(st.sampled_from(("k0", "o", "new", ""))): draw(st.sampled_from(FOREIGN))})
    if oddity == 2:
        members = text[1:-1].split(",") if "{" not in text[1:] and "[" not in text else [text[1:-1]]
        return "{" + ",".join(reversed([*members, f'"k0":{draw(st.sampled_from(SPELLINGS))}'])) + "}"
    return text


def thorough(texts: pl.Series, columns: Sequence[Column], flatten: int) -> Typed:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typed_module.Shapes, "read", lambda self, texts: None)
        return typed(texts, columns, flatten)


def values_of(result: Typed, columns: Sequence[Column]) -> dict[str, list[object]]:
    """The values of the frame. JSON is compared as values, what was rescued included: 1.50 is 1.5, and spaces between
    values are not promised."""
    found = result.frame.to_dict(as_series=False)
    for name in (RESCUED, *(column.name for column in columns if column.type == JSON)):
        found[name] = [None if text is None else json.loads(text, object_pairs_hook=list) for text in found[name]]
    return found


@given(batches())
@example((columns_of([BOOLEAN]), 0, [*["{}"] * 7, '{"k0": {"b": 1}}']))
@settings(max_examples=matrices.examples(300), deadline=None)
def test_the_quick_way_gives_the_frame_of_the_thorough_one(batch: tuple[list[Column], int, list[str]]) -> None:
    columns, flatten, rows = batch
    texts = pl.Series(rows, dtype=pl.String)
    quick, slow = typed(texts, columns, flatten), thorough(texts, columns, flatten)
    assert values_of(quick, columns) == values_of(slow, columns)
    assert quick.frame.schema == slow.frame.schema
    assert (quick.rescued, quick.unmet, quick.faults) == (slow.rescued, slow.unmet, slow.faults)


def encoded(*records: dict[str, object]) -> list[bytes | None]:
    return [orjson.dumps(record) for record in records]


class Found(NamedTuple):
    columns: dict[Path, list[object]]
    odd: list[int]


def read(shapes: Shapes, texts: Sequence[bytes | None]) -> Found | None:
    found = shapes.read(texts)
    if found is None:
        return None
    assert not (found.odd and found.series)
    columns = {path: list(values) for path, values in found.columns.items()}
    return Found({**columns, **{path: values.to_list() for path, values in found.series.items()}}, found.odd)


def test_records_that_fit_are_read_with_the_text_of_their_json() -> None:
    shapes = Shapes(columns_of([INT64, JSON, TEXT]))
    found = read(shapes, encoded({"k0": 1, "k1": NESTED, "k2": "a"}, {"k0": None, "k2": "b"}, {"k1": None}))
    assert found is not None
    assert found.columns == {
        ("k0",): [1, None, None],
        ("k1",): [orjson.dumps(NESTED).decode(), None, None],
        ("k2",): ["a", "b", None],
    }
    assert found.odd == []


def test_keys_may_have_another_order_than_the_columns() -> None:
    found = read(Shapes(columns_of([INT64, INT64])), encoded({"k1": 1, "k0": 2}, {"k1": 3, "k0": 4}))
    assert found is not None
    assert found.columns == {("k0",): [2, 4], ("k1",): [1, 3]}


@pytest.mark.parametrize(
    "text",
    [
        b'{"k0":1,"k0":1}',
        b'{"k0":1, "k1":"a"}',
        b'{"k0":1.0}',
        b'{"k0":9223372036854775808}',
        b'{"k0":1,"new":1}',
        b'{"k1":"\\u0000"}',
        b'{"k1":1}',
        b'{"k1":"a"}\n',
        b'{"k1":"a"},{"k1":"b"}',
        b'{"k1":"a"}\n{"k1":"b"}',
        b"[]",
        b"null",
        b"",
        None,
    ],
)
def test_a_record_that_does_not_fit_is_left_alone(text: bytes | None) -> None:
    texts = [*encoded(*({"k0": n, "k1": "a"} for n in range(20))), text]
    found = read(Shapes(columns_of([INT64, TEXT])), texts)
    assert found is not None
    assert found.odd == [20]
    assert [values[-1] for values in found.columns.values()] == [None, None]


def test_parts_of_records_are_not_joined_to_one() -> None:
    parts: list[bytes | None] = [
        b'{"k0":1',
        b'"k1":"a"}',
        b'{"k0":1},{"k0":2}',
        b'{"k1":',
        b'"b"}',
        b'{"k0":3}\n{"k0":4}',
    ]
    assert read(Shapes(columns_of([INT64, TEXT])), parts) is None


def test_many_odd_records_are_refused_and_end_the_attempts() -> None:
    shapes = Shapes(columns_of([INT64]))
    strange, plain = encoded({"k0": "a"}, {"k0": "b"}), encoded({"k0": 1})
    assert [read(shapes, strange) for _ in range(3)] == [None] * 3
    assert read(shapes, plain) is None


def test_an_object_that_would_be_flattened_makes_its_record_odd() -> None:
    texts = encoded(*({"k0": [n]} for n in range(20)), {"k0": {"a": 1}})
    found = read(Shapes(columns_of([JSON]), 1), texts)
    assert found is not None
    assert found.odd == [20]


def test_a_key_that_json_escapes_has_its_value_where_json_is_read_further() -> None:
    columns = [Column(('a"b',), "a_b", JSON), Column(("k",), "k", INT64)]
    texts = pl.Series([orjson.dumps({"k": n, 'a"b': [n]} if n == 20 else {"k": n}).decode() for n in range(21)])
    result = typed(texts, columns, json_misfits=lambda values, texts: [])
    assert result.frame["a_b"].to_list() == [None] * 20 + ["[20]"]


def test_a_key_that_json_escapes_makes_its_records_odd() -> None:
    columns = [Column(('a"b',), "a_b", INT64), Column(("k",), "k", INT64)]
    found = read(Shapes(columns), encoded(*({"k": n} for n in range(20)), {'a"b': 1}))
    assert found is not None
    assert found.odd == [20]
