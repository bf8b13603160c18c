"""Each style of paging, against an API that pages so."""

import pytest
from connectors.sources.rest.conftest import block, ids, opened, pages_of
from standins.rest.server import (
    Reply,
    RestStandIn,
    by_cursor,
    by_key,
    by_link,
    by_offset,
    by_page,
    by_url,
    items,
)

from bizon.common.errors.errors import SourceFetchError

QUERY = "query ($after: String) { items(after: $after) {nodes{id}}}"
ALL = [str(number) for number in range(1, 8)]
CURSOR = {"records": "data.items", "pages": {"type": "cursor", "param": "cursor", "next": "meta.next"}}
PAGE = {"pages": {"type": "page", "param": "page"}}
OFFSET = {"pages": {"type": "offset", "param": "offset", "size_param": "limit", "size": 2}}
KEYSET = {"records": "data", "pages": {"type": "keyset", "param": "starting_after", "more": "has_more"}}
NEXT_URL = {"pages": {"type": "next_url", "next": "next"}}
LINK = {"records": "@", "pages": {"type": "link_header"}}


def serve(api: RestStandIn, style) -> None:
    api.routes["/items"] = lambda asked: style(items(), asked)


@pytest.mark.parametrize(
    ("style", "endpoint", "requests"),
    [
        (by_cursor, CURSOR, 4),
        (by_page, PAGE, 5),
        (by_page, {"pages": {"type": "page", "param": "page", "more": "length(items) == `2`"}}, 4),
        (by_offset, OFFSET, 5),
        (by_key, KEYSET, 4),
        (by_key, {"records": "data", "pages": {"type": "keyset", "param": "starting_after"}}, 5),
    ],
)
def test_every_record_comes_once(api, style, endpoint, requests):
    serve(api, style)
    assert ids(block(api, endpoint)) == ALL
    assert len(api.served) == requests


@pytest.mark.parametrize(("style", "endpoint"), [(by_url, NEXT_URL), (by_link, LINK)])
def test_links_are_followed_with_the_parameters_that_they_have(api, style, endpoint):
    api.routes["/items"] = lambda asked: style(items(), asked, api.url)
    assert ids(block(api, {**endpoint, "params": {"q": "a b"}})) == ALL
    assert [asked.params for asked in api.served] == [
        {"q": "a b"},
        *({"q": "a b", "from": str(start)} for start in (2, 4, 6)),
    ]


def test_a_relative_link_is_below_the_address_of_its_page(api):
    api.routes["/v1/items"] = lambda asked: (
        {**by_url(items(), asked, ""), "next": None} | ({"next": "items?from=2"} if "from" not in asked.params else {})
    )
    assert ids(block(api, {**NEXT_URL, "path": "/v1/items"})) == ALL[:4]


def test_a_link_to_another_host_does_not_get_the_credentials(api):
    api.routes["/items"] = lambda asked: {"items": items(2), "next": "https://evil.example/items?key=stolen"}
    with pytest.raises(SourceFetchError, match=r"leads to another host, evil.example"):
        ids(block(api, NEXT_URL))


def test_without_paging_the_answer_is_the_whole_list(api):
    api.routes["/items"] = lambda asked: items()
    assert ids(block(api, {"records": "@"})) == ALL
    assert len(api.served) == 1


def test_an_answer_without_content_is_an_empty_list(api):
    api.routes["/items"] = lambda asked: Reply(b"", 204)
    assert ids(block(api, PAGE)) == []


@pytest.mark.parametrize("where", ["params", "json", "header", "path"])
def test_the_page_goes_where_the_api_wants_it(api, where):
    keys = {"type": "cursor", "param": "cursor", "next": "meta.next", "where": where}
    endpoint = {"records": "data.items", "pages": keys, "method": "POST" if where == "json" else "GET"}
    if where == "json":
        keys["param"] = "page.after"
        api.routes["/items"] = lambda asked: by_cursor(
            items(), asked._replace(params={"cursor": asked.params.get("page", {}).get("after")})
        )
    elif where == "header":
        api.routes["/items"] = lambda asked: by_cursor(
            items(), asked._replace(params={"cursor": asked.headers.get("cursor")})
        )
    elif where == "path":
        keys |= {"type": "page", "param": "page", "more": "meta.next"}
        del keys["next"]
        endpoint["path"] = "/items/{page}"
        api.routes["/items/*"] = lambda asked: by_cursor(
            items(), asked._replace(params={"cursor": 2 * (int(asked.path.rpartition("/")[2]) - 1)})
        )
    else:
        serve(api, by_cursor)
    assert ids(block(api, endpoint)) == ALL


def test_graphql_pages_by_a_variable(api):
    def answer(asked):
        page = by_cursor(items(), asked._replace(params={"cursor": asked.params["variables"].get("after")}))
        info = {"endCursor": page["meta"]["next"] or "the end", "hasNextPage": page["meta"]["next"] is not None}
        return {"data": {"items": {"nodes": page["data"]["items"], "pageInfo": info}}}

    api.routes["/graphql"] = answer
    endpoint = {
        "path": "/graphql",
        "method": "POST",
        "json": {"query": QUERY, "variables": {"n": 2}},
        "records": "data.items.nodes",
        "pages": {
            "type": "cursor",
            "where": "json",
            "param": "variables.after",
            "next": "data.items.pageInfo.endCursor",
            "more": "data.items.pageInfo.hasNextPage",
        },
    }
    assert ids(block(api, endpoint)) == ALL
    assert {asked.params["query"] for asked in api.served} == {QUERY}
    assert [asked.params["variables"] for asked in api.served[:2]] == [{"n": 2}, {"n": 2, "after": "2"}]


