"""The forms of a page that a source may return, and the source frames they become."""

import json
from base64 import b64decode
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizon.rows.frames import SOURCE_SCHEMA, RecordError, records_to_frame
from bizon.rows.pages import page_to_frame, records_of
from bizon.rows.rejects import split_rejected
from bizon.source.models import JsonLines, RecordFrame, SourceIteration, SourceRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)
THEN = datetime(2025, 5, 5, 5, 5, 5, 5, tzinfo=UTC)
text = st.text(st.characters(exclude_categories=["Cs"]))
json_value = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
    max_leaves=8,
)
records = st.dictionaries(text.filter(lambda key: key != "id"), json_value)


@given(pages=st.lists(st.tuples(text | st.integers(-(2**63), 2**64 - 1), records), max_size=6))
def test_lines_give_the_frame_that_their_records_give(pages: list[tuple[str | int, dict[str, Any]]]) -> None:
    data = [{"id": id_, **record} for id_, record in pages]
    lines = JsonLines(b"\n".join(orjson.dumps(each) for each in data))
    expected = records_to_frame([SourceRecord(id=each["id"], data=each) for each in data], NOW)
    found = page_to_frame(lines, NOW)
    assert found.equals(expected)
    assert found.schema == SOURCE_SCHEMA


def lines_of(*lines: str, **keys: Any) -> pl.DataFrame:
    return page_to_frame(JsonLines("\n".join(lines), **keys), NOW)


def test_the_text_of_a_line_is_kept_as_it_is() -> None:
    line = '{ "b":1.50,  "id" : "x", "a":"\\u00e9" }'
    assert lines_of(line)["data"].to_list() == [line]


def test_empty_lines_and_the_newlines_of_other_systems_do_not_count() -> None:
    page = page_to_frame(JsonLines(b'{"id":1}\r\n\r\n{"id":2}\n   \n{"id":3}'), NOW)
    assert page["id"].to_list() == ["1", "2", "3"]
    assert page["data"].to_list() == ['{"id":1}', '{"id":2}', '{"id":3}']


@pytest.mark.parametrize("body", [b"", b"\n", b"\n\n \n", ""])
def test_a_page_without_lines_is_empty(body: bytes | str) -> None:
    page = page_to_frame(JsonLines(body), NOW)
    assert page.is_empty()
    assert page.schema == SOURCE_SCHEMA


def test_another_field_or_ids_from_elsewhere_identify_the_lines() -> None:
    assert lines_of('{"key":"a"}', '{"key":7}', id_field="key")["id"].to_list() == ["a", "7"]
    assert lines_of('{"key":"a"}', "{}", ids=["x", 5])["id"].to_list() == ["x", "5"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("{bad", "is not valid JSON"),
        ('{"id":1} x', "is not valid JSON"),
        ('{"id":1}{"id":2}', "is not valid JSON"),
        ("[1]", "is not a JSON object"),
        ("5", "is not a JSON object"),
        ("null", "is not a JSON object"),
        ('{"x":1}', "has no 'id' to identify it by"),
        ('{"id":null}', "has no 'id' to identify it by"),
    ],
)
def test_a_line_that_is_not_a_record_is_named_or_rejected(bad: str, reason: str) -> None:
    with pytest.raises(RecordError, match=f"line 2 of the page {reason}"):
        lines_of('{"id":1}', bad, '{"id":3}')
    page = page_to_frame(JsonLines("\n".join(['{"id":1}', bad, '{"id":3}'])), NOW, refuse=True)
    good, refused = split_rejected(page)
    assert good["id"].to_list() == ["1", "3"]
    assert refused["reason"][0].startswith(f"line 2 of the page {reason}")
    assert json.loads(refused["data"][0]) == {"line": bad}


