"""A small API for the suite of sources: a token, three records per page, equal timestamps, changes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

TOKEN = "s3cret-token-of-the-items"
SOURCE_FILE = Path(__file__).parent / "source" / "conformance" / "items" / "src" / "source.py"
_PAGE = 3  # records
_DAYS = (1, 2, 2, 2, 3, 3, 4, 5)  # of the changes: pages end between records of one moment


class ItemsApi:
    """Serves ``/v1/items`` and the empty ``/v1/nothing``."""

    def __init__(self, server: HTTPServer) -> None:
        self.items = [
            {"id": f"item-{number}", "n": number, "updated_at": f"2024-05-{day:02}T10:00:00+00:00"}
            for number, day in enumerate(_DAYS)
        ]
        self.requests = 0
        self.extra: dict[str, Any] = {}
        server.expect_request("/v1/items").respond_with_handler(lambda request: self._answer(request, self.items))
        server.expect_request("/v1/nothing").respond_with_handler(lambda request: self._answer(request, []))
        self.url = server.url_for("/v1")

    def change(self, number: int = 4) -> list[str]:
        """Change one item now."""
        self.items[number] |= {"n": -1, "updated_at": datetime.now(UTC).isoformat()}
        return [self.items[number]["id"]]

    def _answer(self, request: Request, items: list[dict[str, Any]]) -> Response:
        self.requests += 1
        if request.headers.get("Authorization") != f"Bearer {TOKEN}" and request.args.get("key") != TOKEN:
            return Response(json.dumps({"message": "no such token"}), 401, content_type="application/json")
        since = datetime.fromisoformat(request.args.get("since", "1970-01-01T00:00:00+00:00"))
        chosen = [item for item in items if datetime.fromisoformat(item["updated_at"]) >= since]
        start = int(request.args.get("cursor", 0))
        page: dict[str, Any] = {"items": chosen[start : start + _PAGE], "total": len(chosen), **self.extra}
        if start + _PAGE < len(chosen):
            page["next"] = str(start + _PAGE)
        return Response(json.dumps(page), content_type="application/json")


def items_block(api: ItemsApi, stream: str = "items", **keys: Any) -> dict[str, Any]:
    """A ``source`` block for it."""
    authentication = {"type": "api_key", "params": {"token": TOKEN}}
    return {
        "name": "items",
        "stream": stream,
        "base_url": api.url,
        "authentication": authentication,
        "cursor_field": "updated_at",
        **keys,
    }
