"""The position of the producer in a stream."""

from contextlib import suppress

import pytest

from bizon.common.errors.errors import SourceFetchError
from bizon.engine.backend.models import JobStatus
from bizon.source.cursor import Cursor


def make(total=None) -> Cursor:
    return Cursor("dummy", "creatures", "job-1", total)


def test_a_new_cursor_is_before_the_first_page():
    cursor = make()
    assert (cursor.iteration, cursor.rows_fetched, cursor.pagination) == (0, 0, {})
    assert not cursor.is_finished
    assert cursor.job_status is JobStatus.STARTED
    assert cursor.avg_records_per_iteration is None
    assert cursor.source_full_name == "dummy.creatures"


def test_a_page_moves_the_cursor():
    cursor = make()
    cursor.update_state({"page": 2}, 10)
    assert (cursor.iteration, cursor.rows_fetched, cursor.pagination) == (1, 10, {"page": 2})
    assert cursor.job_status is JobStatus.RUNNING
    assert cursor.avg_records_per_iteration == 10


def test_an_empty_pagination_ends_the_stream():
    cursor = make()
    cursor.update_state({}, 1)
    assert cursor.is_finished
    assert cursor.job_status is JobStatus.SUCCEEDED


def test_an_exhausted_stream_has_no_next_page_that_would_start_it_over():
    cursor = make()
    cursor.update_state({}, 1)
    with pytest.raises(ValueError, match=r"dummy\.creatures.*exhausted after 1"):
        _ = cursor.pagination


def test_a_cursor_from_a_checkpoint_continues_from_it():
    cursor = Cursor.from_db("dummy", "creatures", "job-1", 100, 4, 40, {"page": 5})
    assert (cursor.iteration, cursor.rows_fetched, cursor.pagination) == (4, 40, {"page": 5})
    assert cursor.percentage_fetched == pytest.approx(0.4)


def test_a_checkpoint_of_an_exhausted_stream_is_finished():
    assert Cursor.from_db("dummy", "creatures", "job-1", None, 4, 40, {}).is_finished


@pytest.mark.lesson("F-17")
def test_a_total_of_zero_is_not_an_error():
    """A stream with 0 records failed with ZeroDivisionError."""
    cursor = make(total=0)
    cursor.update_state({}, 0)
    assert cursor.percentage_fetched is None


def test_an_unknown_total_has_no_percentage():
    assert make().percentage_fetched is None


def test_a_total_that_was_too_low_does_not_pass_one():
    cursor = make(total=2)
    cursor.update_state({"page": 2}, 10)
    assert cursor.percentage_fetched == 1.0


@pytest.mark.lesson("F-49")
def test_the_same_pagination_twice_in_a_row_is_an_error():
    """A source that always returned the same pagination was fetched forever."""
    cursor = make()
    cursor.update_state({"page": 2}, 10)
    with pytest.raises(SourceFetchError, match=r"dummy\.creatures.*iteration 1"):
        cursor.update_state({"page": 2}, 10)
    assert (cursor.iteration, cursor.rows_fetched) == (1, 10)


@pytest.mark.lesson("F-49")
def test_the_same_pagination_right_after_a_resume_is_an_error():
    cursor = Cursor.from_db("dummy", "creatures", "job-1", None, 4, 40, {"page": 5})
    with pytest.raises(SourceFetchError):
        cursor.update_state({"page": 5}, 10)


def test_a_source_may_change_the_pagination_it_was_given():
    """``pagination["offset"] += 1`` in a source must neither move the cursor nor look like the same page twice."""
    cursor = make()
    cursor.update_state({"offset": [1]}, 1)
    pagination = cursor.pagination
    pagination["offset"][0] += 1
    assert cursor.pagination == {"offset": [1]}
    cursor.update_state(pagination, 1)
    assert cursor.pagination == {"offset": [2]}


def _walk(cursor: Cursor, steps: list[object]) -> int | None:
    """How many pages were read until the error; None when there was none."""
    read = 0
    with suppress(SourceFetchError):
        for step in steps:
            cursor.update_state({"cursor": step}, 1)
            read += 1
        return None
    return read


@pytest.mark.parametrize("before", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("length", [2, 3, 4, 5, 31, 100])
def test_a_cycle_of_any_length_ends_with_an_error(before, length):
    """Only a page that named itself was noticed: A, B, C, B, C, ... was read forever."""
    pages = [*range(before), *((before + n % length) for n in range(10 * (before + length)))]
    found = _walk(make(), pages)
    assert found is not None
    assert found <= 3 * (before + length)


def test_a_cycle_after_a_resume_is_found():
    cursor = Cursor.from_db("dummy", "creatures", "job-1", None, 4, 40, {"cursor": 0})
    assert _walk(cursor, [1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]) is not None


def test_a_long_stream_without_a_cycle_passes_and_little_is_remembered():
    cursor = make()
    assert _walk(cursor, list(range(10_000))) is None
    remembered = [value for value in vars(cursor).values() if isinstance(value, bytes)]
    assert len(remembered) == 2


def test_the_null_cursor_of_the_last_page_that_is_passed_on_ends_with_an_error():
    cursor = make()
    assert _walk(cursor, ["A", "B", None, "A", "B"]) is None
    with pytest.raises(SourceFetchError, match=r"pages repeat: .*a null cursor is not \{\}.* --fresh"):
        cursor.update_state({"cursor": None}, 1)
