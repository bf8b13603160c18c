"""Every source on the page of ``rest`` runs, against an API like the one that the page describes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from standins.rest.server import Reply, RestStandIn, by_cursor, by_key, by_link, by_offset, by_page, by_url, items

from bizon.connectors.sources.rest.src.template import NAMES
from bizon.engine.records import records

PAGE = Path(__file__).parents[2] / "docs/sources/rest.md"
TICKETS = [{"id": number, "changed": f"2024-0{1 + number // 3}-01T00:00:00Z"} for number in range(20)]
ORDERS = [
    {"shop": "s", "number": n, "status": s, "updated_at": "2024-05-01T00:00:00Z"}
    for n, s in enumerate(("paid", "draft", "deleted"))
]
EXPECTED = {
    "projects": 5,
    "orders": 2,
    "events": 7,
    "users": 7,
    "commits": 7,
    "tags": 7,
    "issues": 10,
    "tickets": 20,
    "tasks": 7,
    "jobs": 7,
    "prices": 2,
    "plans": 3,
    "pokemon_details": 3,
}


def blocks() -> list[dict]:
    texts = PAGE.read_text(encoding="utf-8").split("```yaml\n")[1:]
    return [yaml.safe_load(text.split("```")[0])["source"] for text in texts]


def cases() -> list[tuple[str, dict]]:
    return [
        (stream, {**block, "stream": stream})
        for block in blocks()
        for stream in (block["endpoints"] if "endpoints" in block else [block["stream"]])
        if stream in EXPECTED
    ]


@pytest.fixture
def api() -> Iterator[RestStandIn]:
    with RestStandIn().running() as server:
        describe(server)
        yield server


def describe(api: RestStandIn) -> None:
    """The API of the page."""
    projects = [{"id": number, "name": f"p{number}"} for number in range(5)]
    pokemon = [{"name": name} for name in ("bulbasaur", "ivysaur", "venusaur")]
    busy = [Reply({}, 202), Reply({"error": {"code": "busy"}})]

    def cursor(asked):
        page = by_cursor(projects, asked)
        return {"items": page["data"]["items"], "meta": {"next_cursor": page["meta"]["next"]}}

    def issues(asked):
        if asked.path == "/v2/projects/3/issues":
            return Reply({"message": "gone"}, 404)
        count = {"0": 3, "1": 0, "2": 5, "4": 2}[asked.path.split("/")[3]]
        page = by_page([{"number": number} for number in range(count)], asked)
        return {"issues": page["items"], "more": int(asked.params["page"]) * 2 < count}

    def tickets(asked):
        low, high = asked.params.get("changed_from", "0"), asked.params.get("changed_to", "9")
        found = [each for each in TICKETS if low <= each["changed"] < high]
        page = by_page(found[:5], asked)
        return {"tickets": page["items"], "total": len(found)}

    def search(asked):
        (since,) = [each["value"] for each in asked.params["filters"]]
        assert since == 1_704_067_200
        page = by_cursor(TICKETS, asked._replace(params={"cursor": asked.params.get("page", {}).get("after")}), 6)
        return {"tickets": page["data"]["items"], "page": {"next": page["meta"]["next"]}}

    def graphql(asked):
        after = asked.params.get("variables", {}).get("after")
        page = by_cursor(items(), asked._replace(params={"cursor": after}))
        info = {"endCursor": page["meta"]["next"], "hasNextPage": page["meta"]["next"] is not None}
        return {"data": {"tasks": {"nodes": page["data"]["items"], "pageInfo": info}}}

    def users(asked):
        page = by_url(items(), asked, api.url)
        return {"users": page["items"], "links": {"next": page["next"]}}

    def tags(asked):
        page = by_page(items(), asked._replace(params={"page": asked.path.rpartition("/")[2]}))
        return {"tags": page["items"], "count": page["total"]}

    api.routes |= {
        "/v2/projects": cursor,
        "/v2/projects/*": issues,
        "/v2/orders": lambda asked: {"data": {"orders": by_offset(ORDERS, asked)["items"]}},
        "/v2/events": lambda asked: by_key(items(), asked),
        "/v2/users": users,
        "/v2/commits": lambda asked: by_link(items(), asked, api.url),
        "/v2/tags/*": tags,
        "/v2/tickets": tickets,
        "/v2/search": search,
        "/graphql": graphql,
        "/v2/jobs": lambda asked: busy.pop() if busy else {"jobs": by_page(items(), asked)["items"]},
        "/v2/prices": lambda asked: Reply(b"sku,price\na,1\nb,2\n", headers={"Content-Type": "text/plain"}),
        "/v2/plans": lambda asked: {"plans": items(3)} if asked.params["key"] == "secret-token" else Reply({}, 401),
        "/pokeapi/pokemon": lambda asked: {"count": 3, "next": None, "results": pokemon},
        "/pokeapi/pokemon/*": lambda asked: {"id": len(asked.path), "name": asked.path.rpartition("/")[2]},
    }


@pytest.mark.parametrize(("stream", "block"), cases())
def test_a_source_of_the_page_runs(api: RestStandIn, stream: str, block: dict) -> None:
    source = json.loads(json.dumps(block, default=str).replace("https://api.example.com", api.url))
    found = list(records({"source": {**source, "sync_mode": "full_refresh"}}))
    assert len(found) == EXPECTED[stream]
    assert len({each.id for each in found}) == len(found)


def test_every_stream_of_the_page_is_run() -> None:
    assert {stream for stream, _ in cases()} == EXPECTED.keys()
    assert len(cases()) == 15


def test_the_page_has_each_name_that_may_stand_in_braces() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## Names in braces")[2].partition("\n## ")[0]
    first = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`\{([\w.]+)\}`", " ".join(first))) == sorted(NAMES)
