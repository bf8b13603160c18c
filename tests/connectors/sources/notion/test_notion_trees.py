"""Walks through the blocks of pages."""

import json
import sqlite3
from collections import Counter
from threading import Event

import pytest

BIGGEST_PLACE = 20_000  # bytes


def test_blocks_carry_their_lineage(workspace, reader) -> None:
    tasks = workspace.add_database("Tasks")
    first, second = (workspace.add_page(name, database=tasks) for name in ("a", "b"))
    top, other = workspace.add_block(first, "toggle", "top"), workspace.add_block(first, "paragraph", "other")
    inner = workspace.add_block(top, "paragraph", "inner")
    last = workspace.add_block(second, "paragraph", "last")
    data = {record.id: record.data for record in reader("blocks", database_ids=[tasks]).read()}
    common = {"parent_input_database_id": tasks, "parent_input_page_id": None}
    expected = {
        top: {"parent_block_id": first, "source_page_id": first, "depth": 0, "block_order": 0, "page_order": 0},
        other: {"parent_block_id": first, "source_page_id": first, "depth": 0, "block_order": 1, "page_order": 0},
        inner: {"parent_block_id": top, "source_page_id": first, "depth": 1, "block_order": 0, "page_order": 0},
        last: {"parent_block_id": second, "source_page_id": second, "depth": 0, "block_order": 0, "page_order": 1},
    }
    assert {key: {name: data[key][name] for name in (*lineage, *common)} for key, lineage in expected.items()} == {
        key: {**lineage, **common} for key, lineage in expected.items()
    }
    assert data[top]["toggle"]["rich_text"][0]["plain_text"] == "top"


def test_blocks_of_a_named_page_name_it(workspace, reader) -> None:
    page = workspace.add_page("home")
    workspace.add_block(page, "paragraph", "x")
    (record,) = reader("blocks", page_ids=[page]).read()
    assert (record.data["parent_input_page_id"], record.data["parent_input_database_id"]) == (page, None)


def test_siblings_are_numbered_across_requests(workspace, reader) -> None:
    page = workspace.add_page()
    ids = workspace.add_tree(page, "paragraph", [7])
    records = reader("blocks", page_ids=[page], page_size=2).read()
    assert [(record.id, record.data["block_order"]) for record in records] == list(zip(ids, range(7), strict=True))


def test_parents_come_before_children(workspace, reader) -> None:
    page = workspace.add_page()
    workspace.add_tree(page, "toggle", [3, 3, 2])
    known = {page}
    for record in reader("blocks", page_ids=[page], max_workers=2).read():
        assert record.data["parent_block_id"] in known
        known.add(record.id)


@pytest.mark.parametrize("deepest", [1, 2, 5])
def test_the_recursion_ends_at_its_limit_and_says_so(workspace, reader, capsys, deepest) -> None:
    page = workspace.add_page()
    workspace.add_tree(page, "toggle", [2, 1, 1, 1])
    records = reader("blocks", page_ids=[page], max_recursion_depth=deepest).read()
    assert Counter(record.data["depth"] for record in records) == dict.fromkeys(range(min(deepest, 3) + 1), 2)
    assert ("max_recursion_depth" in capsys.readouterr().err) is (deepest < 3)


def test_without_recursion_only_the_top_comes(notion, workspace, reader) -> None:
    page = workspace.add_page()
    workspace.add_tree(page, "toggle", [2, 2])
    workspace.add_page("row", database=workspace.add_database("Inline", inline_on=page))
    records = reader("blocks", page_ids=[page], fetch_blocks_recursively=False).read()
    assert [record.data["depth"] for record in records] == [0, 0, 0]
    assert len(notion.asked_for("GET .*/children")) == 1


def test_a_page_inside_a_page_is_not_its_content(workspace, reader) -> None:
    page, child = workspace.add_page(), workspace.add_page("child")
    block = workspace.add_block(page, "child_page", {"title": "child"})
    workspace.children[block] = workspace.children[child] = []
    workspace.add_block(child, "paragraph", "not of the parent")
    workspace.children[block] = workspace.children[child]
    assert reader("blocks", page_ids=[page]).ids() == [block]


def test_a_copy_of_a_synced_block_does_not_repeat_its_content(workspace, reader) -> None:
    page = workspace.add_page()
    original = workspace.add_block(page, "synced_block", {"synced_from": None})
    inner = workspace.add_block(original, "paragraph", "shared")
    copy = workspace.add_block(page, "synced_block", {"synced_from": {"type": "block_id", "block_id": original}})
    workspace.children[copy] = workspace.children[original]
    assert Counter(reader("blocks", page_ids=[page]).ids()) == Counter([original, copy, inner])


