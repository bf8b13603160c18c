"""Every pipeline of the cookbook runs as it stands on the page, against a server that behaves as its text says."""

import hmac
import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from standins.rest.server import Asked, Reply, RestStandIn, by_cursor, by_key, by_link, by_offset, by_page, by_url

from bizon import RunnerFactory

PAGE = (Path(__file__).parents[2] / "docs/sources/cookbook.md").read_text(encoding="utf-8")
HOST = "https://api.example.com"
TOKEN = "the-token-of-the-cookbook"
BEARER = f"Bearer {TOKEN}"
ORDERS = [
    {"id": number, "status": "deleted" if number == 3 else "paid", "updated_at": f"2024-05-0{number}T10:00:00Z"}
    for number in range(1, 8)
]
EXCHANGED = {"access_token": "exchanged", "expires_in": 3600}
LINES = "".join(f"{json.dumps(order)}\n" for order in ORDERS).encode()
CSV = b"number,total\n" + b"".join(b"%d,1.50\n" % order["id"] for order in ORDERS)
XML = b"<orders>%s</orders>" % b"".join(b'<order number="%d"><total>1</total></order>' % o["id"] for o in ORDERS)


class Recipe(NamedTuple):
    """The answers of the server, the requests it admits, and how many a run takes; 0 = that depends on the day, or on
    threads."""

    routes: dict[str, Callable[[Asked, RestStandIn], Any]]
    admits: Callable[[Asked], bool]
    requests: int


def header(name: str, value: str) -> Callable[[Asked], bool]:
    return lambda asked: asked.headers.get(name) == value


def bearer(route: Callable[[Asked, RestStandIn], Any], requests: int, path: str = "/orders") -> Recipe:
    return Recipe({path: route}, header("authorization", BEARER), requests)


def listed(asked: Asked, _: object, size: int = 2) -> dict[str, Any]:
    cursor = asked.params.get("cursor") or asked.headers.get("x-cursor")
    page = by_cursor(ORDERS, asked._replace(params={"cursor": cursor}), size)
    return {"data": page["data"]["items"], "meta": page["meta"]}


def numbered(asked: Asked, _: object) -> dict[str, Any]:
    return by_page(ORDERS, asked)


def linked(asked: Asked, api: RestStandIn) -> dict[str, Any]:
    page = by_url(ORDERS, asked, api.url)
    return {"orders": page["items"], "links": {"next": page["next"]}}


def in_path(asked: Asked, _: object) -> dict[str, Any]:
    return by_page(ORDERS, asked._replace(params={"page": asked.path.rpartition("/")[2]}))


def graph(asked: Asked, _: object) -> dict[str, Any]:
    after = asked.params.get("variables", {}).get("after")
    page = by_cursor(ORDERS, asked._replace(params={"cursor": after}))
    info = {"endCursor": page["meta"]["next"], "hasNextPage": page["meta"]["next"] is not None}
    return {"data": {"orders": {"nodes": page["data"]["items"], "pageInfo": info}}}


def searched(asked: Asked, _: object) -> dict[str, Any]:
    assert asked.params["query"] == {"type": "order"}
    place = asked.params["page"]
    return {
        "hits": by_offset(ORDERS, asked._replace(params={"offset": place.get("from"), "limit": place["size"]}))["items"]
    }


def of_a_shop(asked: Asked, _: object) -> Any:
    shop = asked.path.split("/")[2]
    return Reply({"message": "gone"}, 404) if shop == "2" else by_page(ORDERS[:1], asked)


def capped(asked: Asked, _: object) -> dict[str, Any]:
    found = [each for each in ORDERS if asked.params["since"] <= each["updated_at"] < asked.params.get("until", "9")]
    return {"items": by_page(found[:4], asked)["items"], "total": len(found)}


def busy_first(asked: Asked, api: RestStandIn) -> dict[str, Any]:
    return {"error": {"code": "busy"}} if len(api.served) == 1 else by_page(ORDERS, asked)


def bare(body: bytes, kind: str) -> Callable[[Asked, RestStandIn], Reply]:
    return lambda asked, api: Reply(body, headers={"Content-Type": kind})


def exchanged(asked: Asked) -> bool:
    return asked.path == "/token" or asked.headers.get("authorization") == "Bearer exchanged"


def credentials(asked: Asked, _: object) -> Any:
    given = asked.params
    expected = ("client_credentials", "client_secret") if "refresh_token" not in given else ("refresh_token",) * 2
    return EXCHANGED if (given["grant_type"], given[expected[1]]) == (expected[0], TOKEN) else Reply({}, 401)


def signed(asked: Asked) -> bool:
    text = f"GET /orders?page={asked.params['page']}".encode()
    return asked.headers["x-signature"] == f"shop:{hmac.new(TOKEN.encode(), text, 'sha256').hexdigest()}"


