"""Declared columns: one unnester for every destination, and the few things in which destinations differ."""

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import matrices
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loguru import logger

from bizon.common.errors.errors import RowsRejectedError
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
    ColumnType,
    decimal,
)
from bizon.destination.declared import DeclaredColumn, Reading
from bizon.destination.unnest import Unnester

REFUSED = "refused"
FIELD = DeclaredColumn("n", INT64, "int64")
ITEM = DeclaredColumn("c", JSON, "record", fields=(FIELD, DeclaredColumn("d", DATE, "date", is_required=True)))


def unnester(*columns: DeclaredColumn, **differences: bool) -> Unnester:
    return Unnester("out", columns, Reading("this engine", **differences))


def frame_of(*texts: str) -> pl.DataFrame:
    ids = [f"r{number}" for number in range(len(texts))]
    return pl.DataFrame({"source_record_id": ids, "source_data": pl.Series(texts, dtype=pl.String)})


def value_of(kind: ColumnType, sent: str, **differences: bool) -> Any:
    """The value of a column by rows; REFUSED when the record is refused."""
    declared = unnester(DeclaredColumn("c", kind, str(kind)), **differences)
    try:
        (row,) = declared.rows(frame_of(f'{{"c":{sent}}}'))
    except RowsRejectedError as error:
        reason = error.reasons[0]
        return REFUSED if reason.startswith(f"record 'r0' of 'out': column 'c' is {kind}, the record has ") else reason
    return row["c"]


@pytest.mark.parametrize(
    ("kind", "sent", "expected"),
    [
        (BOOLEAN, "true", True),
        (BOOLEAN, "1", REFUSED),
        (BOOLEAN, '"true"', REFUSED),
        (INT64, "9223372036854775807", 2**63 - 1),
        (INT64, "-9223372036854775808", -(2**63)),
        (INT64, "9223372036854775808", REFUSED),
        (INT64, "true", REFUSED),
        (INT64, '"1"', REFUSED),
        (INT64, "1.5", REFUSED),
        (INT64, "1E+999999999", REFUSED),
        (FLOAT64, "1", 1.0),
        (FLOAT64, "1e308", 1e308),
        (FLOAT64, "1e400", REFUSED),
        (FLOAT64, "9" * 400, REFUSED),
        (FLOAT64, "true", REFUSED),
        (FLOAT64, '"1"', REFUSED),
        (decimal(4, 2), "12.34", Decimal("12.34")),
        (decimal(4, 2), '"12.3400"', Decimal("12.34")),
        (decimal(4, 2), "12.345", REFUSED),
        (decimal(4, 2), "100", REFUSED),
        (decimal(4, 2), "99.99", Decimal("99.99")),
        (decimal(38, 38), "0.12345678901234567890", Decimal("0.12345678901234567890")),
        (decimal(4, 2), '"NaN"', REFUSED),
        (TEXT, '"é\\u0000"', "é\0"),
        (TEXT, '"cut \\ud83d"', REFUSED),
        (TEXT, "true", "true"),
        (TEXT, '{"b":1,"a":[null]}', '{"b":1,"a":[null]}'),
        (JSON, '{"b":1,"a":[null]}', '{"b":1,"a":[null]}'),
        (JSON, '"x"', '"x"'),
        (BYTES, '"AAEC"', b"\0\1\2"),
        (BYTES, '"not base64!"', REFUSED),
        (TIME, '"7:08:09.5"', time(7, 8, 9, 500000)),
        (TIME, '"25:00:00"', REFUSED),
        (TIME, '"12:00:60"', REFUSED),
        (DATE, '"0001-01-01"', date.min),
        (DATE, '"9999-12-31"', date.max),
        (DATE, '"2024-02-30"', REFUSED),
        (DATE, "20240101", REFUSED),
        (TIMESTAMP, '"0001-01-01T00:00:00Z"', datetime.min.replace(tzinfo=UTC)),
        (TIMESTAMP, '"0001-01-01T00:00:00+14:00"', REFUSED),
        (TIMESTAMP, '"9999-12-31T23:59:59.9999999Z"', datetime.max.replace(tzinfo=UTC)),
        (TIMESTAMP, '"2024-01-02T03:04:05.5+02:00"', datetime(2024, 1, 2, 1, 4, 5, 500000, UTC)),
        (TIMESTAMP, '"2024-01-02T03:04:05"', datetime(2024, 1, 2, 3, 4, 5, 0, UTC)),
        (TIMESTAMP, '"2024-12-31T23:59:60Z"', REFUSED),
        (TIMESTAMP, "1704164645", REFUSED),
    ],
)
def test_a_value_of_each_type(kind: ColumnType, sent: str, expected: Any) -> None:
    value = value_of(kind, sent)
    assert (value, type(value)) == (expected, type(expected))
    assert value_of(kind, "null") is None


