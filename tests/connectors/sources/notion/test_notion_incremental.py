"""Incremental runs: the edits, each once, none lost."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from standins.notion.content import LONG_AGO, stamp

from bizon.connectors.sources.notion.src.edits import Delivered, EditWindow

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
BEGAN = LONG_AGO + timedelta(days=365)
INPUTS = {
    "pages": ("database_ids", "page_ids"),
    "blocks": ("database_ids", "page_ids"),
    "blocks_markdown": ("database_ids", "page_ids"),
    "databases": ("database_ids",),
    "data_sources": ("database_ids",),
}


@pytest.fixture
def inputs(workspace):
    """A database with rows, and a page; each page has two blocks."""
    tasks, page = workspace.add_database("Tasks"), workspace.add_page("home")
    rows = [workspace.add_page(database=tasks) for _ in range(4)]
    for each in (page, *rows):
        workspace.add_tree(each, "paragraph", [2])
    return {"database_ids": [tasks], "page_ids": [page]}


def changed_by_edits(workspace, inputs, stream, at) -> list[str]:
    """Edit a database, its data source, a row and a page; returns the records that the stream must deliver."""
    (database,), (page,), row = inputs["database_ids"], inputs["page_ids"], list(workspace.pages)[2]
    source = workspace.source_of(database)
    for each in (database, source, page, row):
        workspace.edit(each, at)
    changed = {"pages": [page, row], "databases": [database], "data_sources": [source]}
    of_blocks = [*workspace.children[page], *workspace.children[row]]
    return changed.get(stream.removeprefix("all_"), of_blocks)


@pytest.mark.parametrize("stream", [*INPUTS, "all_pages", "all_databases", "all_data_sources", "all_blocks_markdown"])
def test_a_second_window_is_empty_and_a_third_has_what_changed(workspace, reader, inputs, state_from, stream) -> None:
    keys = {"sync_mode": "incremental", **{key: inputs[key] for key in INPUTS.get(stream, ())}}
    first, second, third, fourth = (reader(stream, **keys) for _ in range(4))
    assert first.ids()
    assert second.ids(state_from(BEGAN, BEGAN + HOUR, first.next_state)) == []
    changed = changed_by_edits(workspace, inputs, stream, BEGAN + 1.5 * HOUR)
    assert Counter(third.ids(state_from(BEGAN + HOUR, BEGAN + 2 * HOUR, second.next_state))) == Counter(changed)
    assert fourth.ids(state_from(BEGAN + 2 * HOUR, BEGAN + 3 * HOUR, third.next_state)) == []


@pytest.mark.parametrize("stream", ["pages", "blocks_markdown"])
def test_a_second_run_finds_nothing_and_a_third_what_changed(workspace, pipeline, inputs, stream) -> None:
    run = pipeline(stream, sync_mode="incremental", **inputs)
    run.run()
    first = Counter(run.ids())
    run.an_hour_passes()
    run.run()
    assert Counter(run.ids()) == first
    run.an_hour_passes()
    changed = changed_by_edits(workspace, inputs, stream, datetime.now(UTC) - HOUR / 2)
    run.run()
    assert Counter(run.ids()) - first == Counter(changed)
    run.run()
    assert Counter(run.ids()) - first == Counter(changed)


def test_users_come_whole_with_a_warning(workspace, pipeline) -> None:
    ids = [workspace.add_user("a"), workspace.add_user("b")]
    run = pipeline("users", sync_mode="incremental")
    run.run()
    assert "cannot be filtered by time" in run.run()
    assert Counter(run.ids()) == Counter([*ids, *ids])


@pytest.mark.lesson("F-43")
def test_edits_of_pages_obey_databases_and_filters(workspace, reader, inputs, state_from) -> None:
    """Increments used to be the edits of the whole workspace."""
    other = workspace.add_page(database=workspace.add_database("Other"))
    done = {"id": "d", "type": "checkbox", "checkbox": True}
    first, second, *_ = rows = list(workspace.pages)[1:5]
    for row in rows:
        workspace.edit(row, BEGAN, Done={**done, "checkbox": False})
    for each in (first, other):
        workspace.edit(each, BEGAN, Done=done)
    workspace.edit(second, BEGAN - HOUR, Done=done)
    (database,) = inputs["database_ids"]
    own = {database: {"property": "Done", "checkbox": {"equals": True}}}
    window = state_from(BEGAN, BEGAN + HOUR)
    assert reader("pages", database_ids=[database], database_filters=own).ids(window) == [first]
    blocks = reader("blocks_markdown", database_ids=[database], database_filters=own).ids(window)
    assert blocks == workspace.children[first]


@pytest.mark.parametrize("stream", ["pages", "all_pages"])
def test_the_window_is_half_open(workspace, reader, inputs, state_from, stream) -> None:
    before, first, last, after = list(workspace.pages)[1:5]
    workspace.edit(before, BEGAN - 3 * MINUTE)
    workspace.edit(first, BEGAN)
    workspace.edit(last, BEGAN + HOUR - MINUTE)
    workspace.edit(after, BEGAN + HOUR)
    keys = {"database_ids": inputs["database_ids"]}
    assert set(reader(stream, **keys).ids(state_from(BEGAN, BEGAN + HOUR))) == {first, last}


@pytest.mark.lesson("F-06")
def test_successive_windows_meet_and_repeat_nothing(workspace, reader, inputs, state_from) -> None:
    """An edit in the minute of a run used to count as older than the run."""
    page = list(workspace.pages)[1]
    found, state = [], {}
    for number in range(6):
        workspace.edit(page, BEGAN + number * MINUTE)
        pages = reader("pages", **inputs, sync_mode="incremental")
        end = BEGAN + (number + 1) * MINUTE
        found += [record.data["last_edited_time"] for record in pages.read(state_from(end - MINUTE, end, state))]
        state = pages.next_state
    assert found == [f"2025-05-01T10:{number:02}:00.000Z" for number in range(6)]


def test_a_lookback_repeats_nothing_that_was_delivered(workspace, reader, inputs, state_from) -> None:
    early, late = list(workspace.pages)[1:3]
    workspace.edit(early, BEGAN + 50 * MINUTE)
    first = reader("pages", **inputs, sync_mode="incremental", incremental_lookback=1800)
    assert first.ids(state_from(BEGAN, BEGAN + HOUR)) == [early]
    workspace.edit(late, BEGAN + 55 * MINUTE)  # became visible too late
    second = reader("pages", **inputs, sync_mode="incremental", incremental_lookback=1800)
    assert second.ids(state_from(BEGAN + HOUR / 2, BEGAN + 2 * HOUR, first.next_state)) == [late]
    third = reader("pages", **inputs, sync_mode="incremental", incremental_lookback=1800)
    assert third.ids(state_from(BEGAN + 1.5 * HOUR, BEGAN + 3 * HOUR, second.next_state)) == []
    assert third.next_state["delivered"] == {}


def test_a_window_ends_two_minutes_ago(state_from) -> None:
    now = datetime(2026, 1, 1, 12, 0, 59, tzinfo=UTC)
    edits = EditWindow.of_run(state_from(now - HOUR, now.replace(second=0)), now)
    assert edits.end == datetime(2026, 1, 1, 11, 58, tzinfo=UTC)
    assert edits.begin == datetime(2026, 1, 1, 10, 58, tzinfo=UTC)


def test_a_window_of_the_past_is_taken_as_it_is(state_from) -> None:
    now, state = BEGAN + 10 * HOUR, {"until": (BEGAN + 5 * HOUR).isoformat(), "delivered": {}}
    edits = EditWindow.of_run(state_from(BEGAN, BEGAN + HOUR, state), now)
    assert (edits.begin, edits.end) == (BEGAN.replace(second=0), (BEGAN + HOUR).replace(second=0))


def test_a_window_may_end_in_the_future(state_from) -> None:
    assert EditWindow.of_run(state_from(BEGAN, BEGAN + HOUR), BEGAN).end == (BEGAN + HOUR).replace(second=0)


def test_all_pages_of_a_run_have_one_window(workspace, reader, inputs, state_from) -> None:
    for page in list(workspace.pages):
        workspace.edit(page, BEGAN)
    blocks = reader("blocks", **inputs, page_size=1)
    assert len(blocks.ids(state_from(BEGAN, BEGAN + HOUR), renew=True)) == len(workspace.blocks)
    assert len({str(each["window"]) for each in blocks.paginations}) == 1


@pytest.mark.parametrize("seconds", [0, 1, 29, 30, 31, 59, 59.999999])
def test_an_edit_of_the_minute_in_progress_is_not_remembered(seconds) -> None:
    """Another edit of that minute would look the same, and be lost."""
    now = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(seconds=seconds)
    delivered = Delivered(0, clock=lambda: now)
    settled, fresh = stamp(now - 3 * MINUTE), stamp(now - 2 * MINUTE)
    assert delivered.is_new({"id": "a", "last_edited_time": settled})
    assert delivered.is_new({"id": "b", "last_edited_time": fresh})
    assert delivered.next_state["delivered"] == {"a": settled}


def test_a_minute_that_settles_during_a_run_is_remembered() -> None:
    moments = iter([datetime(2026, 1, 1, 12, 0, 59, tzinfo=UTC), datetime(2026, 1, 1, 12, 1, tzinfo=UTC)])
    delivered = Delivered(0, clock=lambda: next(moments))
    assert delivered.is_new({"id": "a", "last_edited_time": "2026-01-01T11:58:00.000Z"})
    assert delivered.next_state["delivered"] == {"a": "2026-01-01T11:58:00.000Z"}


def test_an_interrupted_increment_resumes_in_its_window(workspace, reader, inputs, state_from) -> None:
    for page in list(workspace.pages):
        workspace.edit(page, BEGAN)
    state, keys = state_from(BEGAN, BEGAN + HOUR), {**inputs, "page_size": 2}
    assert reader("pages", **keys).ids(state, renew=True) == reader("pages", **keys).ids(state)
