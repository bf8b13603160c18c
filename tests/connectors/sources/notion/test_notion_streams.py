"""Each stream, whole."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from standins.notion.content import text

from bizon.source.discover import list_sources

EXAMPLE = Path(__file__).parents[4] / "bizon/connectors/sources/notion/config/notion.example.yml"
MARKDOWN_KEYS = ["block_id", "block_type", "markdown", "parent_block_id", "parent_input_database_id"]
MARKDOWN_KEYS += ["parent_input_page_id", "source_page_id", "depth", "block_order", "page_order", "block_raw"]


def test_the_ten_streams_are_listed_without_an_import() -> None:
    (info,) = [info for info in list_sources() if info.name == "notion"]
    assert info.streams == [
        *("databases", "data_sources", "pages", "blocks", "blocks_markdown", "users"),
        *("all_pages", "all_databases", "all_data_sources", "all_blocks_markdown"),
    ]
    assert info.supports_incremental


@pytest.fixture
def seeded(workspace) -> dict[str, Any]:
    """Two databases, one with two data sources, a page of the workspace, and a database that is not configured."""
    tasks, notes, other = (
        workspace.add_database(name, sources=1 + (name == "Notes")) for name in ("Tasks", "Notes", "X")
    )
    rows = [workspace.add_page(f"task {number}", database=tasks) for number in range(7)]
    rows += [workspace.add_page(f"note {number}", database=notes, source=number % 2) for number in range(5)]
    page, hidden = workspace.add_page("home"), workspace.add_page("x", database=other)
    for each in (*rows, page):
        workspace.add_tree(each, "paragraph", [3, 1])
    return {"databases": [tasks, notes], "rows": rows, "page": page, "all": [*rows, page, hidden], "other": other}


def test_users(workspace, reader) -> None:
    ids = [workspace.add_user(f"user {number}") for number in range(5)]
    users = reader("users", page_size=2)
    assert users.ids() == ids
    assert len(users.paginations) == 2


def test_databases_are_the_configured_ones(seeded, reader) -> None:
    assert reader("databases", database_ids=seeded["databases"]).ids() == seeded["databases"]


def test_data_sources_carry_id_and_title_of_their_database(workspace, seeded, reader) -> None:
    records = reader("data_sources", database_ids=seeded["databases"]).read()
    assert [record.id for record in records] == [
        workspace.source_of(seeded["databases"][0]),
        *(workspace.source_of(seeded["databases"][1], number) for number in (0, 1)),
    ]
    assert records[2].data["parent_database_id"] == seeded["databases"][1]
    assert records[2].data["parent_database_title"] == "Notes"
    assert records[2].data["title"] == text("Notes 2")


def test_pages_are_the_rows_of_every_data_source_and_the_named_pages(seeded, reader) -> None:
    named = [seeded["page"], seeded["rows"][2]]
    pages = reader("pages", database_ids=seeded["databases"], page_ids=named, page_size=2)
    assert Counter(pages.ids()) == Counter([*seeded["rows"], seeded["page"]])


def test_a_page_keeps_properties_and_time(workspace, seeded, reader) -> None:
    record = reader("pages", page_ids=[seeded["page"]]).read()[0]
    assert record.data == workspace.pages[seeded["page"]]
    assert record.timestamp.isoformat() == "2024-05-01T10:00:00+00:00"


def test_rows_without_properties_are_fetched_one_by_one(notion, workspace, seeded, reader) -> None:
    notion.bare_rows = True
    records = reader("pages", database_ids=seeded["databases"]).read()
    assert {record.id: record.data for record in records} == {each: workspace.pages[each] for each in seeded["rows"]}


def test_a_long_relation_is_read_to_its_end(workspace, reader) -> None:
    related = [{"id": workspace.new_id()} for _ in range(130)]
    page = workspace.add_page("p", Links={"id": "rel%3A", "type": "relation", "relation": related, "has_more": False})
    (record,) = reader("pages", page_ids=[page]).read()
    assert record.data["properties"]["Links"]["relation"] == related
    assert record.data["properties"]["Links"]["has_more"] is False


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"property": "Done", "checkbox": {"equals": True}}, {1, 3, 5}),
        (
            {"and": [{"property": "Done", "checkbox": {"equals": True}}, {"property": "N", "number": {"equals": 3}}]},
            {3},
        ),
        (
            {"or": [{"and": [{"property": "N", "number": {"equals": 2}}]}, {"property": "N", "number": {"equals": 5}}]},
            {2, 5},
        ),
    ],
)
def test_a_database_filter_is_sent_and_stays_within_two_levels(notion, workspace, reader, own, expected) -> None:
    tasks, notes = workspace.add_database("Tasks"), workspace.add_database("Notes")
    rows = [
        workspace.add_page(
            database=tasks,
            Done={"id": "d", "type": "checkbox", "checkbox": number % 2 == 1},
            N={"id": "n", "type": "number", "number": number},
        )
        for number in range(6)
    ]
    notes_row = workspace.add_page(database=notes)
    notion.cap = 2  # the windows come on top of the filter
    pages = reader("pages", database_ids=[tasks, notes], database_filters={tasks.replace("-", ""): own})
    if len(expected) > 2:
        notion.cap = 3
    assert set(pages.ids()) == {*(rows[number] for number in expected), notes_row}


def test_all_streams_find_what_is_shared(workspace, seeded, reader) -> None:
    assert Counter(reader("all_pages", page_size=3).ids()) == Counter(seeded["all"])
    assert Counter(reader("all_databases", page_size=1).ids()) == Counter([*seeded["databases"], seeded["other"]])
    assert Counter(reader("all_data_sources", page_size=1).ids()) == Counter(list(workspace.data_sources))
    assert set(reader("all_blocks_markdown").ids()) == set(workspace.blocks)


def test_blocks_of_markdown_have_their_documented_keys(workspace, seeded, reader) -> None:
    records = reader("blocks_markdown", database_ids=seeded["databases"]).read()
    assert {record.id for record in records} == set(workspace.blocks) - {
        record.id for record in reader("blocks_markdown", page_ids=[seeded["page"]]).read()
    }
    assert all(list(record.data) == MARKDOWN_KEYS for record in records)
    assert records[0].data["markdown"] == records[0].data["block_raw"]["paragraph"]["rich_text"][0]["plain_text"]


def test_the_markdown_of_notion_comes_on_request_where_there_is_any(notion, workspace, seeded, reader) -> None:
    long = seeded["rows"][0]
    notion.truncated.add(long)
    records = reader("blocks_markdown", database_ids=seeded["databases"], page_markdown=True).read()
    pages = {record.id: record.data["markdown"] for record in records if record.data["block_type"] == "page"}
    assert pages[seeded["rows"][1]] == "# task 1"
    assert set(pages) == set(seeded["rows"]) - {long}
    assert all(list(record.data) == MARKDOWN_KEYS for record in records)


def test_an_empty_database_is_an_empty_stream(workspace, reader) -> None:
    empty = workspace.add_database("Empty")
    for stream in ("pages", "blocks", "blocks_markdown"):
        assert reader(stream, database_ids=[empty]).read() == []


@pytest.mark.parametrize("stream", ["pages", "all_databases"])
def test_a_stream_reaches_the_output(seeded, reader, pipeline, stream) -> None:
    keys = {"database_ids": seeded["databases"], "page_size": 2}
    run = pipeline(stream, **keys)
    run.run()
    assert Counter(run.ids()) == Counter(reader(stream, **keys).ids())


def test_the_example_runs(notion, workspace, tmp_path, run_cli) -> None:
    """With the address and the token of the stand-in."""
    database = workspace.add_database("Tasks")
    done, _ = (
        workspace.add_page(database=database, Status={"id": "s", "type": "status", "status": {"name": name}})
        for name in ("Done", "Open")
    )
    text = EXAMPLE.read_text().replace("<NOTION_TOKEN>", notion.token)
    text = text.replace("1a44be12-0953-4631-b498-9e5817518db8", database)
    (tmp_path / "n.yml").write_text(text.replace("  stream: pages\n", f"  stream: pages\n  base_url: {notion.url}\n"))
    finished = run_cli("run", "n.yml")
    assert finished.returncode == 0, finished.stderr
    rows = (tmp_path / "notion_pages.json").read_text().splitlines()
    assert [json.loads(row)["source_record_id"] for row in rows] == [done]
