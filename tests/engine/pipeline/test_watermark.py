"""A watermark belongs to one output."""

from dataclasses import replace

import pytest

from bizon.common.errors.errors import WatermarkError
from bizon.destination.models import OutputState, PublishedOutput, ResumePoint
from bizon.engine.pipeline.watermark import check_watermark, published_output, recorded_output

HERE = {"destination": "file", "place": "/data/out.json", "format": "json"}
THERE = {**HERE, "place": "/data/other.json"}
RESUME = ResumePoint("now", published=PublishedOutput("before", HERE, has_rows=True))


def refused(found: OutputState, resume: ResumePoint = RESUME) -> str:
    with pytest.raises(WatermarkError) as error:
        check_watermark(found, resume)
    for choice in ("--fresh", "--adopt", "`id:`"):
        assert choice in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_output_of_the_previous_run_is_accepted() -> None:
    check_watermark(OutputState(HERE, published_by="before", has_rows=True), RESUME)


def test_an_output_without_a_publisher_is_recognised_by_its_identity() -> None:
    check_watermark(OutputState(HERE), RESUME)


def test_another_place_is_refused_and_both_are_named() -> None:
    text = refused(OutputState(THERE))
    assert "the last run published to file '/data/out.json' (json)" in text
    assert "this one writes to file '/data/other.json' (json)" in text


def test_another_format_is_refused() -> None:
    text = refused(OutputState({**HERE, "format": "parquet"}))
    assert "(parquet)" in text


def test_another_destination_is_refused() -> None:
    assert "bigquery 'a.b.c'" in refused(OutputState({"destination": "bigquery", "place": "a.b.c"}))


@pytest.mark.parametrize("publisher", ["before", None])
def test_an_output_that_is_gone_or_empty_is_refused(publisher: str | None) -> None:
    assert "is gone or empty" in refused(OutputState(HERE, published_by=publisher, has_rows=False))


def test_an_output_that_a_job_published_of_which_the_state_knows_nothing_is_refused() -> None:
    text = refused(OutputState(HERE, published_by="stranger", has_rows=True))
    assert "published last by job stranger" in text
    assert "watermark of job before" in text


def test_another_place_with_the_mark_of_another_job_is_refused() -> None:
    assert "/data/other.json" in refused(OutputState(THERE, published_by="stranger", has_rows=True))


def test_an_output_that_was_moved_with_its_mark_is_accepted() -> None:
    check_watermark(OutputState(THERE, published_by="before", has_rows=True), RESUME)


def test_an_output_that_this_job_has_published_itself_is_accepted() -> None:
    """It was killed before the state knew."""
    check_watermark(OutputState(HERE, published_by="now", has_rows=True), RESUME)


def test_an_output_that_was_empty_when_it_was_published_may_be_empty() -> None:
    resume = replace(RESUME, published=PublishedOutput("before", HERE, has_rows=False))
    check_watermark(OutputState(HERE, published_by="before", has_rows=False), resume)


@pytest.mark.parametrize(("then", "now"), [(None, False), (True, None), (None, None)])
def test_a_destination_that_cannot_tell_whether_there_are_rows_is_believed(then: bool | None, now: bool | None) -> None:
    resume = replace(RESUME, published=PublishedOutput("before", HERE, has_rows=then))
    check_watermark(OutputState(HERE, published_by="before", has_rows=now), resume)


@pytest.mark.parametrize(
    "found", [OutputState(THERE), OutputState(HERE, "stranger"), OutputState(HERE, "before", False)]
)
def test_with_adopt_every_output_is_accepted(found: OutputState) -> None:
    check_watermark(found, replace(RESUME, adopt=True))


def test_without_a_watermark_every_output_is_accepted() -> None:
    check_watermark(OutputState(THERE, published_by="stranger", has_rows=False), replace(RESUME, published=None))


def test_the_note_of_an_output_is_read_back() -> None:
    note = published_output(OutputState(HERE, published_by="before", has_rows=True))
    assert recorded_output("before", note) == RESUME.published


@pytest.mark.parametrize("note", [None, {}, {"adopted": True}])
def test_a_job_without_a_note_vouches_for_no_output(note: dict[str, object] | None) -> None:
    assert recorded_output("before", note) is None
