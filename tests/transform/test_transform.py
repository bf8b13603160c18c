"""A user's snippets, compiled once and applied to each record."""

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from bizon.common.errors.errors import TransformError
from bizon.common.on_error import OnError
from bizon.rows.frames import SOURCE_SCHEMA, records_to_frame
from bizon.rows.rejects import records_and_rejects_to_frame
from bizon.source.models import SourceRecord
from bizon.transform.config import TransformModel
from bizon.transform.transform import Transform

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def frame(*data: dict[str, Any]) -> pl.DataFrame:
    return records_to_frame([SourceRecord(id=f"r{i}", data=each) for i, each in enumerate(data)], NOW)


def apply(python: str, *data: dict[str, Any]) -> list[dict[str, Any]]:
    changed = Transform([TransformModel(label="t", python=python)]).apply_transforms(frame(*data))
    assert changed.schema == SOURCE_SCHEMA
    return [json.loads(text) for text in changed["data"]]


def test_each_record_is_changed() -> None:
    assert apply("data['b'] = data['a'] + 1", {"a": 1}, {"a": 2}) == [{"a": 1, "b": 2}, {"a": 2, "b": 3}]


def test_data_may_be_replaced() -> None:
    assert apply("data = {'only': data['a']}", {"a": 1}) == [{"only": 1}]


def test_data_set_to_none_drops_the_record() -> None:
    assert apply("if data['a'] % 2: data = None", {"a": 1}, {"a": 2}) == [{"a": 2}]


def test_snippets_run_in_order() -> None:
    steps = [TransformModel(label="1", python="data['x'] = 1"), TransformModel(label="2", python="data['x'] += 1")]
    assert Transform(steps).apply_transforms(frame({}))["data"].to_list() == ['{"x":2}']


def test_names_of_the_snippet_are_seen_inside_its_functions_and_comprehensions() -> None:
    python = """
        import math
        factor = 2
        def scaled(value):
            return math.floor(value * factor)
        data = {'v': [scaled(value) + factor for value in data['v']]}
    """
    assert apply(python, {"v": [1.6, 2]}) == [{"v": [5, 6]}]


def test_nothing_is_left_over_from_one_record_to_the_next() -> None:
    with pytest.raises(TransformError, match="record 'r1'"):
        apply("if 'a' in data: seen = 1\ndata['seen'] = seen", {"a": 1}, {})


def test_a_string_over_several_lines_keeps_its_indentation() -> None:
    assert apply('data["t"] = """a\n  b"""', {}) == [{"t": "a\n  b"}]


def test_integers_beyond_64_bits_pass_through_exactly() -> None:
    assert apply("data['b'] = 1", {"a": 2**70}) == [{"a": 2**70, "b": 1}]


def test_datetimes_and_nan_become_json() -> None:
    assert apply("import datetime\ndata['d'] = datetime.date(2026, 1, 2)\ndata['n'] = float('nan')", {}) == [
        {"d": "2026-01-02", "n": None}
    ]


def test_a_failing_snippet_names_label_and_record_but_shows_no_data() -> None:
    with pytest.raises(TransformError, match="transform 't' failed on record 'r1': KeyError: 'a'"):
        apply("data['a']", {"a": 1}, {"secret": 1})


def test_data_must_stay_a_dict() -> None:
    with pytest.raises(TransformError, match="must stay a dict, it became list"):
        apply("data = [1]", {})


def test_a_result_that_is_not_json_is_an_error() -> None:
    with pytest.raises(TransformError, match="record 'r0': the result is not JSON"):
        apply("data['b'] = b'raw'", {})


@pytest.mark.parametrize(("python", "line"), [("x = = 1", 1), ("\nif True:\npass", 3), ("return 1", 1)])
def test_a_snippet_that_is_not_python_is_found_when_the_config_is_validated(python: str, line: int) -> None:
    with pytest.raises(ValidationError, match=rf"transform 't' is not valid: line {line}: "):
        TransformModel(label="t", python=python)


def test_without_snippets_the_frame_is_handed_through() -> None:
    page = frame({"a": 1})
    assert Transform([]).apply_transforms(page) is page