@pytest.mark.parametrize(
    ("difference", "kind", "sent", "without", "with_it"),
    [
        ("whole_floats", INT64, "1.0", REFUSED, 1),
        ("whole_floats", INT64, "1e3", REFUSED, 1000),
        ("sent_numbers", TEXT, "1.10", "1.1", "1.10"),
        ("sent_numbers", TEXT, "1e400", "1E+400", "1e400"),
        ("sent_numbers", JSON, '{"a":[1.10,-0]}', '{"a":[1.1,0]}', '{"a":[1.10,-0]}'),
        ("json_floats", JSON, "[1e400]", "[1E+400]", REFUSED),
        ("json_floats", JSON, "9" * 400, "9" * 400, REFUSED),
        ("json_floats", TEXT, "1e400", "1E+400", "1E+400"),
        ("by_columns", DATE, '"2024-1-2"', REFUSED, "2024-1-2"),
        ("by_columns", DATE, '"20240102"', date(2024, 1, 2), "20240102"),
        ("by_columns", TIMESTAMP, "5", REFUSED, REFUSED),
    ],
)
def test_destinations_differ_in_what_they_say(
    difference: str, kind: ColumnType, sent: str, without: Any, with_it: Any
) -> None:
    assert value_of(kind, sent) == without
    assert value_of(kind, sent, **{difference: True}) == with_it


@pytest.mark.parametrize(
    ("any_case", "record", "expected"),
    [
        (False, '{"C":{"n":1,"d":"2024-01-02"}}', None),
        (True, '{"C":{"N":1,"d":"2024-01-02"}}', {"n": 1, "d": date(2024, 1, 2)}),
        (True, '{"C":0,"c":{"N":0,"n":1,"d":"2024-01-02"}}', {"n": 1, "d": date(2024, 1, 2)}),
    ],
)
def test_names_that_differ_only_in_case(any_case: bool, record: str, expected: Any) -> None:
    assert unnester(ITEM, any_case=any_case).rows(frame_of(record)) == [{"c": expected}]


MISFITS = {
    '{"c":[{"d":"2024-01-02"},{"n":1}]}': "column 'c.d' is REQUIRED, the record has none",
    '{"c":[{"d":"2024-01-02","n":"1"}]}': "column 'c.n' is int64, the record has a string that does not fit",
    '{"c":{"d":"2024-01-02"}}': "column 'c' is REPEATED, the record has an object, not an array",
    '{"c":[null]}': "column 'c' is REPEATED, and this engine keeps no null in an array",
    '{"c":["x"]}': "column 'c' is record, the record has a string that does not fit",
    '{"c":[],"C":[]}': None,
    '{"C":[],"ç":[],"c ":[]}': None,
    "[1]": "is not a JSON object but an array",
    "null": "is not a JSON object but null",
}


def test_each_misfit_has_its_column_and_its_reason() -> None:
    repeated = DeclaredColumn("c", JSON, "record", is_repeated=True, fields=ITEM.fields)
    with pytest.raises(RowsRejectedError) as refused:
        unnester(repeated, any_case=True).rows(frame_of(*MISFITS))
    expected = {row: f"record 'r{row}' of 'out': {why}" for row, why in enumerate(MISFITS.values()) if why}
    assert refused.value.reasons == expected
    assert unnester(repeated).rows(frame_of("{}", '{"c":[]}')) == [{"c": []}, {"c": []}]


def test_a_reason_may_begin_with_the_column() -> None:
    with pytest.raises(RowsRejectedError) as refused:
        unnester(FIELD, column_first=True).rows(frame_of('{"n":"x"}', "[]", "{"))
    reasons = list(refused.value.reasons.values())
    assert reasons[0] == "column 'n' of 'out' is int64, record 'r0' has a string that does not fit"
    assert reasons[1] == "record 'r1' of 'out' is not a JSON object but an array"
    assert reasons[2].startswith("record 'r2' of 'out' is not valid JSON: ")


