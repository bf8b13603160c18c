"""The ``papers`` source, against a small stand-in of its API.

``python test_papers.py`` serves the stand-in, to try the commands on it.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bizon.common.errors.errors import SourceConnectionError
from bizon.engine.records import records
from bizon.source.discover import load_custom_source
from bizon.testing.source import SourceConformance

FILE = Path(__file__).with_name("papers_source.py")
PapersSource = load_custom_source(FILE)
KEY = "secret-key"
LARGEST_PAGE = 2


class StandIn(ThreadingHTTPServer):
    """The API: a search in five papers and no authors, for one key."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.broken_answer: dict[str, Any] | None = None
        self.refusals = 0
        self.papers = [self.paper(number) for number in range(1, 6)]

    def paper(self, number: int) -> dict[str, Any]:
        """A paper, as the API gives it."""
        return {"id": f"p{number}", "title": f"Paper {number}", "updated_at": f"2024-05-0{number}T10:00:00+00:00"}

    def change(self, paper: dict[str, Any]) -> None:
        """Change a paper now."""
        paper["updated_at"] = datetime.now(UTC).isoformat()

    def found(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The papers that a question asks for."""
        if self.refusals:
            self.refusals -= 1
            return {"error": {"code": "rate_limited", "message": "slow down", "retry_after_ms": 20}}
        window = asked["query"].get("updated_at", {})
        since, before = window.get("gte", ""), window.get("lt", "9999")
        papers = self.papers if asked["query"]["type"] == "papers" else []
        papers = [paper for paper in papers if since <= paper["updated_at"] < before]
        size = min(asked["page"]["size"], LARGEST_PAGE)
        left = [paper for paper in papers if paper["id"] > asked["page"].get("after", "")]
        after = left[size - 1]["id"] if len(left) > size else None
        return {"results": left[:size], "total": len(papers), "page": {"after": after}}


class Handler(BaseHTTPRequestHandler):
    """Answers for the stand-in."""

    server: StandIn

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["X-Api-Key"] != KEY:
            self.answer(401, {"error": {"code": "unauthorized", "message": "unknown key"}})
        elif self.path != "/search":
            self.answer(404, {"error": {"code": "not_found", "message": "unknown path"}})
        else:
            self.answer(200, self.server.broken_answer or self.server.found(asked))

    def answer(self, status: int, value: dict[str, Any]) -> None:
        """Send a JSON answer."""
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing."""


@pytest.fixture
def api() -> Iterator[StandIn]:
    with StandIn() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.matrix(share=6, pool="sources")
class TestPapers(SourceConformance):
    """The behaviours of every source."""

    source_class = PapersSource
    examples = (Path(__file__).with_name("papers.example.yml"),)

    @pytest.fixture
    def config(self, api: StandIn) -> dict[str, Any]:
        self.api = api
        return block(api)

    def change(self, config: Mapping[str, Any]) -> list[str]:
        self.api.change(self.api.papers[2])
        return ["p3"]

    def empty_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {**config, "stream": "authors"}


def block(api: StandIn) -> dict[str, Any]:
    """The ``source`` block of a pipeline that reads the stand-in."""
    return {
        "name": "papers",
        "stream": "papers",
        "base_url": api.url,
        "cursor_field": "updated_at",
        "authentication": {"type": "api_key", "params": {"token": KEY}},
    }


def test_every_record_comes_once(api: StandIn) -> None:
    found = records({"source": block(api)}, source=PapersSource)
    assert [record.data for record in found] == api.papers


def test_an_answer_that_is_not_a_page_is_an_error(api: StandIn) -> None:
    api.broken_answer = {"error": {"code": "internal", "message": "the index is down"}}
    with pytest.raises(SourceConnectionError, match="the index is down"):
        list(records({"source": block(api)}, source=PapersSource))


def test_a_rate_limit_in_the_body_delays_the_next_request(api: StandIn) -> None:
    api.refusals = 2
    found = records({"source": block(api)}, source=PapersSource)
    assert [record.data for record in found] == api.papers


if __name__ == "__main__":
    with StandIn() as server, suppress(KeyboardInterrupt):
        print(f"export PAPERS_URL={server.url}")
        print(f"export BIZON_ENV_PAPERS_KEY={KEY}", flush=True)
        server.serve_forever()
