"""Every style of paging that the dialect has, and an API that pages in all of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

from standins.rest.server import Asked, Json, Reply, RestStandIn, changed_within

SIZE = 2
PLACES = ("params", "json", "header", "path")
COUNTED = ("page", "offset")
LIMITS = {"cursor_field": "updated_at", "since": {"param": "since"}, "until": {"param": "until"}}


class Style(NamedTuple):
    """``type`` and ``where`` of the key ``pages``; ``where`` of links is the header with the URL."""

    type: str
    where: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, self))

    @property
    def is_post(self) -> bool:
        return self.where == "json" or self.type == "graphql"

    @property
    def names_pages(self) -> bool:
        """Whether an answer says what the next page is."""
        return self.type in ("cursor", "graphql", "next_url", "link_header")

    def endpoint(self, **pages: Any) -> Json:
        """The keys of an endpoint; ``pages``: more keys of its paging."""
        keys: Json = {"type": self.type, **pages}
        if self.type in ("cursor", "page", "offset", "keyset"):
            keys |= {"param": "token", "where": self.where}
        if self.type in ("cursor", "next_url"):
            keys["next"] = "next"
        if self.type == "graphql":
            keys |= {"type": "cursor", "where": "json", "param": "variables.token", "next": "next", "more": "more"}
        if self.type == "link_header":
            keys["header"] = self.where
        found: Json = {
            "path": "/items/{page}" if self.where == "path" else "/items",
            "method": "POST" if self.is_post else "GET",
            "timestamp": "updated_at",
            "incremental": LIMITS,
            "pages": keys,
        }
        return found | ({"json": {"query": "query ($token: String) { items }"}} if self.type == "graphql" else {})


STYLES = [
    *(Style("none"), Style("next_url"), Style("link_header", "Link"), Style("link_header", "Next-Page")),
    *(Style("graphql"), *(Style(type_, where) for type_ in ("cursor", "page", "offset", "keyset") for where in PLACES)),
]


class Api:
    """The records of an API in one style. ``turn``: where a page really begins that should begin at a place;
    ``named``: the place that an answer names as the next one."""

    def __init__(self, server: RestStandIn, style: Style, records: list[Json]) -> None:
        self._server = server
        self._style = style
        self.records = records
        self.size = SIZE if style.type != "none" else len(records)
        self.turn: Callable[[int], int] = lambda start: start
        self.named: Callable[[int], int] = lambda end: end
        self.cap: int | None = None
        self.cut_to: int | None = None
        server.routes["/items"] = server.routes["/items/*"] = self.answer

    def answer(self, asked: Asked) -> Reply | Json:
        found = changed_within(self.records, asked)
        given = found[: self.cut_to if self.cap is None else self.cap]
        begin = self.turn(self._start(asked, given))
        end = begin + self.size
        goes_on = end < len(given)
        following = self.named(end) if goes_on else None
        page: Json = {"items": given[begin:end], "total": len(found), "more": goes_on}
        page["next"] = None if following is None else str(following)
        if not self._style.type.startswith(("next_url", "link_header")):
            return page
        ends = "".join(f"&{name}={asked.params[name]}" for name in ("since", "until") if name in asked.params)
        url = f"{self._server.url}/items?token={following}{ends}"
        page["next"] = None if following is None else url
        link = url if self._style.where == "Next-Page" else f'<{url}>; rel="next"'
        headed = self._style.type == "link_header" and goes_on
        return Reply(page, headers={self._style.where: link} if headed else {})

    def _start(self, asked: Asked, given: list[Json]) -> int:
        token = self._token(asked)
        if self._style.type == "page":
            return (int(token or 1) - 1) * self.size
        if self._style.type == "keyset" and token is not None:
            return [each["id"] for each in given].index(int(token)) + 1
        return int(token or 0)

    def _token(self, asked: Asked) -> Any:
        if self._style.type == "graphql":
            return asked.params.get("variables", {}).get("token")
        if self._style.where == "header":
            return asked.headers.get("token")
        if self._style.where == "path":
            return asked.path.removeprefix("/items").strip("/") or None
        return asked.params.get("token")
