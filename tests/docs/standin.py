"""The API of the guides: users with a time of change, in every style of paging and of authentication."""

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

SIZE = 2  # users per page
USERS = [
    {"id": number, "name": f"user {number}", "updated_at": f"2024-05-0{number}T10:00:00+00:00"}
    for number in range(1, 6)
]


class Api:
    """Serves ``/v1/users``. ``paging``: cursor, page, offset, link, header or scroll. ``admits`` decides whether a
    request is authenticated. ``before_page`` is called with each request for a page that is served. ``limits``: answers
    of status 200 that come before the next page, as long as there are some. ``headers``: of each page."""

    def __init__(self, server: HTTPServer, paging: str = "cursor") -> None:
        self.items: list[dict[str, Any]] = [dict(user) for user in USERS]
        self.deleted: list[dict[str, Any]] = []
        self.paging = paging
        self.admits: Callable[[Request], bool] = lambda request: request.headers.get("Authorization") == "Bearer s3cret"
        self.before_page: Callable[[dict[str, str]], None] = lambda place: None
        self.limits: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        self.requests: list[dict[str, str]] = []
        self.url = server.url_for("/v1")
        for path in ("/v1/users", "/v1/users/search", "/v1/graphql"):
            server.expect_request(path).respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        if not self.admits(request):
            return _json({"message": "no such account"}, 401)
        place = request.args.to_dict() or (request.get_json() if request.is_json else {})
        if isinstance(place.get("page"), dict):  # a question of objects
            changed = place["query"].get("updated_at", {})
            place = {**place["page"], "updated_after": changed.get("gte", ""), "updated_before": changed.get("lt", "9")}
        if self.limits:
            return _json(self.limits.pop(0))
        self.requests.append(place)
        if request.path.endswith("/graphql"):
            return _json(self._graph(place["variables"]))
        self.before_page(place)
        return self._page(place)

    def _page(self, place: dict[str, Any]) -> Response:
        items = [item for item in self.items if _is_between(item["updated_at"], place)]
        if "sync_token" in place:
            items = self.items[int(place["sync_token"]) :]
        if place.get("order") == "-updated_at,id":
            items = sorted(items, key=lambda item: str(item["updated_at"]), reverse=True)
        start = self._start(place)
        answer: dict[str, Any] = {"items": items[start : start + SIZE], "total": len(items)}
        headers = dict(self.headers)
        if place.get("updated_after") and self.deleted:
            answer["deleted"] = self.deleted
        if start + SIZE < len(items):
            link = f"{self.url}/users?start={start + SIZE}"
            match self.paging:
                case "cursor":
                    answer["next_cursor"] = str(start + SIZE)
                case "link":
                    answer["next"] = link
                case "header":
                    headers["Link"] = f'<{link}>; rel="next"'
        else:
            answer["next_sync_token"] = str(len(self.items))
        if self.paging == "scroll":
            answer |= {"scroll_id": "s-1", "has_more": start + SIZE < len(items)}
        return _json(answer, headers=headers)

    def _start(self, place: dict[str, Any]) -> int:
        if self.paging == "page":
            return (int(place.get("page", 1)) - 1) * SIZE
        if self.paging == "scroll":  # this server counts the requests
            self._scrolled = self._scrolled + SIZE if "scroll_id" in place else 0
            return self._scrolled
        return int(place.get("cursor") or place.get("offset") or place.get("start") or 0)

    _scrolled = 0

    def _graph(self, variables: dict[str, Any]) -> dict[str, Any]:
        start = int(variables["after"] or 0)
        ending = {"hasNextPage": start + SIZE < len(self.items), "endCursor": str(start + SIZE)}
        return {"data": {"users": {"nodes": self.items[start : start + SIZE], "pageInfo": ending}}}


def signed_by(key_id: str, secret: str) -> Callable[[Request], bool]:
    """Admits requests with the signature that the source guide describes."""

    def admits(request: Request) -> bool:
        query = "&".join(sorted(request.query_string.decode().split("&")))
        digest = hashlib.sha256(request.get_data()).hexdigest()
        text = "\n".join((request.method, request.path, query, request.headers["X-Timestamp"], digest))
        expected = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        return request.headers["X-Key"] == key_id and request.headers["X-Signature"] == expected

    return admits


def _is_between(moment: str, place: dict[str, Any]) -> bool:
    return place.get("updated_after", "") <= moment < place.get("updated_before", "9")


def _json(answer: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(answer), status, headers, content_type="application/json")
