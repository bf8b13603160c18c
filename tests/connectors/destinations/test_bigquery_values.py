"""Any value of JSON in any declared column ends as a value that BigQuery takes, or refuses its row by name."""

import base64
import json
import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import matrices
import orjson
import polars as pl
import pytest
from destinations import rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from bizon.common.errors.errors import RowsRejectedError
from bizon.connectors.destinations.bigquery.src.column_config import BigQueryRecordSchemaConfig, ColumnMode, ColumnType
from bizon.connectors.destinations.bigquery.src.content import Content
from bizon.connectors.destinations.bigquery.src.declared_columns import unnester
from bizon.connectors.destinations.bigquery.src.schema import declared_schema
from bizon.connectors.destinations.bigquery_streaming.src.insert_rows import InsertRows
from bizon.connectors.destinations.bigquery_streaming_v2.src.messages import Messages
from bizon.rows.exact_json import ExactNumbers

SCALARS = [kind for kind in ColumnType if kind is not ColumnType.RECORD]
HUGE = ["1E+999999999", "-1E+999999999", "1E-999999999", "0E+999999999", "0E-999999999", "1e400", "9" * 400, "-0.0"]
TEXTS = [
    *("2024-02-30", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "24:00:00", "12:30", "2024-W09-4"),
    *(
        "AAEC",
        "AA",
        "POINT(1 2)",
        "point",
        "0101000000000000000000F03F",
        "1_000",
        "Infinity",
        "NaN",
        "sNaN",
        " 5 ",
        "٣",
    ),
    *("\ud800", "\x00", "", "1.50000000000000000000000000000000000000000000000", "1704164645"),
]
NUMBERS = st.one_of(
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.sampled_from([Decimal(number) for number in HUGE]),
)
MOMENTS = st.one_of(st.dates(), st.times(), st.datetimes(timezones=st.none() | st.timezones())).map(str)
PLAIN = st.one_of(st.none(), st.booleans(), NUMBERS, MOMENTS, st.text(), st.sampled_from(TEXTS))
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
DIGITS = {"NUMERIC": (29, 9), "BIGNUMERIC": (38, 38)}  # at most, before and after the point


def schema_of(**column: Any) -> BigQueryRecordSchemaConfig:
    return BigQueryRecordSchemaConfig(destination_id="items", record_schema=[{"name": "x", **column}])


def frame_of(value: Any) -> pl.DataFrame:
    """A record with the value, every digit of it."""
    text = json.dumps({"x": value}, default=lambda number: f"\ue000{number}\ue001")
    return frame_with(re.sub(r'"\\ue000([^"]*)\\ue001"', r"\1", text))


def frame_with(text: str) -> pl.DataFrame:
    """A record of this text."""
    return rows_of([{}]).with_columns(source_data=pl.Series([text]))


@cache
def made_for(schema: str) -> tuple[InsertRows, Content, Messages]:
    """The encoders of such a table in all three destinations."""
    record = BigQueryRecordSchemaConfig.model_validate_json(schema)
    fields = declared_schema(record.record_schema)
    return InsertRows(record, fields), Content(record, fields), Messages(fields, record)


def outcome(schema: BigQueryRecordSchemaConfig, frame: pl.DataFrame) -> Any:
    """The value of the column, as JSON; a RowsRejectedError if all three destinations refuse the row."""
    rows, content, messages = made_for(schema.model_dump_json())
    refused = refusal(rows.build, frame)
    if refused is not None:
        assert refusal(content.encode, frame).reasons == refused.reasons
        assert refusal(lambda found: list(messages.encode(found, None)), frame).reasons == refused.reasons
        assert refused.reasons[0].startswith("record '0' of 'items': column 'x")
        return refused
    assert content.encode(frame)
    assert len(list(messages.encode(frame, None))) == 1
    return rows.build(frame)[0].json.get("x")


def refusal(convert: Callable[[pl.DataFrame], Any], frame: pl.DataFrame) -> Any:
    """The RowsRejectedError of a conversion; None without one."""
    try:
        convert(frame)
    except RowsRejectedError as error:
        return error
    return None


def is_taken(kind: ColumnType, value: Any) -> bool:
    """Whether BigQuery takes it, by the ranges that it documents."""
    match kind:
        case ColumnType.INTEGER | ColumnType.INT64:
            return type(value) is int and -(2**63) <= value < 2**63
        case ColumnType.FLOAT | ColumnType.FLOAT64:
            return type(value) is float and orjson.dumps(value) != b"null"
        case ColumnType.BOOLEAN:
            return type(value) is bool
        case ColumnType.NUMERIC | ColumnType.BIGNUMERIC:
            whole, _, behind = f"{Decimal(value):f}".lstrip("-").partition(".")
            return len(whole.lstrip("0")) <= DIGITS[kind][0] and len(behind) <= DIGITS[kind][1]
        case ColumnType.DATE:
            return date.fromisoformat(value).isoformat() == value
        case ColumnType.DATETIME | ColumnType.TIMESTAMP:
            return (datetime.fromisoformat(value).tzinfo is None) == (kind is ColumnType.DATETIME)
        case ColumnType.BYTES:
            return base64.b64encode(base64.b64decode(value, validate=True)).decode() == value
        case ColumnType.JSON:
            return isinstance(orjson.loads(value), object)  # which raises for a number that no float holds
        case _:
            return isinstance(value.encode(), bytes)