def test_lines_whose_ids_are_given_are_taken_as_they_are_if_they_look_like_objects() -> None:
    assert lines_of('{"a":1}', "{no: json}", ids=["x", "y"])["data"].to_list() == ['{"a":1}', "{no: json}"]
    with pytest.raises(RecordError, match="line 2 of the page is not a JSON object"):
        lines_of('{"a":1}', "[2]", ids=["x", "y"])


@pytest.mark.parametrize("lines", [['{"id":1}', '{"id":"é"}'], [b'{"id":1}', '{"id":"é"}'.encode()]])
def test_lines_may_come_as_a_list(lines: list[Any]) -> None:
    assert page_to_frame(JsonLines(lines), NOW)["id"].to_list() == ["1", "é"]
    assert page_to_frame(JsonLines(lines, ids=["a", "b"]), NOW)["id"].to_list() == ["a", "b"]
    with pytest.raises(RecordError, match="line 3 of the page is not valid JSON"):
        page_to_frame(JsonLines([*lines, lines[0][:3]]), NOW)


def test_ids_must_be_as_many_as_lines() -> None:
    with pytest.raises(RecordError, match="2 lines and 1 ids"):
        lines_of("{}", "{}", ids=["a"])


@pytest.mark.parametrize(
    "text", [b'{"id":1}\n{"id":"\xff"}\r\n\n{"id":3}', [b'{"id":1}', b'{"id":"\xff"}', b'{"id":3}']]
)
@pytest.mark.parametrize("ids", [None, ["1", "two", "3"]])
def test_bytes_that_are_not_utf_8_are_refused_alone(text: Any, ids: list[str] | None) -> None:
    """They used to become U+FFFD, and the record was delivered."""
    reason = "line 2 of the page is not valid UTF-8 at byte 7"
    for lines in (text, pl.Series(text, dtype=pl.Binary)) if isinstance(text, list) else (text,):
        with pytest.raises(RecordError, match=reason):
            page_to_frame(JsonLines(lines, ids=ids), NOW)
        page = page_to_frame(JsonLines(lines, ids=ids), NOW, refuse=True)
        assert page["id"].to_list() == ["1", ids[1] if ids else "#1", "3"]
        assert page["reason"].to_list() == [None, reason, None]
        shown = json.loads(page["data"][1])
        assert b64decode(shown["line_base64"]) == b'{"id":"\xff"}'


def test_a_byte_order_mark_before_the_lines_does_not_count() -> None:
    for text in ('\ufeff{"id":1}\n{"id":2}', '\ufeff{"id":1}\n{"id":2}'.encode()):
        assert page_to_frame(JsonLines(text), NOW)["data"].to_list() == ['{"id":1}', '{"id":2}']
    page = page_to_frame(JsonLines(b'\xef\xbb\xbf{"id":1}\n{"id":"\xff"}'), NOW, refuse=True)
    assert page["reason"].null_count() == 1


@pytest.mark.parametrize("line", ['{"id":1,"n":1e400}', '{"id":1,"t":"cut \\ud83d"}', '{"id":1,"n":1E+999999999}'])
def test_a_line_that_few_parsers_accept_is_still_json(line: str) -> None:
    page = page_to_frame(JsonLines([line, '{"id":2}']), NOW)
    assert page["data"].to_list() == [line, '{"id":2}']
    assert page["id"].to_list() == ["1", "2"]


@pytest.mark.parametrize(
    ("sent", "id_"),
    [
        ("1.10", "1.10"), ("12345678901234567.89", "12345678901234567.89"), ("1e5", "1e5"), ("1.0", "1.0"),
        ("123456789012345678901234567890", "123456789012345678901234567890"), ("9" * 60, "9" * 60),
        ("-7", "-7"), ('"1.10"', "1.10"),
        ('"cut \\ud83d"', "cut \ufffd"), ('"nul \\u0000"', "nul \0"),
    ],
)  # fmt: skip
def test_the_id_of_a_line_is_the_number_that_was_sent(sent: str, id_: str) -> None:
    assert lines_of('{"id":"x"}', f'{{"id":{sent}}}')["id"].to_list() == ["x", id_]


