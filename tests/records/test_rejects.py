"""Records that cannot be delivered stay in the frame of their page, with the reason."""

import json
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any

import pytest

from bizon.common.secret import MASK, registry
from bizon.records.frames import SOURCE_SCHEMA, RecordError, SourcePage, records_to_frame, to_destination_frame
from bizon.records.rejects import (
    Stage,
    records_and_rejects_to_frame,
    reject,
    rejected_rows,
    split_rejected,
    without_refused,
)
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


def test_all_that_is_json_in_a_refused_record_is_shown_exactly() -> None:
    """One value that was no JSON made a text of 10,000 characters of the whole record, or of its numbers."""
    data = {
        "bad": object(),
        "d": Decimal("1.10"),
        "n": [2**70, 10**5000],
        "e": Decimal("1E+999999999"),
        "t": "é" * 20_000,
    }
    shown = records_and_rejects_to_frame([SourceRecord(id=1, data=data)], NOW)["data"][0]
    digits = "1" + "0" * 5000
    assert f'"d":1.10,"n":[1180591620717411303424,{digits}],"e":1E+999999999,"t":"{"é" * 20_000}"' in shown


class Lost(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        raise LookupError("nowhere")


@pytest.mark.parametrize(
    "stamp", [datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2))), datetime(2026, 1, 1, tzinfo=Lost())]
)
def test_a_timestamp_that_cannot_be_told_in_utc_is_refused_alone(stamp: datetime) -> None:
    records = [SourceRecord(id="a", data={}), SourceRecord(id="b", data={"n": 1}, timestamp=stamp)]
    frame = records_and_rejects_to_frame(records, NOW)
    assert frame["reason"][0] is None
    assert frame["reason"][1].startswith("record 'b': its timestamp cannot be told in UTC: ")
    assert frame["timestamp"].to_list() == [NOW, NOW]
    assert json.loads(frame["data"][1]) == {"n": 1}
    with pytest.raises(RecordError, match="record 'b': its timestamp"):
        records_to_frame(records, NOW)


class Failing(dict[str, Any]):
    def items(self) -> Any:
        raise OSError("gone")


def test_whatever_fails_while_a_record_is_encoded_is_the_fault_of_that_record() -> None:
    records = [SourceRecord(id="a", data={}), SourceRecord(id="b", data=Failing(n=2**70))]
    frame = records_and_rejects_to_frame(records, NOW)
    assert frame["reason"].to_list() == [None, "record 'b': data: OSError: gone"]


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
    good, bad = without_refused(page, {0: "x", 2: "y"})
    assert good["source_record_id"].to_list() == ["b"]
    assert list(zip(bad["source_record_id"], bad["reason"], strict=True)) == [("a", "x"), ("c", "y")]
    assert set(bad["stage"]) == {"destination"}


def test_a_reason_is_masked_and_cut_where_it_arises() -> None:
    """A token that the producing process has learned is not known to the one that writes the dead letters."""
    frame = records_to_frame([SourceRecord(id="a", data={})], NOW)
    with registry.known_while(["Learned-55-Token"]):
        refused = reject(frame, {0: "sent with Learned-55-Token" + "!" * 50_000}, Stage.SOURCE)
    assert refused["reason"][0].startswith(f"sent with {MASK}!!!")
    assert len(refused["reason"][0]) <= 2_000