@pytest.mark.parametrize("on_error", [OnError.SKIP, OnError.DEAD_LETTER])
@pytest.mark.parametrize(
    ("python", "reason"),
    [
        ("if data['n'] == 1: raise ValueError('no')", "ValueError: no"),
        ("data = 5 if data['n'] == 1 else data", "`data` must stay a dict, it became int"),
        ("data['o'] = object() if data['n'] == 1 else 0", "the result is not JSON"),
    ],
)
def test_a_record_that_fails_is_refused_as_the_source_gave_it(python: str, reason: str, on_error: OnError) -> None:
    model = TransformModel(label="t", python=f"data['seen'] = True\n{python}")
    changed = Transform([model], on_error).apply_transforms(frame({"n": 0}, {"n": 1}, {"n": 2}))
    assert changed["stage"].to_list() == [None, "transform", None]
    assert changed["reason"][1].startswith(f"transform 't' failed on record 'r1': {reason}")
    assert [json.loads(text).get("seen") for text in changed["data"]] == [True, None, True]
    assert json.loads(changed["data"][1]) == {"n": 1}


def test_a_record_that_is_not_json_fails_in_the_first_transform() -> None:
    page = frame({"n": 1}).with_columns(data=pl.lit('{"n": 1'))
    model = TransformModel(label="t", python="data['m'] = 1")
    with pytest.raises(TransformError, match="transform 't' failed on record 'r0': the record is not valid JSON"):
        Transform([model]).apply_transforms(page)
    assert Transform([model], OnError.SKIP).apply_transforms(page)["stage"].to_list() == ["transform"]


def test_a_record_that_was_refused_before_is_not_transformed() -> None:
    records = [SourceRecord(id="a", data={"n": object()}), SourceRecord(id="b", data={"n": 1})]
    page = records_and_rejects_to_frame(records, NOW)
    model = TransformModel(label="t", python="data = None if data['n'] == 1 else data['missing']")
    changed = Transform([model], OnError.SKIP).apply_transforms(page)
    assert changed["id"].to_list() == ["a"]
    assert changed["stage"].to_list() == ["source"]


UNTOUCHED = (
    '{"z":1.10,"a":1e400,"e":1E5,"i":123456789012345678901234567890,"m":-0,"d":12345678901234567.89,'
    '"r":0.12345678901234567890,"t":"cut \\ud83d","n":{"deep":[0.50,{"x":2.0}]},"s":"1.10"}'
)


def of_text(*texts: str) -> pl.DataFrame:
    return frame(*({} for _ in texts)).with_columns(pl.Series("data", texts))


@pytest.mark.parametrize("on_error", list(OnError))
def test_a_value_that_no_snippet_touches_leaves_it_byte_for_byte(on_error: OnError) -> None:
    steps = [
        TransformModel(label="t", python="data['seen'] = True"),
        TransformModel(label="u", python="data['x'] = 1.5"),
    ]
    page = of_text(UNTOUCHED, '{"plain":1}')
    changed = Transform(steps, on_error).apply_transforms(page)["data"].to_list()
    assert changed == [UNTOUCHED[:-1] + ',"seen":true,"x":1.5}', '{"plain":1,"seen":true,"x":1.5}']


def test_a_value_that_is_moved_stays_unchanged() -> None:
    model = TransformModel(label="t", python="data = {'amount': data.pop('d'), 'all': [data], 'half': data['z'] / 2}")
    changed = Transform([model]).apply_transforms(of_text('{"z":1.10,"d":12345678901234567.89}'))["data"].to_list()
    assert changed == ['{"amount":12345678901234567.89,"all":[{"z":1.10}],"half":0.55}']


@pytest.mark.parametrize("text", ['{"a":NaN}', '{"a":1.10,}', '{"a":1.10'])
def test_text_that_is_not_json_is_refused_even_with_such_numbers(text: str) -> None:
    with pytest.raises(TransformError, match="record 'r0': the record is not valid JSON"):
        Transform([TransformModel(label="t", python="pass")]).apply_transforms(of_text(text))
