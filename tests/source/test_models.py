"""Records, pages and the incremental state, used as plain classes and as pydantic models."""

import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from bizon.rows.frames import RecordError
from bizon.rows.pages import page_to_frame, records_of
from bizon.source.models import JsonLines, SourceIncrementalState, SourceIteration, SourceRecord

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TEXT = "2026-01-02T03:04:05Z"


@pytest.mark.parametrize("text", [TEXT, "2026-01-02T04:04:05+01:00", " 2026-01-02 03:04:05 ", "20260102T030405Z"])
def test_iso_text_is_read_as_a_moment(text: str) -> None:
    assert SourceRecord(id=1, data={}, timestamp=text).timestamp == MOMENT


@pytest.mark.parametrize("wrong", ["yesterday", "1767323045", ""])
def test_a_text_that_is_not_a_date_is_an_error_that_names_the_record(wrong: str) -> None:
    with pytest.raises(ValueError, match="timestamp of record '7' must be a datetime or ISO 8601 text"):
        SourceRecord(id=7, data={}, timestamp=wrong)


def test_a_record_is_made_of_a_dict_and_dumped_as_one() -> None:
    record = SourceRecord.model_validate({"id": 7, "data": {"a": 1}, "timestamp": TEXT, "other": "ignored"})
    assert record == SourceRecord(id="7", data={"a": 1}, timestamp=MOMENT)
    assert record.model_dump() == {"id": "7", "data": {"a": 1}, "timestamp": MOMENT, "destination_id": None}
    assert record.model_dump(mode="json", exclude_none=True) == {"id": "7", "data": {"a": 1}, "timestamp": TEXT}
    assert SourceRecord.model_validate_json(record.model_dump_json()) == record
    assert SourceRecord.model_validate(record) is record
    assert record.model_copy(update={"id": 8}) == SourceRecord(id="8", data={"a": 1}, timestamp=MOMENT)


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"data": {}}, ValueError, "a SourceRecord needs 'id'"),
        ({}, ValueError, "'id' and 'data'"),
        ({"id": 1.5, "data": {}}, TypeError, "id must be a string or an integer"),
        ({"id": 1, "data": []}, TypeError, "data of record '1' must be a dict"),
        ([1], TypeError, "built from a dict of its fields, not from a list"),
    ],
)
def test_an_invalid_record_is_an_error(wrong: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        SourceRecord.model_validate(wrong)


def test_a_page_takes_dicts_for_records() -> None:
    page = SourceIteration(next_pagination={}, records=[{"id": 1, "data": {"a": 1}}, {"id": "2", "data": {}}])
    assert [record.id for record in page.records] == ["1", "2"]
    assert page.model_dump()["records"][0]["data"] == {"a": 1}
    assert SourceIteration.model_validate(page.model_dump()).model_dump() == page.model_dump()


@pytest.mark.parametrize("refuse", [False, True])
def test_dicts_among_records_or_from_a_generator_become_rows(refuse: bool) -> None:
    mixed = [SourceRecord(id=1, data={}), {"id": 2, "data": {"b": 2}, "timestamp": TEXT}]
    for records in (mixed, (record for record in mixed)):
        frame = page_to_frame(records_of(SourceIteration({}, records)), MOMENT + timedelta(1), refuse=refuse)
        assert frame["id"].to_list() == ["1", "2"]
        assert frame["data"].to_list() == ["{}", '{"b":2}']
        assert frame["timestamp"].to_list() == [MOMENT + timedelta(1), MOMENT]


def test_a_dict_that_is_not_a_record_is_reported() -> None:
    page = SourceIteration({}, (record for record in [{"name": "no id"}]))
    with pytest.raises(RecordError, match="record 0 of the page is a dict, not a SourceRecord with 'id' and 'data'"):
        page_to_frame(records_of(page), MOMENT)


def test_a_whole_page_stays_what_it_is() -> None:
    lines = JsonLines(b'{"id":1}')
    assert SourceIteration({}, lines).records is lines


def test_records_and_pages_may_be_fields_of_a_model() -> None:
    class Answer(BaseModel):
        page: SourceIteration
        first: SourceRecord

    answer = Answer.model_validate({"page": {"next_pagination": {"p": 1}}, "first": {"id": 1, "data": {}}})
    assert answer.first == SourceRecord(id=1, data={})
    assert answer.page.next_pagination == {"p": 1}
    assert Answer.model_validate_json(answer.model_dump_json()).page == answer.page
    with pytest.raises(ValidationError, match="needs 'next_pagination'"):
        Answer.model_validate({"page": {}, "first": [1]})


def test_the_incremental_state_is_a_model_with_moments_in_utc() -> None:
    naive, east = datetime(2026, 1, 2, 3, 4, 5), datetime(2026, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    for moment in (naive, east, TEXT):
        state = SourceIncrementalState.model_validate({"last_run": moment, "run_started_at": moment, "state": {"t": 1}})
        assert state.last_run.isoformat() == "2026-01-02T03:04:05+00:00"
        assert state.run_started_at == MOMENT
    assert isinstance(state, BaseModel)
    assert state.model_dump() == {"last_run": MOMENT, "state": {"t": 1}, "cursor_field": None, "run_started_at": MOMENT}
    assert pickle.loads(pickle.dumps(state)) == state
    assert SourceIncrementalState(last_run=MOMENT).state == {}
    with pytest.raises(ValidationError):
        SourceIncrementalState(last_run="yesterday")