@pytest.mark.parametrize("mode", list(ColumnMode), ids=str)
@pytest.mark.parametrize("kind", SCALARS, ids=str)
@settings(max_examples=matrices.examples(40), deadline=None)
@given(value=VALUES)
def test_any_value_in_any_column(kind: ColumnType, mode: ColumnMode, value: Any) -> None:
    sent = outcome(schema_of(type=kind, mode=mode), frame_of([value] if mode is ColumnMode.REPEATED else value))
    if sent is not None and not isinstance(sent, RowsRejectedError):
        for item in sent if mode is ColumnMode.REPEATED else [sent]:
            assert is_taken(kind, item), item


@settings(max_examples=matrices.examples(40), deadline=None)
@given(value=VALUES)
def test_any_value_inside_a_record(value: Any) -> None:
    fields = [{"name": f"f{number}", "type": kind.value} for number, kind in enumerate(SCALARS)]
    for record in (value, {field["name"]: value for field in fields}):
        outcome(schema_of(type="RECORD", fields=fields), frame_of(record))


@pytest.mark.parametrize("is_nested", [False, True])
def test_a_load_job_fills_in_no_default_at_any_depth(is_nested: bool) -> None:
    """Inside a RECORD column a REQUIRED one passed without a value, and the whole load would fail."""
    column = {"name": "x", "type": "STRING", "mode": "REQUIRED", "default_value_expression": "'none'"}
    nested = {"name": "x", "type": "RECORD", "fields": [{**column, "name": "y"}]}
    rows, content, messages = made_for(schema_of(**(nested if is_nested else column)).model_dump_json())
    frame = frame_with('{"x":{}}' if is_nested else "{}")
    path = "x.y" if is_nested else "x"
    reason = f"record '0' of 'items': column '{path}' is REQUIRED, the record has none"
    assert refusal(content.encode, frame).reasons == {0: reason}
    assert len(rows.build(frame)) == len(list(messages.encode(frame, None))) == 1


@pytest.mark.parametrize("kind", ["INTEGER", "FLOAT", "NUMERIC", "BIGNUMERIC", "JSON", "TIMESTAMP", "DATE", "BYTES"])
@pytest.mark.parametrize("number", ["1E+999999999", "1e400", "9" * 400])
def test_a_number_of_absurd_size_is_refused_at_once(kind: str, number: str) -> None:
    """Its digits are never written out, which would take forever."""
    reason = outcome(schema_of(type=kind), frame_with(f'{{"x":{number}}}')).reasons[0]
    assert re.fullmatch(
        rf"record '0' of 'items': column 'x' is {kind}, the record has an? \w+ that does not fit", reason
    )


@pytest.mark.parametrize("value", [1704164645, 1704164645.5, True, [], {}])
@pytest.mark.parametrize("kind", ["TIMESTAMP", "DATETIME", "DATE", "TIME"])
def test_only_text_becomes_a_timestamp(kind: str, value: Any) -> None:
    assert "that does not fit" in outcome(schema_of(type=kind), frame_of(value)).reasons[0]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("NUMERIC", "0E+999999999", "0"),
        ("NUMERIC", "0E-999999999", "0"),
        ("NUMERIC", "1E+20", "100000000000000000000.000000000"),
        ("NUMERIC", "1.5000000000000000000", "1.500000000"),
        ("NUMERIC", "12345678901234567.89", "12345678901234567.89"),
        ("INTEGER", "1E+3", 1000),
        ("INTEGER", "-9223372036854775808", -(2**63)),
        ("FLOAT", "1e-400", 0.0),
        ("JSON", '{"a":[12345678901234567.89]}', '{"a":[12345678901234567.89]}'),
        ("STRING", "1e400", "1E+400"),
    ],
)
def test_numbers_that_fit(kind: str, text: str, expected: Any) -> None:
    assert outcome(schema_of(type=kind), frame_with(f'{{"x":{text}}}')) == expected


def test_an_exception_in_a_conversion_refuses_only_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(_: ExactNumbers, text: str, *, careful: bool) -> Any:
        if "bad" in text:
            raise RecursionError("maximum depth")
        return json.loads(text)

    monkeypatch.setattr(ExactNumbers, "loads", decoded)
    frame = rows_of([{"x": "good"}, {"x": "bad"}])
    with pytest.raises(RowsRejectedError) as raised:
        unnester(schema_of(type="STRING")).rows(frame)
    assert raised.value.reasons == {1: "record '1' of 'items' does not fit its columns: RecursionError"}


@pytest.mark.parametrize("text", ["[1]", "{", '{"x": NaN}', '{"x": NaN, "z": 1234567890.1234567}'])
def test_text_that_is_not_a_record_is_refused(text: str) -> None:
    """NaN became null in a record with a number of 16 digits."""
    with pytest.raises(RowsRejectedError, match="record '0' of 'items': is not"):
        unnester(schema_of(type="STRING")).rows(frame_with(text))
