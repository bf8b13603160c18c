"""Queries that Notion cuts off."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from standins.notion.content import LONG_AGO

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.notion.src.windows import combined, halves


@pytest.fixture
def busy(workspace):
    """A database with 60 pages: twenty in each of two hours, twenty in one day, not in order."""
    tasks = workspace.add_database("Tasks")
    for number in range(20):
        workspace.add_page(database=tasks, created=LONG_AGO + timedelta(days=300, minutes=3 * number))
        workspace.add_page(database=tasks, created=LONG_AGO + timedelta(minutes=3 * number))
        workspace.add_page(database=tasks, created=LONG_AGO + timedelta(days=100, hours=number))
    return tasks


@pytest.mark.parametrize("late_sign", [False, True])
@pytest.mark.parametrize("cap", [1, 7, 20, 59, 60])
def test_every_row_comes_once_whatever_the_cap(notion, workspace, reader, busy, cap, late_sign) -> None:
    notion.cap, notion.late_sign = cap, late_sign
    pages = reader("pages", database_ids=[busy], page_size=3)
    assert Counter(pages.ids()) == Counter(list(workspace.pages))


def test_a_split_may_be_resumed_at_every_page(notion, workspace, reader, busy) -> None:
    notion.cap = 7
    pages = reader("pages", database_ids=[busy], page_size=3)
    assert Counter(pages.ids(renew=True)) == Counter(list(workspace.pages))
    assert max(len(str(each)) for each in pages.paginations) < 2_000


def test_the_cap_reaches_the_output_of_a_run(notion, workspace, pipeline, busy) -> None:
    notion.cap = 25
    run = pipeline("pages", database_ids=[busy], page_size=10)
    run.run()
    assert Counter(run.ids()) == Counter(list(workspace.pages))


def test_a_minute_that_cannot_be_split_ends_the_run(notion, workspace, pipeline) -> None:
    tasks = workspace.add_database("Tasks")
    for number in range(12):
        workspace.add_page(database=tasks, created=LONG_AGO + timedelta(seconds=number))
    notion.cap = 10
    run = pipeline("pages", database_ids=[tasks])
    printed = run.run(expect=1)
    assert "created in the minute from 2024-05-01T10:00:00" in printed
    assert "Traceback" not in printed
    assert run.rows() == []


def test_edits_are_split_by_the_time_of_the_edit(notion, workspace, reader, busy, state_from) -> None:
    began = LONG_AGO + timedelta(days=500)
    edited = list(workspace.pages)[:40]
    for number, page in enumerate(edited):
        workspace.edit(page, began + timedelta(minutes=number))
    notion.cap = 3
    pages = reader("pages", database_ids=[busy], page_size=2)
    assert Counter(pages.ids(state_from(began, began + timedelta(days=1)))) == Counter(edited)


def test_a_search_that_is_cut_off_ends_the_run_and_names_the_way_out(notion, reader, busy) -> None:
    notion.cap = 10
    with pytest.raises(SourceFetchError, match="database_ids"):
        reader("all_pages", page_size=5).read()


def test_a_search_for_edits_needs_only_the_newest_results(notion, workspace, reader, busy, state_from) -> None:
    notion.cap, began = 10, LONG_AGO + timedelta(days=500)
    edited = list(workspace.pages)[30:34]
    for page in edited:
        workspace.edit(page, began)
    window = state_from(began, began + timedelta(hours=1))
    assert Counter(reader("all_pages", page_size=3).ids(window)) == Counter(edited)
    notion.cap = 3
    with pytest.raises(SourceFetchError, match="10,000"):
        reader("all_pages", page_size=3).read(window)


def test_rows_that_leave_the_results_during_a_query_do_not_end_it(notion, workspace, reader, busy, state_from) -> None:
    began, pages = LONG_AGO + timedelta(days=500), list(workspace.pages)
    for page in pages:
        workspace.edit(page, began)
    read = reader("pages", database_ids=[busy], page_size=10)

    def edit_the_row_at_the_cursor(asked) -> None:
        if len(notion.asked_for("POST .*query")) == 3:
            workspace.edit(asked.body["start_cursor"], began + timedelta(days=2))

    notion.before = edit_the_row_at_the_cursor
    found = Counter(read.ids(state_from(began, began + timedelta(days=1))))
    assert found == Counter(page for page in pages if workspace.pages[page]["last_edited_time"] < "2025-09-14")
    assert len(found) == len(pages) - 1


@pytest.mark.parametrize("which", ["unread", "read", "at the cursor"])
def test_an_object_that_is_edited_during_a_search_is_not_lost(notion, workspace, pipeline, busy, which) -> None:
    """It moves to the front of the results, where the search has been."""
    run = pipeline("all_pages", page_size=10)

    def edit_one(asked) -> None:
        if len(notion.asked_for("POST search")) == 3:
            left = sorted(workspace.pages.values(), key=lambda page: page["last_edited_time"])
            chosen = {"unread": left[0], "read": left[-1], "at the cursor": {"id": asked.body["start_cursor"]}}
            workspace.edit(chosen[which]["id"], datetime.now(UTC))

    notion.before = edit_one
    run.run()
    assert Counter(run.ids()) == Counter(list(workspace.pages))


def test_halves_meet_and_end_at_a_minute() -> None:
    window = ["2026-01-01T00:00:00+00:00", "2026-01-01T00:03:00+00:00"]
    first, second = halves(window, "", "") or []
    assert first == [window[0], "2026-01-01T00:01:00+00:00"]
    assert second == [first[1], window[1]]
    assert halves(first, "", "") is None
    assert len(halves(second, "", "") or []) == 2


def test_the_halves_of_an_open_window_stay_open() -> None:
    first, second = halves([None, None], "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z") or []
    assert (first[0], second[1]) == (None, None)
    assert first[1] == second[0]
    assert datetime.fromisoformat(str(first[1])).day == 1


def test_conditions_join_a_filter_of_two_levels() -> None:
    time = {"timestamp": "created_time", "created_time": {"before": "2026-01-01"}}
    a, b = ({"property": name, "checkbox": {"equals": True}} for name in "ab")
    assert combined(None, []) is None
    assert combined(a, [time]) == {"and": [a, time]}
    assert combined({"and": [{"or": [a, b]}]}, [time]) == {"and": [{"or": [a, b]}, time]}
    assert combined({"or": [{"and": [a, b]}, b]}, [time]) == {"or": [{"and": [a, b, time]}, {"and": [b, time]}]}
