"""JSON that is read, changed in part, and written: unchanged values stay as they were sent."""

import copy
import json
import pickle
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizon.rows.exact_json import PERHAPS_NOT_REPRODUCED, SentNumbers

NUMBERS = [
    "1.10", "1.00", "0.10", "-1.50", "100.0", "1e400", "-1e400", "1E5", "1e5", "1E+5", "1.5e-7", "1e-400", "0e0", "-0",
    "-0.0", "-0.00", "0.00001", "0.0000", "12345678901234567.89", "0.12345678901234567890", "1e16", "1e+16",
    "10000000000000000.0", "9007199254740993.0", "123456789012345678901234567890", "-9223372036854775809",
    "18446744073709551616", "9" * 5000, "2.675", "0.1", "0.30000000000000004", "5e-324", "1.7976931348623157e308",
]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:30])
@pytest.mark.parametrize("place", ['{"v":%s}', '{"v":[1,%s]}', '{"a":{"b":[{"c":%s}]},"d":"é"}', "[%s,1]"])
def test_a_number_is_written_as_it_was_read(number: str, place: str) -> None:
    text = place % number
    sent = SentNumbers()
    assert sent.dumps(sent.loads(text)) == text


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:30])
@pytest.mark.parametrize("place", ['{"v":%s}', '{"v" : %s , "w":1}', '{"v":[%s,1]}', '{"v":[1, %s]}'])
def test_each_number_that_orjson_would_change_is_found(number: str, place: str) -> None:
    text = place % number
    found = bool(pl.Series([text]).str.contains(PERHAPS_NOT_REPRODUCED)[0])
    try:
        same = orjson.dumps(orjson.loads(text)).decode() == text.replace(" ", "")
    except ValueError:
        same = False
    assert found or same


@given(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
)
def test_numbers_outside_the_search_are_written_as_read(number: Any) -> None:
    for text in (f'{{"v":{number}}}'.replace("E", "e"), f'{{"v":{number:f}}}'):
        if not pl.Series([text]).str.contains(PERHAPS_NOT_REPRODUCED)[0]:
            assert orjson.dumps(orjson.loads(text)).decode() == text
        sent = SentNumbers()
        assert sent.dumps(sent.loads(text)) == text


def test_ordinary_texts_are_not_taken_for_such_numbers() -> None:
    record = {
        "at": "2024-05-01T10:00:00.000Z", "uuid": "3e4f1c20-0e10-4e00-9000-0e1000000000", "price": 12.5, "one": 1.0,
        "lat": 48.856614, "us": 1704164645123456, "url": "https://x.example/?a=1.50&b=2e5", "day": "2024-05-01",
    }  # fmt: skip
    assert not pl.Series([orjson.dumps(record).decode()]).str.contains(PERHAPS_NOT_REPRODUCED)[0]


def test_numbers_are_plain_numbers() -> None:
    data = SentNumbers().loads('{"a":1.10,"b":1e400,"c":-0,"d":5}')
    assert type(data["a"]) is float
    assert data["a"] + 1 == 2.1
    assert data["b"] == float("inf")
    assert data["c"] == 0
    assert isinstance(data["c"], int)
    assert json.dumps(data) == '{"a": 1.1, "b": Infinity, "c": 0, "d": 5}'
    assert orjson.loads(orjson.dumps(data))["a"] == 1.1
    assert pickle.loads(pickle.dumps(data)) == data


def test_a_number_keeps_its_text_wherever_it_is_moved_and_loses_it_when_it_is_computed() -> None:
    sent = SentNumbers()
    data = sent.loads('{"a":1.10,"b":[2.20],"c":{"d":3.30}}')
    moved = {"x": [data.pop("a")], "rest": copy.deepcopy(data), "sum": data["b"][0] + 0.0, "max": max(data["b"])}
    assert sent.dumps(moved) == '{"x":[1.10],"rest":{"b":[2.20],"c":{"d":3.30}},"sum":2.2,"max":2.20}'


def test_a_lone_surrogate_stays_an_escape() -> None:
    sent = SentNumbers()
    text = '{"cut \\ud83d":"é\\n\\udc00","whole":"\\ud83d\\ude00","n":1.10}'
    data = sent.loads(text)
    data["list"] = ("x", 2**70)
    assert sent.dumps(data) == (
        '{"cut \\ud83d":"é\\n\\udc00","whole":"😀","n":1.10,"list":["x",1180591620717411303424]}'
    )


@pytest.mark.parametrize(
    "text", ['{"v":NaN}', '{"v":Infinity}', '{"v":-Infinity}', '{"v":01}', '{"v":1.}', "[" * 100_000]
)
def test_text_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|is not a number|nested|delimiter|Extra"):
        SentNumbers().loads(text)


def test_a_value_that_cannot_be_encoded_is_an_error() -> None:
    sent = SentNumbers()
    data = sent.loads('{"v":1.10}')
    with pytest.raises(TypeError, match="not JSON serializable: bytes"):
        sent.dumps({**data, "b": b"x"})
    data["itself"] = data
    with pytest.raises(TypeError, match="refers to itself"):
        sent.dumps(data)
    data["itself"] = {2: 1, None: 2, 2**70: "\ud83d"}
    assert sent.dumps(data) == '{"v":1.10,"itself":{"2":1,"null":2,"1180591620717411303424":"\\ud83d"}}'
