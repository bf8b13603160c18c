"""``unnest``: the fields of a record as typed columns."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import matrices
import polars as pl
import pytest
from connectors.destinations.file.file_runs import rows_of
from hypothesis import given, settings
from hypothesis import strategies as st
from loguru import logger

from bizon.common.errors.errors import RowsRejectedError
from bizon.connectors.destinations.file.src.config import FileRecordSchemaConfig
from bizon.connectors.destinations.file.src.declared_columns import unnester
from bizon.rows.frames import DESTINATION_SCHEMA, encode_data

MISSING = object()
BIG = 10**50


def schema_of(**columns: str) -> FileRecordSchemaConfig:
    return FileRecordSchemaConfig.model_validate(
        {"destination_id": "out", "record_schema": [{"name": name, "type": kind} for name, kind in columns.items()]}
    )


def frame_of(*records: Any) -> pl.DataFrame:
    ids = [f"r{number}" for number in range(len(records))]
    texts = [record if isinstance(record, str) else encode_data(record).decode() for record in records]
    return rows_of(*ids).with_columns(source_data=pl.Series(texts, dtype=pl.String))


def column(kind: str, *values: Any) -> list[Any]:
    records = [{} if value is MISSING else {"c": value} for value in values]
    return unnester(schema_of(c=kind)).frame(frame_of(*records))["c"].to_list()


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("string", ["x", "", "12", "null", 'é🎉 "\\\n\u2028\0'], ["x", "", "12", "null", 'é🎉 "\\\n\u2028\0']),
        ("string", [12, 1.5, True, BIG], ["12", "1.5", "true", str(BIG)]),
        ("integer", [0, -1, 2**63 - 1, -(2**63)], [0, -1, 2**63 - 1, -(2**63)]),
        ("float", [1.5, 2, -1e300, BIG, Decimal("0.25")], [1.5, 2.0, -1e300, 1e50, 0.25]),
        ("boolean", [True, False], [True, False]),
        ("date", ["2024-02-29", "0001-01-01", "9999-12-31"], [date(2024, 2, 29), date.min, date.max]),
        ("datetime", ["2024-01-02T03:04:05Z"], [datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)]),
        ("datetime", ["2024-01-02T03:04:05+02:00"], [datetime(2024, 1, 2, 1, 4, 5, tzinfo=UTC)]),
        ("datetime", ["2024-01-02T03:04:05.123456-0130"], [datetime(2024, 1, 2, 4, 34, 5, 123456, tzinfo=UTC)]),
        ("datetime", ["2024-01-02 03:04:05.5"], [datetime(2024, 1, 2, 3, 4, 5, 500000, tzinfo=UTC)]),
        ("datetime", ["2024-01-02"], [datetime(2024, 1, 2, tzinfo=UTC)]),
        ("json", [{"z": 1, "a": [True, None, 1.0]}], ['{"z":1,"a":[true,null,1.0]}']),
        ("json", ["text", "12", 12, True, []], ['"text"', '"12"', "12", "true", "[]"]),
        ("json", [{"n": BIG, "d": Decimal("0.12345678901234567890")}], [f'{{"n":{BIG},"d":0.12345678901234567890}}']),
        ("json", [{f"k{n}": n for n in range(40)}], [json.dumps({f"k{n}": n for n in range(40)}).replace(" ", "")]),
    ],
)
def test_a_value_of_its_type_is_kept(kind: str, values: list[Any], expected: list[Any]) -> None:
    assert column(kind, *values) == expected


@pytest.mark.parametrize("kind", ["string", "integer", "float", "boolean", "date", "datetime", "json"])
def test_null_and_a_missing_key_become_null(kind: str) -> None:
    assert column(kind, None, MISSING) == [None, None]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", 1.5),
        ("integer", "12"),
        ("integer", True),
        ("integer", 2**63),
        ("integer", BIG),
        ("integer", [1]),
        ("float", "1.5"),
        ("float", {}),
        ("float", 10**400),
        ("boolean", 1),
        ("boolean", "true"),
        ("date", "2024-02-30"),
        ("date", 20240101),
        ("date", "2024-01-01T00:00:00Z"),
        ("datetime", "yesterday"),
        ("datetime", 1704067200),
        ("datetime", "2024-01-01T25:00:00Z"),
        ("datetime", ""),
        ("integer", Decimal("1E+999999999")),
        ("integer", Decimal("1E+2")),
        ("integer", 1.0),
        ("float", Decimal("1E+400")),
        ("float", Decimal("-1E+999999999")),
        ("boolean", Decimal("1E+400")),
        ("date", Decimal("1E+400")),
        ("datetime", Decimal("1E+400")),
    ],
)
def test_a_value_that_does_not_fit_names_column_and_record(kind: str, value: Any) -> None:
    good = {"good": 1}
    with pytest.raises(RowsRejectedError) as misfit:
        unnester(schema_of(good="integer", bad=kind)).frame(frame_of(good, good, {"good": 1, "bad": value}, good))
    assert f"column 'bad' of 'out' is {kind}" in str(misfit.value)
    assert "record 'r2'" in str(misfit.value)


SENT = [
    "1.10", "1.0", "-0", "-0.0", "1e400", "1E5", "12345678901234567.89", "0.12345678901234567890", "0.00001",
    "9007199254740993.0", "123456789012345678901234567890", str(10**60), "9" * 5000, "5e-324", "1E+999999999",
    "[1.10, 1e400]",     '{"a":1.0,"b":[-0]}',
    '["a\\"b\\u0001"]', '{"a\\"b":1}', "12", "1.5",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["string", "json"])
@pytest.mark.parametrize("sent", SENT, ids=lambda sent: sent[:24])
def test_a_number_in_a_column_of_text_is_as_it_was_sent(sent: str, kind: str) -> None:
    """It lost its digits: 12345678901234567.89 became 12345678901234568, 1.10 became 1.1."""
    records = ['{"c":"x"}', f'{{"a":1, "c":{sent},"z":[]}}', '{"c":"1.10"}', '{"c":true}']
    values = unnester(schema_of(c=kind, a="integer")).frame(frame_of(*records))["c"].to_list()
    quote = "" if kind == "string" else '"'
    assert values == [f"{quote}x{quote}", sent.replace(" ", ""), f"{quote}1.10{quote}", "true"]


@pytest.mark.parametrize("half", ["\\ud83d", "\\uDE00", "\\ud83dx", "\\ud83d\\u0041", "\\ud83d\\ud83d\\ude00"])
def test_a_lone_surrogate_is_not_text(half: str) -> None:
    """It ended every run, or became a character that nobody had sent."""
    records = ['{"c":"a","j":1}', f'{{"c":"cut {half}"}}', '{"c":"nul \\u0000","j":"\\ud83d\\ude00"}']
    with pytest.raises(
        RowsRejectedError, match="column 'c' of 'out' is string, record 'r1' has half a surr"
    ) as refused:
        unnester(schema_of(c="string", j="json")).frame(frame_of(*records))
    assert set(refused.value.reasons) == {1}
    rows = unnester(schema_of(c="string", j="json")).frame(frame_of(records[0], records[2]))
    assert rows.rows() == [("a", "1"), ("nul \0", '"😀"')]
    assert unnester(schema_of(j="json")).frame(frame_of(f'{{"j":"{half}"}}'))["j"][0].startswith('"\\u')


@pytest.mark.parametrize("poison", ['"cut \\ud83d"', "1e400", "1E+999999999", "9" * 5000, '{"\\udc00":1}'], ids=str)
def test_a_dropped_key_may_hold_a_value_that_fits_no_column(poison: str) -> None:
    poison = poison[:5000]
    rows = unnester(schema_of(id="integer", t="string")).frame(
        frame_of({"id": 1, "t": "a"}, f'{{"id":2,"t":"b","n":{poison}}}', {"id": 3, "t": "c"})
    )
    assert rows.rows() == [(1, "a"), (2, "b"), (3, "c")]


def test_each_row_that_cannot_be_converted_is_refused_whatever_is_wrong_with_it() -> None:
    records = ['{"n":1,"s":"\\ud83d"}', '{"n":1e400}', '{"n":2,"s":"ok"}', "[]", '{"n":"x"}', '{"n":3', '{"j":NaN}']
    for schema in ({"n": "integer", "s": "string"}, {"n": "integer", "s": "string", "j": "json"}):
        with pytest.raises(RowsRejectedError) as refused:
            unnester(schema_of(**schema)).frame(frame_of(*records))
        assert sorted(refused.value.reasons) == [0, 1, 3, 4, 5, 6]
        for row, reason in refused.value.reasons.items():
            assert f"record 'r{row}'" in reason


@pytest.mark.parametrize("bad", [{0}, {3}, {0, 1, 2, 3, 4, 5, 6}, {1, 2, 6}])
def test_all_rows_that_do_not_fit_are_named_by_their_position(bad: set[int]) -> None:
    records = [{"n": "x" if number in bad else number} for number in range(7)]
    with pytest.raises(RowsRejectedError) as misfit:
        unnester(schema_of(n="integer")).frame(frame_of(*records))
    assert set(misfit.value.reasons) == bad
    assert all(f"record 'r{number}'" in reason for number, reason in misfit.value.reasons.items())
    more = f" (and {len(bad) - 1} more rows)" if len(bad) > 1 else ""
    assert str(misfit.value) == f"{misfit.value.reasons[min(bad)]}{more}"


def test_the_error_does_not_show_the_value() -> None:
    with pytest.raises(RowsRejectedError) as misfit:
        column("integer", "a private text")
    assert "private" not in str(misfit.value)


@pytest.mark.lesson("F-48")
@pytest.mark.parametrize("record", ["[1]", "5", "null", '"text"', "{", "", '{"c":1}\n{"c":2}'])
@pytest.mark.parametrize("kind", ["integer", "json"])
def test_a_record_that_is_not_an_object_is_refused(record: str, kind: str) -> None:
    """Data used to be checked with assert, which python -O removes."""
    with pytest.raises(RowsRejectedError, match="record 'r1' of 'out'") as refused:
        unnester(schema_of(c=kind)).frame(frame_of({"c": 1}, record, {"c": 1}))
    assert set(refused.value.reasons) == {1}


def test_a_record_written_over_several_lines_is_one_record() -> None:
    rows = unnester(schema_of(c="integer")).frame(frame_of({"c": 1}, '{\n"c":\n2}', {"c": 3}))
    assert rows["c"].to_list() == [1, 2, 3]


def test_keys_are_taken_literally() -> None:
    keys = ["a b", "a.b", "$.a", "a'b", "a\\b", "é🎉", "0", "[0]", "A", "a"]
    record = {key: f"value of {key}" for key in keys}
    rows = unnester(schema_of(**dict.fromkeys(keys, "string"))).frame(frame_of(record))
    assert rows.row(0, named=True) == record


def test_an_integer_beyond_128_bits_elsewhere_in_the_record_does_no_harm() -> None:
    rows = unnester(schema_of(a="integer", s="string", f="float", j="json")).frame(
        frame_of({"a": 1, "s": "x", "f": 0.5, "j": [BIG], "ignored": BIG}, {"a": 2, "s": "y", "f": 2, "j": None})
    )
    assert rows.rows() == [(1, "x", 0.5, f"[{BIG}]"), (2, "y", 2.0, None)]


def test_extra_keys_are_dropped_with_one_warning_that_names_them() -> None:
    warnings: list[str] = []
    logger.add(warnings.append, level="WARNING", format="{message}")
    declared = unnester(schema_of(a="integer"))
    for _ in range(2):
        assert declared.frame(frame_of({"a": 1, "b": 2}, {"a": 1, "c d": 3})).columns == ["a"]
    assert warnings == ["keys that `record_schemas` of 'out' does not have are dropped: b, c d\n"]


def test_rows_keep_their_order_and_number() -> None:
    records = [{"a": number} for number in range(10_000)]
    assert unnester(schema_of(a="integer")).frame(frame_of(*records))["a"].to_list() == list(range(10_000))


def test_no_rows_give_the_typed_columns() -> None:
    rows = unnester(schema_of(a="integer", b="timestamp")).frame(pl.DataFrame(schema=DESTINATION_SCHEMA))
    assert rows.schema == {"a": pl.Int64(), "b": pl.Datetime("us", "UTC")}


_SCALARS = {
    "string": st.text(),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "json": st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    ),
}


@settings(max_examples=matrices.examples(60), deadline=None)
@given(st.lists(st.fixed_dictionaries({}, optional=_SCALARS), min_size=1, max_size=8))
def test_values_survive_a_round_trip(records: list[dict[str, Any]]) -> None:
    texts = [encode_data(record) for record in records]
    rows = unnester(schema_of(**{name: name for name in _SCALARS})).frame(frame_of(*(text.decode() for text in texts)))
    for text, row in zip(texts, rows.iter_rows(named=True), strict=True):
        record = json.loads(text)
        for name in _SCALARS:
            value = row[name] if name != "json" or row[name] is None else json.loads(row[name])
            assert value == record.get(name), name