def test_errors_of_graphql_inside_an_answer_with_data_fail(api):
    api.routes["/graphql"] = lambda asked: {"data": {"items": items(2)}, "errors": [{"message": "the field is gone"}]}
    endpoint = {"path": "/graphql", "method": "POST", "json": {"query": "x"}, "records": "data.items"}
    with pytest.raises(SourceFetchError, match=r"the field is gone"):
        ids(block(api, endpoint))


def test_a_short_page_does_not_end_a_list(api):
    """Semantics 4: APIs filter after they page."""
    pages = {1: items(2), 2: items(1, 3), 3: items(2, 4)}
    api.routes["/items"] = lambda asked: {"items": pages.get(int(asked.params["page"]), [])}
    assert ids(block(api, {"pages": {**PAGE["pages"], "size_param": "n", "size": 2}})) == ALL[:5]


def test_an_api_that_gives_smaller_pages_than_asked_for_loses_nothing(api):
    api.routes["/items"] = lambda asked: by_offset(items(), asked, most=3)
    endpoint = {"pages": {"type": "offset", "param": "offset", "size_param": "limit", "size": 100}}
    assert ids(block(api, endpoint)) == ALL
    assert ids(block(api, endpoint, http={"concurrency": 4})) == ALL


def test_a_page_that_names_itself_is_an_error(api):
    """Semantics 2, by token."""
    api.routes["/items"] = lambda asked: {"data": {"items": items(2)}, "meta": {"next": "again"}}
    with pytest.raises(SourceFetchError, match=r"names one that came before"):
        ids(block(api, CURSOR))


def test_tokens_in_a_circle_are_an_error(api):
    number = iter(range(1000))
    api.routes["/items"] = lambda asked: {
        "data": {"items": [{"id": next(number)}]},
        "meta": {"next": {None: "a", "a": "b", "b": "c", "c": "a"}[asked.params.get("cursor")]},
    }
    with pytest.raises(SourceFetchError, match=r"names one that came before"):
        pages_of(block(api, CURSOR))
    assert len(api.served) < 20


@pytest.mark.parametrize("endpoint", [PAGE, OFFSET])
def test_an_api_that_ignores_the_page_is_an_error(api, endpoint):
    """Semantics 2, by digest: a number always grows, and the records stay the same."""
    api.routes["/items"] = lambda asked: {"items": items(2)}
    with pytest.raises(SourceFetchError, match=r"the same records as the page before"):
        pages_of(block(api, endpoint))
    assert len(api.served) == 2


def test_more_pages_without_a_cursor_are_an_error(api):
    api.routes["/items"] = lambda asked: {"items": items(2), "more": True}
    endpoint = {"pages": {"type": "cursor", "param": "cursor", "next": "next", "more": "more"}}
    with pytest.raises(SourceFetchError, match=r"finds no cursor"):
        ids(block(api, endpoint))


def test_pages_of_a_page_style_begin_at_their_start(api):
    api.routes["/items"] = lambda asked: {"items": {"0": items(2), "1": items(1, 3)}.get(asked.params["page"], [])}
    assert ids(block(api, {"pages": {**PAGE["pages"], "start": 0}})) == ALL[:3]


@pytest.mark.parametrize(
    ("records", "answer", "text"),
    [
        ("items", {"message": "come back later"}, "there is no list at 'items'.*come back later"),
        ("items", {"items": None}, "there is no list"),
        ("items", {"items": {"id": 1}}, "there is no list"),
        ("items", {"items": [1, 2]}, "holds more than objects"),
        ("@", {"items": []}, "there is no list at '@'"),
    ],
)
def test_an_answer_without_its_list_is_an_error(api, records, answer, text):
    api.routes["/items"] = lambda asked: answer
    with pytest.raises(SourceFetchError, match=text):
        ids(block(api, {"records": records}))


def test_the_first_page_is_asked_for_once_although_the_connection_was_checked(api):
    serve(api, by_page)
    source = opened(block(api, PAGE))
    assert source.check_connection() == (True, None)
    assert [each.id for each in source.get({}).records] == ["1", "2"]
    assert len(api.served) == 1
    source.close()


def test_empty_pages_that_never_end_are_an_error(api, monkeypatch):
    monkeypatch.setattr("bizon.connectors.sources.rest.src.progress._MOST_EMPTY", 5)
    api.routes["/items"] = lambda asked: {"items": [], "more": True}
    with pytest.raises(
        SourceFetchError, match=r"5 empty pages came in a row, and `pages.more` says that there are more"
    ):
        ids(block(api, {"pages": {**PAGE["pages"], "more": "more"}}), restarts=False)
    assert len(api.served) == 6
