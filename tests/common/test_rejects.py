"""Records that cannot be delivered stay in the frame of their page, with the reason."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bizon.common.frames import SOURCE_SCHEMA, SourcePage, records_to_frame, to_destination_frame
from bizon.common.rejects import Stage, records_and_rejects_to_frame, reject, rejected_rows, split_rejected, take_out
from bizon.source.models import SourceRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)
THEN = datetime(2025, 1, 1, tzinfo=UTC)


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def circular() -> dict[str, Any]:
    data: dict[str, Any] = {"a": 1}
    data["self"] = data
    return data


def test_the_good_records_of_a_page_pass_and_the_others_carry_a_reason() -> None:
    records = [
        SourceRecord(id="a", data={"n": 1}),
        SourceRecord(id="b", data={"n": object(), "kept": [1]}, timestamp=THEN, destination_id="t"),
        "junk",
    ]
    frame = records_and_rejects_to_frame(records, NOW)
    good, bad = split_rejected(frame)
    assert good.equals(records_to_frame(records[:1], NOW))  # type: ignore[arg-type]
    assert good.schema == SOURCE_SCHEMA
    assert bad["id"].to_list() == ["b", "#2"]
    assert bad["stage"].to_list() == ["source", "source"]
    assert bad["reason"][0].startswith("record 'b': data.n: ")
    assert bad["reason"][1] == "record 2 of the page is a str, not a SourceRecord"
    assert (bad["timestamp"][0], bad["destination_id"][0]) == (THEN, "t")
    shown = json.loads(bad["data"][0])
    assert shown["kept"] == [1]
    assert shown["n"].startswith("<object object")


@pytest.mark.parametrize("data", [{"x": Hostile()}, circular(), {(1, 2): "key"}, {"x": {1, 2}}, {"x": b"bytes"}])
def test_whatever_is_no_json_is_shown_as_well_as_it_can_be(data: dict[Any, Any]) -> None:
    frame = records_and_rejects_to_frame([SourceRecord(id=1, data=data)], NOW)
    assert frame["reason"].null_count() == 0
    assert isinstance(json.loads(frame["data"][0]), dict)


def test_a_record_shown_as_text_is_cut() -> None:
    frame = records_and_rejects_to_frame([SourceRecord(id=1, data={"x": {"y" * 100_000}})], NOW)
    assert len(frame["data"][0]) < 11_000


def test_a_page_without_a_faulty_record_is_as_any_other() -> None:
    page = [SourceRecord(id=1, data={"n": 2**70})]
    assert records_and_rejects_to_frame(page, NOW).equals(records_to_frame(page, NOW))


def test_what_was_refused_first_stays_the_reason() -> None:
    page = records_to_frame([SourceRecord(id=n, data={}) for n in range(3)], NOW)
    twice = reject(reject(page, {1: "first"}, Stage.SOURCE), {1: "second", 2: "other"}, Stage.TRANSFORM)
    assert twice["reason"].to_list() == [None, "first", "other"]
    assert twice["stage"].to_list() == [None, "source", "transform"]
    assert rejected_rows(twice) == [False, True, True]
    assert rejected_rows(page) == [False, False, False]


def test_a_page_without_refused_rows_is_left_as_it_is() -> None:
    page = records_to_frame([SourceRecord(id=1, data={})], NOW)
    assert reject(page, {}, Stage.SOURCE) is page
    good, bad = split_rejected(page)
    assert good is page
    assert bad.is_empty()
    assert bad.columns == [*page.columns, "stage", "reason"]


def test_a_refused_row_keeps_its_bizon_id_and_nobody_else_has_it() -> None:
    page = reject(records_to_frame([SourceRecord(id="same", data={}) for _ in range(3)], NOW), {1: "bad"}, Stage.SOURCE)
    good, bad = split_rejected(to_destination_frame([SourcePage(4, NOW, page)], "job", NOW))
    assert [*good["bizon_id"], *bad["bizon_id"]] == ["job-4.0-same", "job-4.2-same", "job-4.1-same"]


def test_rows_are_taken_out_by_position() -> None:
    source = records_to_frame([SourceRecord(id=n, data={}) for n in "abc"], NOW)
    page = to_destination_frame([SourcePage(0, NOW, source)], "j", NOW)
    good, bad = take_out(page, {0: "x", 2: "y"})
    assert good["source_record_id"].to_list() == ["b"]
    assert list(zip(bad["source_record_id"], bad["reason"], strict=True)) == [("a", "x"), ("c", "y")]
    assert set(bad["stage"]) == {"destination"}