def test_a_lone_surrogate_character_becomes_its_json_escape() -> None:
    page = page_to_frame(JsonLines(['{"a":"cut \ud83d"}'], ids=["a"]), NOW)
    assert page["data"].to_list() == ['{"a":"cut \\ud83d"}']


def test_a_timestamp_that_no_calendar_has_is_refused_alone() -> None:
    stamps = pl.Series([0, 2**62, None], dtype=pl.Int64).cast(pl.Datetime("us"))
    lines = JsonLines(["{}"] * 3, ids=["a", "b", "c"], timestamps=stamps)
    with pytest.raises(RecordError, match="line 2 of the page: its timestamp is outside the years 1 to 9999"):
        page_to_frame(lines, NOW)
    page = page_to_frame(lines, NOW, refuse=True)
    assert page["timestamp"].to_list() == [datetime(1970, 1, 1, tzinfo=UTC), NOW, NOW]
    assert page["reason"].null_count() == 2


def test_a_frame_gives_a_record_per_row_with_all_columns() -> None:
    frame = pl.DataFrame(
        {
            "id": [1, 2],
            "at": [THEN, None],
            "naive": [datetime(2024, 1, 1), None],
            "day": [date(2024, 1, 2)] * 2,
            "price": [Decimal("1.10"), None],
            "ratio": [float("nan"), 0.5],
            "big": pl.Series([2**64 - 1, 0], dtype=pl.UInt64),
            "nested": [{"a": [1, 2]}, None],
            "table": ["t", None],
        }
    )
    page = page_to_frame(RecordFrame(frame, timestamp="at", destination_id="table"), NOW)
    assert page.schema == SOURCE_SCHEMA
    assert page["id"].to_list() == ["1", "2"]
    assert page["timestamp"].to_list() == [THEN, NOW]
    assert page["destination_id"].to_list() == ["t", None]
    first, second = (json.loads(each) for each in page["data"])
    assert list(first) == frame.columns
    assert first["naive"] == "2024-01-01T00:00:00+00:00"
    assert datetime.fromisoformat(first["at"]) == THEN
    assert (first["day"], first["price"], first["ratio"], first["big"]) == ("2024-01-02", "1.10", None, 2**64 - 1)
    assert first["nested"] == {"a": [1, 2]}
    assert (second["ratio"], second["price"]) == (0.5, None)