def test_a_type_that_one_engine_has() -> None:
    shouted = DeclaredColumn("c", TEXT, "shout", read=lambda value: value.upper())
    assert unnester(shouted).rows(frame_of('{"c":"a"}', '{"c":null}')) == [{"c": "A"}, {"c": None}]
    with pytest.raises(RowsRejectedError, match="column 'c' is shout, the record has an integer that does not fit"):
        unnester(shouted).rows(frame_of('{"c":1}'))


def test_columns_are_the_rows_by_column() -> None:
    columns = [DeclaredColumn("a", INT64, "int64"), DeclaredColumn("b", TEXT, "text")]
    frame = frame_of('{"a":1}', '{"b":"x","a":2}')
    assert unnester(*columns).columns(frame) == {"a": [1, 2], "b": [None, "x"]}
    assert unnester(*columns).rows(frame) == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]


KINDS = [BOOLEAN, INT64, FLOAT64, TEXT, DATE, TIMESTAMP, JSON]
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.sampled_from(
    ["1.10", "1e5", "1E+400", "-0", "-0.0", "1.0", "0.1000000000000000055", "9" * 40]
)  # fmt: skip
MOMENTS = st.dates() | st.datetimes(timezones=st.none() | st.timezones())
TEXTS = st.text() | MOMENTS.map(str) | st.sampled_from(["", "2024-1-2", "0000-01-01", "2024-12-31T23:59:60Z", "\ud83d"])
SENT = (
    st.sampled_from(["null", "true", "false", "[1.0, null]", '{"b":1e5,"a":"\\ud83d"}', "[]", "{}"])
    | NUMBERS.map(str)
    | TEXTS.map(json.dumps)
)


def outcome(texts: list[str]) -> Any:
    """The rows of a frame by columns, or the rows that are refused and why."""
    columns = [DeclaredColumn(str(kind), kind, str(kind)) for kind in KINDS]
    try:
        frame = unnester(*columns, by_columns=True, sent_numbers=True).frame(frame_of(*texts))
    except RowsRejectedError as error:
        return error.reasons
    return frame.schema, [tuple(map(repr, row)) for row in frame.rows()]


@settings(max_examples=matrices.examples(150), deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from([*map(str, KINDS), "more"]), SENT), min_size=1, max_size=4))
def test_a_record_has_the_same_columns_however_it_is_read(records: list[dict[str, str]]) -> None:
    """Polars decodes all records at once, unless one of them has a line break: then each is read by itself."""
    texts = ["{" + ",".join(f"{json.dumps(key)}:{sent}" for key, sent in record.items()) + "}" for record in records]
    assert outcome(texts) == outcome([f"\n{text}" for text in texts])


@pytest.mark.parametrize("line_break", ["", "\n"])
def test_all_records_that_do_not_fit_are_named_at_once(line_break: str) -> None:
    """Only the first 1,000 were, so a batch was tried again for each further thousand."""
    columns = [DeclaredColumn("n", INT64, "int64"), DeclaredColumn("at", TIMESTAMP, "timestamp")]
    texts = [['{"n":1}', '{"n":"x"}', '{"at":"x"}', '{"n":"x","at":"x"}'][row % 4] for row in range(6_000)]
    with pytest.raises(RowsRejectedError) as refused:
        unnester(*columns, by_columns=True).frame(frame_of(*(line_break + text for text in texts)))
    assert list(refused.value.reasons) == [row for row in range(6_000) if row % 4]
    for row, column in ((5, "'n' is int64"), (6, "'at' is timestamp"), (7, "'n' is int64")):
        reason = f"record 'r{row}' of 'out': column {column}, the record has a string that does not fit"
        assert refused.value.reasons[row] == reason


@pytest.mark.parametrize("by_columns", [False, True])
def test_keys_without_a_column_are_named_once(by_columns: bool) -> None:
    warnings: list[str] = []
    logger.add(warnings.append, level="WARNING", format="{message}")
    declared = unnester(DeclaredColumn("a", INT64, "int64"), any_case=not by_columns, by_columns=by_columns)
    read = declared.frame if by_columns else declared.rows
    texts = [json.dumps({"a": 1, f"k{number:03}": None}) for number in range(103)]
    for _ in range(2):
        read(frame_of(*texts))
    shown = ", ".join(f"k{number:03}" for number in range(100))
    assert warnings == [f"keys that `record_schemas` of 'out' does not have are dropped: {shown} and 3 more\n"]