RECIPES = {
    "A cursor in the answer, a bearer token": bearer(listed, 4),
    "A URL in the answer, a key in a header": Recipe({"/orders": linked}, header("x-api-key", TOKEN), 4),
    "A Link header, a name and a password": Recipe(
        {"/orders": lambda asked, api: by_link(ORDERS, asked, api.url)},
        header("authorization", "Basic " + b64encode(f"shop:{TOKEN}".encode()).decode()),
        4,
    ),
    "Page numbers, a key in the query string": Recipe(
        {"/orders": numbered}, lambda asked: (asked.params["key"], asked.params["size"]) == (TOKEN, "2"), 5
    ),
    "An offset, a key in a cookie": Recipe(
        {"/orders": lambda asked, api: by_offset(ORDERS, asked)}, header("cookie", f"session={TOKEN}"), 5
    ),
    "After the last record, a token in the path": Recipe(
        {f"/bot{TOKEN}/orders": lambda asked, api: by_key(ORDERS, asked)}, lambda asked: True, 4
    ),
    "One list without pages, several cookies": Recipe(
        {"/orders": lambda asked, api: {"data": {"orders": ORDERS}}},
        header("cookie", f"session={TOKEN}; region=eu"),
        1,
    ),
    "The page number in the path, OAuth client credentials": Recipe(
        {"/token": credentials, "/orders/*": in_path}, exchanged, 6
    ),
    "A cursor in a header, an OAuth refresh token": Recipe({"/token": credentials, "/orders": listed}, exchanged, 5),
    "Signed requests": Recipe({"/orders": numbered}, signed, 5),
    "GraphQL": bearer(graph, 4, "/graphql"),
    "A search by POST": bearer(searched, 5, "/search"),
    "Children of parents": Recipe(
        {"/shops": lambda asked, api: listed(asked, api, 3), "/shops/*": of_a_shop}, header("authorization", BEARER), 16
    ),
    "Windows below a cap": bearer(capped, 0),
    "Busy inside of a 200, and limits": bearer(busy_first, 0),
    "NDJSON": bearer(bare(LINES, "text/plain"), 1, "/export"),
    "CSV": bearer(bare(CSV, "text/plain"), 1, "/export"),
    "XML": bearer(bare(XML, "application/xml"), 1, "/export"),
    "Tombstones": bearer(numbered, 5),
}
COUNTS = {"Children of parents": 6}
"""The records that arrive, where they are not seven."""


class Section(NamedTuple):
    """A recipe of the page."""

    title: str
    pipeline: str
    code: str | None

    @classmethod
    def all(cls) -> "Iterator[Section]":
        for text in PAGE.split("\n## ")[1:]:
            (pipeline,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
            code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
            yield cls(text.partition("\n")[0], pipeline, code[1] if code else None)


@pytest.fixture
def api() -> Iterator[RestStandIn]:
    with RestStandIn().running() as server:
        yield server


@pytest.mark.parametrize("section", [*Section.all()], ids=lambda section: section.title)
def test_a_recipe_runs(section: Section, api: RestStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = RECIPES[section.title]
    api.admits = recipe.admits
    api.routes |= {path: partial(_answered, route, api) for path, route in recipe.routes.items()}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BIZON_ENV_API_TOKEN", TOKEN)
    Path("config.yml").write_text(section.pipeline.replace(HOST, api.url))
    if section.code:
        Path("signer.py").write_text(section.code)
    RunnerFactory.create_from_yaml("config.yml").run(raise_on_failure=True)
    rows = [json.loads(line) for line in Path("orders.json").read_text().splitlines()]
    assert len({row["source_record_id"] for row in rows}) == len(rows) == COUNTS.get(section.title, len(ORDERS))
    pages = [asked for asked in api.served if asked.method != "HEAD"]
    assert recipe.requests in (0, len(pages)), [asked.key for asked in pages]
    if section.title == "Tombstones":
        assert [json.loads(row["source_data"]).get("_deleted") for row in rows].count(True) == 1


def test_every_recipe_is_served_and_every_server_has_its_recipe() -> None:
    assert [section.title for section in Section.all()] == [*RECIPES]


def test_every_style_of_paging_and_every_type_of_authentication_has_a_recipe() -> None:
    sources = [yaml.safe_load(section.pipeline)["source"] for section in Section.all()]
    pages = {each.get("pages", {}).get("type", "none") for source in sources for each in source["endpoints"].values()}
    assert pages == {"none", "cursor", "next_url", "link_header", "page", "offset", "keyset"}
    kinds = {source["authentication"]["type"] for source in sources if "authentication" in source}
    assert kinds == {"bearer", "api_key", "basic", "cookies", "oauth"}


def _answered(route: Callable[[Asked, RestStandIn], Any], api: RestStandIn, asked: Asked) -> Any:
    return route(asked, api)
