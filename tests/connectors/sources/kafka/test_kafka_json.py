"""The bytes of a message as JSON text: valid JSON stays unchanged, all other bytes are repaired, none are refused."""

import base64
import json
from typing import Any

import matrices
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bizon.connectors.sources.kafka.src.message_json import base64_text, json_text, json_texts

LESSON = pytest.mark.lesson("0.3.3")
objects = st.dictionaries(
    st.text(), st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()), max_size=4
).map(lambda value: json.dumps(value).encode())
broken = st.binary(max_size=30) | st.tuples(objects, st.binary(max_size=3), objects).map(lambda parts: b"".join(parts))


@pytest.mark.parametrize(
    "value", [b'{"a": 1.50,  "b":"\\u00e9"}', b"[1]", b"12", b'"x"', b"null", b'{"a":1,"a":2}', '{"é":"😀"}'.encode()]
)
def test_valid_json_stays_as_it_is(value: bytes) -> None:
    assert json_texts([value]) == json_texts([value, b"text"])[:1] == [value]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (b"", ""),
        (b"text", "text"),
        (b'{"a":1', '{"a":1'),
        (b'1,"offset":5', '1,"offset":5'),
        (b'{"a":1},"b":{"c":2}', '{"a":1},"b":{"c":2}'),
        (b'{"a":"\\ud800"}', {"a": "\ufffd"}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}),
        (b'{"a":"x\x01\ty"}', {"a": "x\x01\ty"}),
        (b'{"a":"\xff"}', {"a": "\ufffd"}),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"a\x00b", "a\x00b"),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        (b'{"a":NaN,"b":-Infinity}', {"a": None, "b": None}),
        (b'{\n "a": [1,\r\n 2]\n}', {"a": [1, 2]}),
        (b'{"a":%s}' % (b"1" * 40), {"a": int("1" * 40)}),
        (b"[" * 100_000, "[" * 100_000),
        (b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}", '{"a":' + "[" * 5_000 + "]" * 5_000 + "}"),
    ],
)
def test_a_value_that_is_not_valid_json_is_repaired_or_becomes_text(value: bytes | None, expected: Any) -> None:
    for texts in (json_texts([value]), json_texts([b'{"x":1}', value, b'{"y":2}'])[1:2]):
        assert json.loads(texts[0]) == expected
        assert b"\n" not in texts[0]


@settings(max_examples=matrices.examples(50))
@given(st.lists(objects | broken, min_size=1, max_size=5))
@example([b'{"a":1', b'"b":2}'])
@example([b'{"a":[1}', b"{2]}"])
@example([b'{"a":"', b'"}'])
@example([b'{"a":1}\n{"b":2}', b'{"c":3}'])
def test_every_value_becomes_one_json_value_by_itself(values: list[bytes]) -> None:
    """A value that is accepted only because of its neighbours would merge their records into one."""
    texts = json_texts(values)
    assert len(texts) == len(values)
    for value, text in zip(values, texts, strict=True):
        parsed = orjson.loads(b'{"value":' + text + b"}")
        assert list(parsed) == ["value"]
        assert text == json_text(value)


@given(st.binary())
def test_base64_gives_the_bytes_back(value: bytes) -> None:
    assert base64.b64decode(json.loads(base64_text(value))) == value


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([b"1", b"0", b"12345678901234567890123"], [b"1", b"0", b"12345678901234567890123"]),
        ([b"1", None, b""], [b"1", b"null", b'""']),
        ([b"", None], [b'""', b"null"]),
        ([None, None], [b"null", b"null"]),
        ([b"1", b"007"], [b"1", b'"007"']),
        ([b"1", b"2\n3"], [b"1", b'"2\\n3"']),
        ([b"1\n2", b"\n"], [b'"1\\n2"', b'"\\n"']),
        ([b"1", b"key-2"], [b"1", b'"key-2"']),
        ([b"-1", b"1.5"], [b"-1", b"1.5"]),
    ],
)
def test_only_whole_numbers_pass_as_whole_numbers(values: list[bytes | None], texts: list[bytes]) -> None:
    assert json_texts(values) == texts
