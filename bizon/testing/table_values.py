"""Values that tables are known to lose, each with the types that a new table gets for them."""

from collections.abc import Mapping
from typing import NamedTuple

LONG_KEY = "é" * 100  # 200 bytes
_DEEP = "[" * 300 + "]" * 300
_TOO_DEEP = "[" * 100_000 + "]" * 100_000


class Hard(NamedTuple):
    """``texts``: records that a table gets at once. ``types``: columns and their types, by key; a key that is missing
    there has none. ``rescued``: keys whose values are rescued at least once. ``refused``: positions of the records that
    are refused by name. ``large_inside``: keys whose JSON has numbers that are neither integers of 64 bits nor
    floats."""

    texts: tuple[str, ...]
    types: Mapping[str, str]
    rescued: tuple[str, ...] = ()
    refused: tuple[int, ...] = ()
    large_inside: tuple[str, ...] = ()


def _hard(*texts: str, rescued: tuple[str, ...] = (), refused: tuple[int, ...] = (), **types: str) -> Hard:
    return Hard(texts, types, rescued, refused)


HARD: dict[str, Hard] = {
    "integers to the end of 64 bits": _hard('{"a":9223372036854775807}', '{"a":-9223372036854775808}', a="int64"),
    "an integer of 64 bits without a sign": _hard('{"a":18446744073709551615}', '{"a":1}', a="decimal(38, 0)"),
    "an integer of 30 digits": _hard('{"a":123456789012345678901234567890}', '{"a":-1}', a="decimal(38, 0)"),
    "an integer of 5,000 digits": _hard(f'{{"a":{"7" * 5000}}}', '{"a":1}', rescued=("a",), a="int64"),
    "a decimal of 30 digits": _hard('{"a":1.23456789012345678901234567891}', a="decimal(38, 29)"),
    "money with zeros at the end": _hard('{"a":1.10}', '{"a":-1234.50}', a="float64"),
    "integers and fractions": _hard('{"a":1}', '{"a":0.1}', '{"a":9007199254740992}', a="float64"),
    "2**53 + 1 next to a fraction": _hard('{"a":0.25}', '{"a":9007199254740993}', a="decimal(38, 2)"),
    "minus zero": _hard('{"a":-0.0,"b":-0}', '{"a":0.5,"b":7}', a="float64", b="int64"),
    "the largest and the smallest float": _hard('{"a":1.7976931348623157e308}', '{"a":5e-324}', a="float64"),
    "1e400": _hard('{"a":1e400}', '{"a":1.5}', rescued=("a",), a="float64"),
    "NaN and infinities": _hard(
        '{"a":NaN,"b":1}',
        '{"a":-Infinity}',
        '{"a":1.5,"b":[Infinity,"NaN"]}',
        rescued=("a", "b"),
        a="float64",
        b="int64",
    ),
    "NUL": _hard(r'{"a":"x\u0000y"}', '{"a":"z"}', rescued=("a",), a="text"),
    "half a surrogate pair": _hard(
        r'{"a":"x\ud800y","b":{"c":"\udfff\ud83d\ude00\\ud800"}}', rescued=("a", "b"), a="text", b="json"
    ),
    "text and its form": _hard('{"a":""}', '{"a":" "}', r'{"a":"a,\"b\"\r\n;\t\\"}', '{"a":"null"}', a="text"),
    "escapes and emoji": Hard((r'{ "é\u00e9" :' + '\t"\\/ 😀\\ud83d\\ude00\u2028" }',), {"éé": "text"}),
    "an empty key": _hard('{"":1,"a":2}', rescued=("",), a="int64"),
    "a key of 200 bytes": Hard((f'{{"{LONG_KEY}":1,"{LONG_KEY}x":2}}',), {LONG_KEY: "int64", f"{LONG_KEY}x": "int64"}),
    "a key with NUL": _hard(r'{"a\u0000":1,"a":2}', rescued=("a\0",), a="int64"),
    "keys that differ in case": _hard('{"a":1,"A":2}', '{"A":3}', rescued=("A",), a="int64"),
    "a repeated key": _hard('{"a":1,"a":{"b":1,"b":2},"a":3}', rescued=("a",), a="json"),
    "dots, quotes and spaces in keys": Hard(
        (r'{"a.b":1,"\"; --":2," ":3,"{x}":4,"%s":5,"a,b":6}',),
        {"a.b": "int64", '"; --': "int64", " ": "int64", "{x}": "int64", "%s": "int64", "a,b": "int64"},
    ),
    "reserved keys": _hard(
        '{"_bizon_id":1,"_SOURCE_x":2,"_bizon_page":3,"a":4}',
        rescued=("_bizon_id", "_SOURCE_x", "_bizon_page"),
        a="int64",
    ),
    "words of SQL as keys": _hard('{"select":1,"table":2,"order":3}', select="int64", table="int64", order="int64"),
    "300 levels": _hard(f'{{"a":{_DEEP}}}', a="json"),
    "100,000 levels": _hard('{"a":1}', f'{{"a":{_TOO_DEEP}}}', refused=(1,), a="int64"),
    "objects that repeat a key, and their order": _hard('{"a":{"z":1,"b":[2.50,{"z":1e2}]}}', a="json"),
    "numbers beyond 64 bits inside": Hard(
        ('{"a":{"b":[123456789012345678901234567890,1.10,-0.0]}}',), {"a": "json"}, large_inside=("a",)
    ),
    "empty objects and lists": _hard('{"a":{},"b":[]}', '{"a":{"c":[]},"b":[{}]}', a="json", b="json"),
    "only nulls": _hard('{"a":null,"b":1}', '{"a":null}', "{}", b="int64"),
    "dates of year 1 and 9999": _hard('{"a":"0001-01-01"}', '{"a":"9999-12-31"}', a="date"),
    "a date that is none": _hard('{"a":"2024-02-30"}', '{"a":"2024-02-29"}', a="text"),
    "moments of year 1 and 9999": _hard(
        '{"a":"0001-01-01T00:00:00Z"}', '{"a":"9999-12-31T23:59:59.999999Z"}', a="timestamp"
    ),
    "moments beyond the calendar in UTC": _hard('{"a":"0001-01-01T00:00:00+01:00"}', a="text"),
    "offsets": _hard('{"a":"2024-01-01T00:00:00+14:00"}', '{"a":"2024-01-01t00:00:00.5-00:30"}', a="timestamp"),
    "moments without an offset": _hard('{"a":"2024-01-01T00:00:00"}', a="text"),
    "nanoseconds": _hard('{"a":"2024-01-01T00:00:00.123456789Z"}', a="text"),
    "a leap second": _hard('{"a":"2016-12-31T23:59:60Z"}', '{"a":"2017-01-01T00:00:00Z"}', a="text"),
    "text, numbers and truth": _hard('{"a":1}', '{"a":"x"}', '{"a":true}', '{"a":"1"}', a="json"),
    "a text of a megabyte": _hard(f'{{"a":"{"x" * 1_000_000}"}}', a="text"),
    "not an object": _hard('{"a":1}', "[1]", '{"a":1', '{"a":01}', refused=(1, 2, 3), a="int64"),
}
