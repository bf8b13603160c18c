"""No record loses a value, and the order of batches does not decide the types."""

import json

import matrices
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from typed_rows import assert_nothing_is_lost

from bizon.destination.column_names import NameRules
from bizon.destination.column_types import (
    BOOLEAN,
    BYTES,
    DATE,
    FLOAT64,
    INT64,
    JSON,
    TEXT,
    TIME,
    TIMESTAMP,
    decimal,
    holds,
)
from bizon.destination.columns import Column, frame_type
from bizon.destination.evidence import Evidence, widened
from bizon.destination.leaves import Path
from bizon.destination.table_schema import table_schema
from bizon.destination.typed import inferred, typed

NUMBERS = (
    "0",
    "-0",
    "-0.0",
    "1.50",
    "1e5",
    "1E400",
    "-1e-400",
    "9007199254740993",
    "9223372036854775808",
    "18446744073709551616",
    "NaN",
    "-Infinity",
    "0.12345678901234567890123",
    "123456789012345678901234567890.5",
    "1e22",
    "1e38",
    "5e-324",
)
SPECIAL = (*NUMBERS, "true", "false", "null", "{}", "[]")
STRINGS = (
    "2024-02-29",
    "2023-02-29",
    "0001-01-01",
    "2024-01-01T00:00:00Z",
    "2024-01-01T00:00:00.123456+05:30",
    "2016-12-31T23:59:60Z",
    "2024-01-01T00:00:00.1234567Z",
    "0001-01-01T00:00:00+01:00",
    "12:30:00",
    "AAE=",
    "NaN",
    "1",
    r"\u0000",
    r"\ud800",
    r"\ud83d\ude00",
    r"\\u0000",
    r"\/",
    "",
    " ",
)
TYPES = (BOOLEAN, INT64, FLOAT64, TIMESTAMP, DATE, TIME, TEXT, JSON, BYTES, decimal(38, 9), decimal(5), decimal(76, 38))

spaces = st.sampled_from(["", "", "", " ", "\n\t"])
keys = st.one_of(st.sampled_from(["a", "b", "A", "", "a_b", "_bizon_x", "\ud800", "\0", "é"]), st.text(max_size=3))
written_keys = st.builds(
    lambda key, ascii: json.dumps(key, ensure_ascii=ascii or not key.isprintable()), keys, st.booleans()
)
scalars = st.one_of(
    st.sampled_from(SPECIAL),
    st.sampled_from(STRINGS).map(lambda text: f'"{text}"'),
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(allow_nan=False, allow_infinity=False, places=12).map(lambda number: f"{number:f}"),
    st.datetimes().map(lambda moment: f'"{moment.isoformat()}Z"'),
    st.text(max_size=5).map(json.dumps),
)


def written(brackets: str, members: list[str], space: str) -> str:
    return f"{brackets[0]}{space}{f'{space},'.join(members)}{space}{brackets[1]}"


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.builds(lambda key, space, value: f"{key}{space}:{space}{value}", written_keys, spaces, values)
    return st.builds(written, st.just("{}"), st.lists(members, max_size=5), spaces)


values = st.recursive(
    scalars,
    lambda inner: objects(inner) | st.builds(written, st.just("[]"), st.lists(inner, max_size=3), spaces),
    max_leaves=6,
)
records = st.lists(objects(values), max_size=6)
levels = st.integers(0, 2)
types = st.sampled_from(TYPES)
few = settings(max_examples=matrices.examples(40), deadline=None)


def evolved(texts: list[str], flatten: int) -> list[Column]:
    """The columns of a new table after a first batch."""
    schema = table_schema({}, {}, NameRules(), flatten=flatten)
    return list(schema.changed(schema.difference(inferred(pl.Series(texts, dtype=pl.String), flatten))).columns)


def joined(batches: list[dict[Path, Evidence]]) -> dict[Path, Evidence]:
    found: dict[Path, Evidence] = {}
    for batch in batches:
        for path, evidence in batch.items():
            found[path] = found.get(path, Evidence()) | evidence
    return found


@few
@given(records, records, levels)
def test_each_leaf_is_in_its_column_or_rescued(first: list[str], second: list[str], flatten: int) -> None:
    columns = evolved(first, flatten)
    texts = first + second
    assert_nothing_is_lost(texts, typed(pl.Series(texts, dtype=pl.String), columns, flatten), columns, flatten)


@few
@given(records, st.dictionaries(st.sampled_from(["a", "b", "é"]), types))
def test_each_leaf_is_in_a_column_of_any_type_or_rescued(texts: list[str], kinds: dict[str, object]) -> None:
    columns = [Column((key,), key, kind) for key, kind in kinds.items()]  # type: ignore[arg-type]
    result = typed(pl.Series(texts, dtype=pl.String), columns)
    assert not result.faults
    assert [str(dtype) for dtype in result.frame.dtypes[:-1]] == [str(frame_type(column.type)) for column in columns]
    assert_nothing_is_lost(texts, result, columns)


@few
@given(st.lists(records, min_size=1, max_size=3), levels)
def test_types_depend_on_the_records_and_not_on_their_batches(batches: list[list[str]], flatten: int) -> None:
    parts = [inferred(pl.Series(batch, dtype=pl.String), flatten) for batch in batches]
    whole = inferred(pl.Series([text for batch in batches for text in batch], dtype=pl.String), flatten)
    assert joined(parts) == whole
    assert joined(parts[::-1]) == whole
    assert joined([joined(parts[:1]), joined(parts[1:])]) == whole


@few
@given(records, records, levels)
def test_evidence_of_a_batch_is_what_did_not_fit(first: list[str], second: list[str], flatten: int) -> None:
    columns = evolved(first, flatten)
    result = typed(pl.Series(second, dtype=pl.String), columns, flatten)
    assert result.unmet.keys() <= result.rescued.keys()
    assert sum(result.rescued.values()) >= result.frame["_bizon_rescued"].count()


@few
@given(types, records)
def test_a_wider_column_holds_what_it_held(narrow: object, texts: list[str]) -> None:
    for evidence in inferred(pl.Series(texts, dtype=pl.String)).values():
        wide = widened(narrow, evidence)  # type: ignore[arg-type]
        assert wide is None or (wide != narrow and holds(wide, narrow))  # type: ignore[arg-type]


@few
@given(st.lists(st.sampled_from(NUMBERS), max_size=6))
def test_a_column_is_widened_only_for_values_that_fit_then(numbers: list[str]) -> None:
    texts = pl.Series([f'{{"a":{number}}}' for number in numbers], dtype=pl.String)
    column = Column(("a",), "a", INT64)
    before = typed(texts, [column])
    wide = widened(INT64, before.unmet.get(("a",), Evidence()))
    if wide is not None:
        assert typed(texts, [column._replace(type=wide)]).rescued.get(("a",), 0) < before.rescued["a",]