def test_an_empty_frame_is_a_page_without_records() -> None:
    page = page_to_frame(RecordFrame(pl.DataFrame(schema={"id": pl.Int64})), NOW)
    assert page.is_empty()
    assert page.schema == SOURCE_SCHEMA


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (RecordFrame(pl.DataFrame({"a": [1]})), "has no column 'id', it has: a"),
        (RecordFrame(pl.DataFrame({"id": [1], "b": [b"x"]})), "column 'b' of the page is binary"),
        (RecordFrame(pl.DataFrame({"id": [1], "b": [{"c": b"x"}]})), "column 'b.c' of the page is binary"),
        (RecordFrame(pl.DataFrame({"id": [1], "b": [[{"c": [b"x"]}]]})), r"column 'b\[\].c\[\]' of the page is binary"),
        (RecordFrame(pl.DataFrame({"id": [1], "b": pl.Series([{1}], dtype=pl.Object)})), "'b' of the page is object"),
        (RecordFrame(pl.DataFrame({"id": [[1]]})), "the frame of the page cannot be read: "),
        (RecordFrame(pl.DataFrame({"id": [1], "t": ["x"]}), timestamp="t"), "column 't' of the page is String"),
        (RecordFrame(pl.DataFrame({"id": [1, None]})), "row 1 of the page has no 'id'"),
    ],
)
def test_a_frame_that_is_not_a_page_is_named(page: RecordFrame, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        page_to_frame(page, NOW)


def test_rows_without_an_id_are_refused_alone() -> None:
    page = page_to_frame(RecordFrame(pl.DataFrame({"id": [1, None, 3]})), NOW, refuse=True)
    good, refused = split_rejected(page)
    assert good["id"].to_list() == ["1", "3"]
    assert refused["reason"].to_list() == ["row 1 of the page has no 'id'"]


def test_records_may_be_made_while_they_are_read() -> None:
    data = [{"id": n} for n in range(3)]
    made = SourceIteration({}, (SourceRecord(id=each["id"], data=each) for each in data))
    listed = SourceIteration({}, [SourceRecord(id=each["id"], data=each) for each in data])
    assert page_to_frame(records_of(made), NOW).equals(page_to_frame(records_of(listed), NOW))


def test_lines_may_carry_a_moment_and_a_table_each() -> None:
    naive = THEN.replace(tzinfo=None)
    page = lines_of(
        "{}", "{}", "{}", ids=["a", "b", "c"], timestamps=[THEN, None, naive], destination_ids=["t", None, "u"]
    )
    assert page.schema == SOURCE_SCHEMA
    assert page["timestamp"].to_list() == [THEN, NOW, THEN]
    assert page["destination_id"].to_list() == ["t", None, "u"]


def test_lines_with_their_attributes_may_come_as_columns() -> None:
    columns = {
        "ids": pl.Series(["a", "b"]),
        "timestamps": pl.Series([0, None], dtype=pl.Int64).cast(pl.Datetime("ms")),
        "destination_ids": pl.Series(["t", None]),
    }
    for text in (pl.Series(["{}", "{}"]), pl.Series([b"{}", b"{}"])):
        page = page_to_frame(JsonLines(text, **columns), NOW)
        assert page.schema == SOURCE_SCHEMA
        assert page["id"].to_list() == ["a", "b"]
        assert page["timestamp"].to_list() == [datetime(1970, 1, 1, tzinfo=UTC), NOW]
        assert page["destination_id"].to_list() == ["t", None]


def test_a_fault_that_the_source_has_found_is_named_or_refused() -> None:
    columns = {"ids": ["a", "b", "c"], "faults": {1: "message 7 is not Avro"}}
    with pytest.raises(RecordError, match="message 7 is not Avro"):
        lines_of('{"x":1}', '{"raw":"AA=="}', '{"x":3}', **columns)
    page = page_to_frame(JsonLines('{"x":1}\n{"raw":"AA=="}\n{"x":3}', **columns), NOW, refuse=True)
    good, refused = split_rejected(page)
    assert good["id"].to_list() == ["a", "c"]
    assert refused.select("id", "data", "stage", "reason").rows() == [
        ("b", '{"raw":"AA=="}', "source", "message 7 is not Avro")
    ]


def test_a_fault_of_the_source_and_a_line_that_is_not_an_object_are_both_rejected() -> None:
    page = page_to_frame(JsonLines(["{}", "[2]", "{}"], ids=["a", "b", "c"], faults={2: "no"}), NOW, refuse=True)
    assert page["reason"].to_list() == [None, "line 2 of the page is not a JSON object", "no"]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"timestamps": [THEN]}, "2 lines and 1 timestamps"),
        ({"destination_ids": ["t"] * 3}, "2 lines and 3 destination_ids"),
        ({"faults": {2: "no"}}, "2 lines and a fault in line 2"),
        ({"timestamps": pl.Series([1, 2])}, "timestamps of the page is Int64, not Datetime"),
    ],
)
def test_ids_timestamps_and_tables_must_fit_the_lines(columns: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        lines_of("{}", "{}", ids=["a", "b"], **columns)
    with pytest.raises(RecordError, match="a line of JsonLines is null"):
        page_to_frame(JsonLines(pl.Series(["{}", None]), ids=["a", "b"]), NOW)
