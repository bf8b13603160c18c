"""Properties of which a page object holds only a part."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bizon.connectors.sources.notion.src.client import Json, NotionClient


def with_all_relations(client: "NotionClient", page: "Json") -> "Json":
    """The page with every id of its relations: a page object holds the first 25 of each, and ``has_more``."""
    properties = page.get("properties") or {}
    long = {name: each for name, each in properties.items() if each.get("type") == "relation" and each.get("has_more")}
    if not long:
        return page
    whole = {name: {**each, **_all_of(client, page["id"], each["id"])} for name, each in long.items()}
    return {**page, "properties": {**properties, **whole}}


def _all_of(client: "NotionClient", page_id: str, property_id: str) -> "Json":
    found: list[Any] = []
    cursor: str | None = None
    while True:
        listed = client.property_items(page_id, property_id, cursor)
        found += [each["relation"] for each in listed.results]
        cursor = listed.cursor
        if cursor is None:
            return {"relation": found, "has_more": False}
