"""Children of parents: the place of a page is (parent, window, page)."""

import pytest
from connectors.sources.rest.conftest import block, ids, pages_of, records_of, window
from standins.rest.server import Reply, by_cursor, by_page, changed_within

from bizon.common.errors.errors import ConfigError, SourceFetchError

PROJECTS = {
    "path": "/projects",
    "records": "data.items",
    "pages": {"type": "cursor", "param": "cursor", "next": "meta.next"},
}
ISSUES = {
    "path": "/projects/{parent.id}/issues",
    "records": "items",
    "id": ["project", "number"],
    "parent": {"stream": "projects", "include": {"project": "id", "owner": "owner.login"}},
    "pages": {"type": "page", "param": "page", "more": "more"},
}


def serve(api, projects=5, counts=(3, 0, 2, 5, 1)):
    parents = [{"id": f"p/{number}", "owner": {"login": f"o{number}"}} for number in range(projects)]
    api.routes["/projects"] = lambda asked: by_cursor(parents, asked)

    def issues(asked):
        number = int(asked.path.split("/")[2].removeprefix("p%2F"))
        found = [{"number": each} for each in range(counts[number % len(counts)])]
        page = by_page(found, asked)
        return {**page, "more": int(asked.params["page"]) * 2 < len(found)}

    api.routes["/projects/*"] = issues


def source(api, **keys):
    return block(api, {}, stream="issues", endpoints={"projects": PROJECTS, "issues": {**ISSUES, **keys}})


EXPECTED = [f"p/{project}:{number}" for project, count in enumerate((3, 0, 2, 5, 1)) for number in range(count)]


def test_every_child_of_every_parent_comes_once_also_from_later_pages_of_parents(api):
    serve(api)
    found = records_of(source(api))
    assert [each.id for each in found] == EXPECTED
    assert found[3].data == {"number": 0, "project": "p/2", "owner": "o2"}


def test_no_page_is_asked_for_twice_although_every_page_is_read_by_a_new_process(api):
    """Semantics 1: the place of a page holds the parents that wait."""
    serve(api)
    assert [each.id for page in pages_of(source(api)) for each in page.records] == EXPECTED
    assert set(api.counts().values()) == {1}


def test_parents_are_read_page_by_page(api):
    serve(api)
    pages_of(source(api))
    order = [asked.path == "/projects" for asked in api.served]
    assert [number for number, is_parent in enumerate(order) if is_parent] == [0, 4, 9]


def test_children_of_children(api):
    serve(api, projects=2, counts=(2, 3))
    api.routes["/comments"] = lambda asked: {"items": [{"n": 1, "of": asked.params["issue"]}]}
    comments = {
        "path": "/comments",
        "params": {"issue": "{parent.project}-{parent.number}"},
        "records": "items",
        "id": "of",
        "parent": {"stream": "issues", "include": {"owner": "owner"}},
    }
    endpoints = {"projects": PROJECTS, "issues": ISSUES, "comments": comments}
    found = records_of(block(api, {}, stream="comments", endpoints=endpoints))
    assert [each.id for each in found] == ["p/0-0", "p/0-1", "p/1-0", "p/1-1", "p/1-2"]
    assert [each.data["owner"] for each in found] == ["o0", "o0", "o1", "o1", "o1"]
    assert set(api.counts().values()) == {1}


def test_no_parents_no_children(api):
    serve(api, projects=0)
    assert ids(source(api)) == []


def test_a_page_of_many_parents_keeps_a_part_of_them_and_reads_the_page_again(api):
    parents = [{"id": number, "owner": None} for number in range(120)]
    api.routes["/projects"] = lambda asked: {"data": {"items": parents}, "meta": {}}
    api.routes["/projects/*"] = lambda asked: {"items": [{"number": 1}], "more": False}
    pages = pages_of(source(api))
    assert [each.data["project"] for page in pages for each in page.records] == list(range(120))
    assert max(len(str(page.next_pagination)) for page in pages) < 4000
    assert api.counts()["/projects?"] == 3


def test_a_page_of_many_parents_that_changes_meanwhile_skips_none(api):
    parents = [{"id": number, "owner": None} for number in range(120)]
    api.routes["/projects"] = lambda asked: {"data": {"items": parents}, "meta": {}}

    def issues(asked):
        if asked.path == "/projects/10/issues":
            parents.insert(0, {"id": 999, "owner": None})
        if asked.path == "/projects/70/issues":
            parents[:] = [each for each in parents if each["id"] != 99]
        return {"items": [{"number": 1}], "more": False}

    api.routes["/projects/*"] = issues
    found = [each.data["project"] for each in records_of(source(api))]
    assert found == list(range(120))


def test_a_parent_without_the_value_that_a_path_needs_is_an_error(api):
    serve(api)
    with pytest.raises(SourceFetchError, match=r"\{parent.slug\} has no value in record 'p/0' of 'projects'"):
        ids(source(api, path="/projects/{parent.slug}/issues"))


def test_a_field_of_the_parent_replaces_none_of_the_child(api):
    serve(api)
    include = {"project": "id", "number": "id"}
    with pytest.raises(SourceFetchError, match=r"has a field 'number' of its own"):
        ids(source(api, parent={"stream": "projects", "include": include}))


def test_parents_that_their_endpoint_leaves_out_are_none(api):
    serve(api)
    endpoints = {
        "projects": {**PROJECTS, "where": "id != 'p/0'", "deleted": "id == 'p/2'"},
        "issues": ISSUES,
    }
    assert ids(block(api, {}, stream="issues", endpoints=endpoints)) == [
        each for each in EXPECTED if each[:3] not in ("p/0", "p/2")
    ]


def test_a_parent_that_is_gone_is_skipped_by_a_rule_and_counted(api, log_text):
    serve(api)
    api.before = lambda asked: Reply({"message": "gone"}, 404) if asked.path == "/projects/p%2F3/issues" else None
    rules = [{"status": 404, "then": "skip"}]
    assert ids(source(api, errors=rules), restarts=False) == [each for each in EXPECTED if each[:3] != "p/3"]
    assert "endpoint 'issues': 1 lists were skipped by a rule of `errors`" in log_text()


def test_each_parent_is_read_in_all_windows(api):
    serve(api, projects=3)
    days = [{"number": day, "updated_at": f"2024-05-{day:02}T00:00:00Z"} for day in (1, 3, 8)]
    api.routes["/projects/*"] = lambda asked: {**by_page(changed_within(days, asked), asked), "more": False}
    limits = {
        "cursor_field": "updated_at",
        "since": {"param": "since"},
        "until": {"param": "until"},
        "window": "4d",
    }
    found = ids(source(api, incremental=limits), window("2024-05-01", "2024-05-09"))
    assert found == [f"p/{project}:{day}" for project in range(3) for day in (1, 3, 8)]
    assert set(api.counts().values()) == {1}


def test_a_circle_of_parents_is_a_mistake(api):
    endpoints = {"a": {"path": "/a", "parent": {"stream": "b"}}, "b": {"path": "/b", "parent": {"stream": "a"}}}
    with pytest.raises(ConfigError, match=r"endpoints in a circle: a > b > a"):
        ids(block(api, {}, stream="a", endpoints=endpoints))
