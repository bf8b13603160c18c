"""A stand-in for Notion's API: an HTTP server over a ``Workspace``, which behaves as the documentation says.

It checks token and version, cuts queries off at ``cap`` results, cuts timestamps to the minute, and refuses on request.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from standins.notion.content import Workspace
from standins.notion.queries import RefusedError, matches, ordered, page_of

Json = dict[str, Any]
RELATIONS_SHOWN = 25


class Asked(NamedTuple):
    """A request that arrived."""

    method: str
    path: str
    body: Json


class Refusal(NamedTuple):
    """A refusal, whatever the request asks."""

    status: int
    code: str
    message: str
    headers: dict[str, str]


class NotionStandIn:
    """The server. Settings may change while it runs.

    ``cap``: results after which queries and searches end. ``late_sign``: only the last page of such a list says so.
    ``bare_rows``: queries return rows without properties. ``only_ids``: the connection may not read content.
    ``truncated``: pages that are too long for Markdown. ``before``: called with each request, on its thread; it may
    block. ``asked``: every request that arrived.
    """

    def __init__(self, workspace: Workspace, token: str = "secret_token", versions: tuple[str, ...] = ()) -> None:
        self.workspace = workspace
        self.token = token
        self.versions = versions or ("2025-09-03", "2026-03-11")
        self.cap = 10_000
        self.late_sign = False
        self.bare_rows = False
        self.only_ids = False
        self.truncated: set[str] = set()
        self.before: Callable[[Asked], None] = lambda _asked: None
        self.asked: list[Asked] = []
        self.url = ""
        self._refusals: list[Refusal] = []
        self._lock = Lock()

    @contextmanager
    def running(self, port: int = 0) -> Iterator["NotionStandIn"]:
        """Serve on 127.0.0.1; ``url`` is then the base URL. Port 0 = a free one."""
        handler = type("Handler", (_Handler,), {"stand_in": self})
        with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
            self.url = f"http://127.0.0.1:{server.server_port}/v1"
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()

    def fail_next(
        self,
        times: int = 1,
        status: int = 429,
        *,
        code: str = "rate_limited",
        message: str = "try again later",
        retry_after: int | None = 0,
    ) -> None:
        """Refuse the next requests. ``retry_after`` in seconds; None leaves the header out."""
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        with self._lock:
            self._refusals += [Refusal(status, code, message, headers)] * times

    def asked_for(self, pattern: str) -> list[Asked]:
        """The requests whose method and path fit, for example ``GET .*/children``."""
        return [each for each in list(self.asked) if re.fullmatch(pattern, f"{each.method} {each.path}")]

    def answer(self, asked: Asked, headers: Any) -> Json:
        """The answer to a request. Raises RefusedError."""
        with self._lock:
            self.asked.append(asked)
        self.before(asked)
        if headers.get("Authorization") != f"Bearer {self.token}":
            raise RefusedError(401, "unauthorized", "API token is invalid.")
        if headers.get("Notion-Version") not in self.versions:
            raise RefusedError(400, "missing_version", "Notion-Version header failed validation.")
        for pattern, method in _ROUTES:
            found = re.fullmatch(pattern, f"{asked.method} {asked.path}")
            if found:
                return method(self, asked.body, *found.groups())
        raise RefusedError(400, "invalid_request_url", "Invalid request URL")

    @property
    def refusals_left(self) -> int:
        return len(self._refusals)

    def next_refusal(self) -> Refusal | None:
        with self._lock:
            return self._refusals.pop(0) if self._refusals else None

    def _found(self, kind: dict[str, Json], object_id: str) -> Json:
        if object_id not in kind or not self.workspace.is_visible(object_id):
            raise RefusedError(404, "object_not_found", f"Could not find object with ID: {object_id}.")
        return kind[object_id]

    def _me(self, _body: Json) -> Json:
        return {"object": "user", "id": "bot", "type": "bot", "name": "bizon"}

    def _users(self, place: Json) -> Json:
        return page_of(list(self.workspace.users.values()), place)

    def _database(self, _body: Json, object_id: str) -> Json:
        return self._found(self.workspace.databases, object_id)

    def _data_source(self, _body: Json, object_id: str) -> Json:
        return self._found(self.workspace.data_sources, object_id)

    def _page(self, _body: Json, object_id: str) -> Json:
        page = self._found(self.workspace.pages, object_id)
        return {"object": "page", "id": object_id} if self.only_ids else self._shown(page)

    def _shown(self, page: Json) -> Json:
        """A page object, which holds the first ids of a relation only."""
        properties = {
            name: {**each, "relation": each["relation"][:RELATIONS_SHOWN], "has_more": True}
            if each["type"] == "relation" and len(each["relation"]) > RELATIONS_SHOWN
            else each
            for name, each in page["properties"].items()
        }
        return {**page, "properties": properties}

    def _property(self, place: Json, page_id: str, property_id: str) -> Json:
        page = self._found(self.workspace.pages, page_id)
        (found,) = (each for each in page["properties"].values() if each["id"] == property_id)
        items = [{"id": each["id"], "type": "relation", "relation": each} for each in found["relation"]]
        return page_of(items, place)

    def _markdown(self, _body: Json, page_id: str) -> Json:
        page = self._found(self.workspace.pages, page_id)
        title = page["properties"]["Name"]["title"][0]["plain_text"]
        return {"object": "page_markdown", "markdown": f"# {title}", "truncated": page_id in self.truncated}

    def _children(self, place: Json, parent: str) -> Json:
        if not self.workspace.is_visible(parent):
            raise RefusedError(404, "object_not_found", f"Could not find block with ID: {parent}.")
        return page_of(self.workspace.blocks_below(parent), place)

    def _query(self, body: Json, source: str) -> Json:
        self._found(self.workspace.data_sources, source)
        rows = [row for row in self.workspace.rows_of(source) if row["id"] not in self.workspace.unshared]
        rows = [row for row in rows if matches(row, body.get("filter"))]
        rows = ordered(rows, body.get("sorts", ()))
        answer = page_of(rows, body, cap=self.cap, late_sign=self.late_sign)
        if self.bare_rows:
            kept = ("object", "id", "created_time", "last_edited_time")
            return {**answer, "results": [{key: row[key] for key in kept} for row in answer["results"]]}
        return {**answer, "results": [self._shown(row) for row in answer["results"]]}

    def _search(self, body: Json) -> Json:
        found = list(self.workspace.visible(body["filter"]["value"]))
        found = ordered(found, [body["sort"]])
        return page_of(found, body, cap=self.cap, late_sign=self.late_sign)


_ID = "([0-9a-f-]{36})"
_ROUTES: tuple[tuple[str, Callable[..., Json]], ...] = (
    ("GET users/me", NotionStandIn._me),
    ("GET users", NotionStandIn._users),
    (f"GET databases/{_ID}", NotionStandIn._database),
    (f"GET data_sources/{_ID}", NotionStandIn._data_source),
    (f"GET pages/{_ID}", NotionStandIn._page),
    (f"GET pages/{_ID}/properties/(.+)", NotionStandIn._property),
    (f"GET pages/{_ID}/markdown", NotionStandIn._markdown),
    (f"GET blocks/{_ID}/children", NotionStandIn._children),
    (f"POST data_sources/{_ID}/query", NotionStandIn._query),
    ("POST search", NotionStandIn._search),
)


class _Handler(BaseHTTPRequestHandler):
    stand_in: NotionStandIn
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self._respond(Asked("GET", parts.path.removeprefix("/v1/"), dict(parse_qsl(parts.query))))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._respond(Asked("POST", self.path.removeprefix("/v1/"), body))

    def _respond(self, asked: Asked) -> None:
        refusal = self.stand_in.next_refusal()
        if refusal is not None:
            error = {"object": "error", "status": refusal.status, "code": refusal.code}
            self._send(refusal.status, {**error, "message": refusal.message}, refusal.headers)
            return
        try:
            self._send(200, self.stand_in.answer(asked, self.headers))
        except RefusedError as error:
            answer = {"object": "error", "status": error.status, "code": error.code, "message": str(error)}
            self._send(error.status, answer)

    def _send(self, status: int, answer: Json, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(answer).encode()
        try:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # the client was killed

    def log_message(self, *_arguments: Any) -> None:
        """Tests read ``asked``."""