def test_inline_databases_are_followed_at_every_depth(workspace, reader) -> None:
    page = workspace.add_page()
    toggle = workspace.add_block(page, "toggle", "t")
    inline = workspace.add_database("Inline", inline_on=toggle)
    row = workspace.add_page("row", database=inline)
    nested = workspace.add_database("Nested", inline_on=row)
    deep = workspace.add_page("deep", database=nested)
    found = workspace.add_block(deep, "paragraph", "found")
    records = {record.id: record.data for record in reader("blocks", page_ids=[page]).read()}
    assert list(records) == [toggle, inline, nested, found]
    assert records[found]["source_page_id"] == deep
    assert records[found]["parent_input_page_id"] == page
    assert found not in reader("blocks_markdown", page_ids=[page]).ids()


def test_a_database_that_has_a_page_of_its_own_is_not_followed(workspace, reader) -> None:
    page = workspace.add_page()
    other = workspace.add_database("Full page", inline_on=page)
    workspace.databases[other]["is_inline"] = False
    workspace.add_block(workspace.add_page("row", database=other), "paragraph", "x")
    assert reader("blocks", page_ids=[page]).ids() == [other]


def test_an_inline_database_that_is_configured_comes_once(workspace, reader) -> None:
    page = workspace.add_page()
    inline = workspace.add_database("Inline", inline_on=page)
    block = workspace.add_block(workspace.add_page("row", database=inline), "paragraph", "x")
    assert Counter(reader("blocks", page_ids=[page], database_ids=[inline]).ids()) == Counter([inline, block])


@pytest.fixture
def forest(workspace):
    """A database of pages with nested blocks and inline databases."""
    tasks = workspace.add_database("Tasks")
    for number in range(5):
        page = workspace.add_page(f"page {number}", database=tasks)
        workspace.add_tree(page, "toggle", [3, 2, 1])
        inline = workspace.add_database(f"inline {number}", inline_on=page)
        for _ in range(2):
            workspace.add_tree(workspace.add_page(database=inline), "paragraph", [3])
    return {"database_ids": [tasks], "page_size": 2}


def test_a_walk_may_be_resumed_at_every_page(workspace, reader, forest) -> None:
    whole = reader("blocks", **forest).read()
    assert {record.id for record in whole} == set(workspace.blocks)
    again = reader("blocks", **forest).read(renew=True)
    assert [(record.id, record.data) for record in again] == [(record.id, record.data) for record in whole]


def test_a_place_stays_small_however_many_pages_there_are(workspace, reader) -> None:
    tasks = workspace.add_database("Tasks")
    for _ in range(300):
        workspace.add_tree(workspace.add_page(database=tasks), "paragraph", [1])
    walk = reader("blocks", database_ids=[tasks])
    assert len(walk.ids()) == 300
    assert len(walk.paginations) > 90
    assert max(len(json.dumps(each)) for each in walk.paginations) < BIGGEST_PLACE


def test_pages_without_content_do_not_put_off_the_next_checkpoint(notion, workspace, reader) -> None:
    tasks = workspace.add_database("Tasks")
    for _ in range(30):
        workspace.add_page(database=tasks)
    source, pagination = reader("blocks", database_ids=[tasks]).source(), {}
    for _ in range(3):
        before = len(notion.asked_for("GET .*/children"))
        pagination = source.get(pagination).next_pagination
        assert len(notion.asked_for("GET .*/children")) == before + 3
    source.close()


def test_a_killed_run_reads_one_page_again_and_loses_nothing(notion, workspace, pipeline, forest, wait_for) -> None:
    """The kill comes inside a tree. Each request for blocks goes out once, except for the page in flight."""
    run = pipeline("blocks", **forest, max_workers=1)
    reached, released = Event(), Event()

    def stop_at_the_twentieth(asked) -> None:
        if (
            asked.path.endswith("/children")
            and len(notion.asked_for("GET .*/children")) == 20
            and not released.is_set()
        ):
            reached.set()
            released.wait(30)

    notion.before = stop_at_the_twentieth
    child = run.start()
    assert reached.wait(30)
    wait_for(lambda: _is_settled(run))
    child.kill()
    child.communicate()
    released.set()
    run.run()
    assert Counter(run.ids()) == Counter(list(workspace.blocks))
    repeats = [asked for asked, times in Counter(map(str, notion.asked_for("GET .*/children"))).items() if times > 1]
    assert len(repeats) == 1


def _is_settled(run) -> bool:
    """Whether every page before the one in flight is in the state."""

    state = sqlite3.connect(run.folder / "state.sqlite3")
    try:
        return state.execute("SELECT max(to_source_iteration) FROM destination_cursors").fetchone()[0] == 18
    finally:
        state.close()
