"""A stand-in for APIs of many styles: one set of records, and an address for each style of paging.

Every request is noted in ``served``, so that a test can say which page was asked for how often. ``refused``: the paths
that a stand-in has throttled.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

TOKEN = "s3cret-token-of-the-rest"
Json = dict[str, Any]


class Asked(NamedTuple):
    """A request: its path without query, its parameters (of the query, and of a body of JSON or of a form), its
    headers, and its body as it was sent."""

    path: str
    params: Json
    headers: dict[str, str]
    method: str = "GET"
    body: bytes = b""

    @property
    def key(self) -> str:
        """Identifies the page."""
        return f"{self.path}?{urlencode(sorted((k, v) for k, v in self.params.items() if isinstance(v, str | int)))}"


class Reply(NamedTuple):
    """An answer. ``body``: JSON, or bytes."""

    body: Any
    status: int = 200
    headers: dict[str, str] = {}


Route = Callable[[Asked], Reply | Any]


class RestStandIn(ThreadingHTTPServer):
    """Serves ``routes``: the path, or a prefix that ends with ``*``, and what answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.routes: dict[str, Route] = {}
        self.served: list[Asked] = []
        self.refused: list[str] = []
        self.before: Callable[[Asked], Reply | None] = lambda asked: None
        self.admits: Callable[[Asked], bool] = lambda asked: True
        self._lock = threading.Lock()

    @contextmanager
    def running(self) -> Iterator[Self]:
        with self:
            thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                self.shutdown()
                thread.join()

    def counts(self) -> Counter[str]:
        """How often each page was served."""
        return Counter(asked.key for asked in self.served)

    def answer(self, asked: Asked) -> Reply:
        with self._lock:
            self.served.append(asked)
        refusal = self.before(asked)
        if refusal is not None:
            return refusal
        if not self.admits(asked):
            return Reply({"message": "no such token"}, 401)
        route = self.routes.get(asked.path) or next(
            (each for path, each in self.routes.items() if path[-1] == "*" and asked.path.startswith(path[:-1])), None
        )
        if route is None:
            return Reply({"message": "nothing here"}, 404)
        found = route(asked)
        return found if isinstance(found, Reply) else Reply(found)


class _Handler(BaseHTTPRequestHandler):
    server: RestStandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({}, b"")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_form = self.headers.get_content_type() == "application/x-www-form-urlencoded"
        self._answer(dict(parse_qsl(body.decode())) if is_form else json.loads(body) if body else {}, body)

    def _answer(self, params: Json, body: bytes) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.answer(Asked(url.path, {**query, **params}, headers, self.command, body))
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response_only(reply.status)
        usual = {"Date": self.date_time_string(), "Content-Type": "application/json", "Content-Length": len(content)}
        for name, value in {**usual, **reply.headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        return None


def items(count: int = 7, first: int = 1) -> list[Json]:
    """Records, of which some changed at the same moment."""
    return [
        {"id": number, "name": f"item {number}", "updated_at": f"2024-05-{(number + 1) // 2:02}T10:00:00Z"}
        for number in range(first, first + count)
    ]


def changed_within(records: list[Json], asked: Asked, since: str = "since", until: str = "until") -> list[Json]:
    """The records of a window; an API that includes its start."""
    moment = datetime.fromisoformat
    low = moment(asked.params.get(since) or "0001-01-01T00:00:00+00:00").astimezone(UTC)
    high = moment(asked.params.get(until) or "9999-01-01T00:00:00+00:00").astimezone(UTC)
    return [each for each in records if low <= moment(each["updated_at"]) < high]


def by_cursor(records: list[Json], asked: Asked, size: int = 2) -> Json:
    start = int(asked.params.get("cursor") or 0)
    end = start + size
    page: Json = {"data": {"items": records[start:end]}, "meta": {"total": len(records)}}
    page["meta"]["next"] = str(end) if end < len(records) else None
    return page


def by_page(records: list[Json], asked: Asked, size: int = 2) -> Json:
    start = (int(asked.params.get("page", 1)) - 1) * size
    return {"items": records[start : start + size], "total": len(records)}


def by_offset(records: list[Json], asked: Asked, most: int = 100) -> Json:
    start = int(asked.params.get("offset") or 0)
    size = min(int(asked.params.get("limit") or 2), most)
    return {"items": records[start : start + size], "total": len(records)}


def by_key(records: list[Json], asked: Asked, size: int = 2) -> Json:
    after = int(asked.params.get("starting_after") or 0)
    later = [each for each in records if each["id"] > after]
    return {"data": later[:size], "has_more": len(later) > size}


def by_url(records: list[Json], asked: Asked, url: str, size: int = 2) -> Json:
    start = int(asked.params.get("from") or 0)
    end = start + size
    query = urlencode({**asked.params, "from": end})
    return {"items": records[start:end], "next": f"{url}{asked.path}?{query}" if end < len(records) else None}


def by_link(records: list[Json], asked: Asked, url: str, size: int = 2) -> Reply:
    page = by_url(records, asked, url, size)
    links = [f'<{url}{asked.path}?from=0>; rel="first"']
    if page["next"]:
        links.append(f'<{page["next"]}>; rel="next"')
    return Reply(page["items"], headers={"Link": ", ".join(links)})
