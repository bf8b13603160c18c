"""The ``tracker`` source, against a small stand-in of its API.

``python test_tracker.py`` serves the stand-in, to try the commands on it.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bizon.common.errors.errors import SourceConnectionError, SourceFetchError
from bizon.engine.records import records
from bizon.source.discover import load_custom_source
from bizon.testing.source import SourceConformance

FILE = Path(__file__).with_name("tracker_source.py")
TrackerSource = load_custom_source(FILE)
TOKEN = "secret-token"
LARGEST_PAGE = 2
LARGEST_PAGE_OF_COMMENTS = 50


class StandIn(ThreadingHTTPServer):
    """The API: a list of five issues, for one token. The third has 120 comments."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.answers: list[dict[str, Any]] = []  # what the next queries are answered with
        self.issues = [self.issue(number) for number in range(1, 6)]
        self.comments = {issue["id"]: [] for issue in self.issues}
        self.comments["issue-3"] = [{"id": f"comment-{n}", "body": "Yes."} for n in range(120)]
        self.comments["issue-4"] = [{"id": "comment-121", "body": "No."}]

    def issue(self, number: int) -> dict[str, Any]:
        """An issue, as the API gives it without its comments."""
        return {"id": f"issue-{number}", "updatedAt": f"2024-05-0{number}T10:00:00.000Z"}

    def change(self, issue: dict[str, Any]) -> None:
        """Change an issue now."""
        issue["updatedAt"] = datetime.now(UTC).isoformat()

    def answer_to(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a query."""
        asked = body["variables"]
        if self.answers:
            return self.answers.pop(0)
        if "page: issues(" in body["query"]:
            return {"data": {"page": self.page(asked)}}
        if "issue(id: $id)" in body["query"]:
            return {"data": {"issue": {"comments": self.page_of_comments(asked["id"], asked["comment"])}}}
        return {"errors": [{"message": "unknown list"}]}

    def page(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The issues that a query asks for."""
        window = (asked.get("filter") or {}).get("updatedAt") or {}
        since, before = window.get("gte", "0001-01-01T00:00Z"), window.get("lt", "9999-01-01T00:00Z")
        since, before = datetime.fromisoformat(since), datetime.fromisoformat(before)
        issues = [i for i in self.issues if since <= datetime.fromisoformat(i["updatedAt"]) < before]
        connection = part(issues, asked.get("after"), min(int(asked["first"]), LARGEST_PAGE))
        connection["nodes"] = [{**i, "comments": self.page_of_comments(i["id"])} for i in connection["nodes"]]
        return connection

    def page_of_comments(self, issue: str, after: str | None = None) -> dict[str, Any]:
        """A page of the comments of an issue."""
        return part(self.comments[issue], after, LARGEST_PAGE_OF_COMMENTS)


def part(nodes: list[dict[str, Any]], after: str | None, size: int) -> dict[str, Any]:
    """A relay connection with a part of the nodes."""
    first = int(after or 0)
    end = min(first + size, len(nodes))
    info = {"hasNextPage": end < len(nodes), "endCursor": str(end) if nodes else None}
    return {"nodes": nodes[first:end], "pageInfo": info}


class Handler(BaseHTTPRequestHandler):
    """Answers for the stand-in."""

    server: StandIn

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            error = {"message": "unknown token", "extensions": {"code": "AUTHENTICATION_ERROR"}}
            self.answer(200, {"data": None, "errors": [error]})
        else:
            self.answer(200, self.server.answer_to(body))

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
class TestTracker(SourceConformance):
    """The behaviours of every source."""

    source_class = TrackerSource
    examples = (Path(__file__).with_name("tracker.example.yml"),)

    @pytest.fixture
    def config(self, api: StandIn) -> dict[str, Any]:
        self.api = api
        return block(api)

    def change(self, config: Mapping[str, Any]) -> list[str]:
        self.api.change(self.api.issues[2])
        return ["issue-3"]


def block(api: StandIn) -> dict[str, Any]:
    """The ``source`` block of a pipeline that reads the stand-in."""
    return {
        "name": "tracker",
        "stream": "issues",
        "base_url": api.url,
        "cursor_field": "updatedAt",
        "authentication": {"type": "bearer", "params": {"token": TOKEN}},
    }


def test_every_record_comes_once_with_all_its_comments(api: StandIn) -> None:
    found = records({"source": block(api)}, source=TrackerSource)
    assert [record.data for record in found] == [{**i, "comments": api.comments[i["id"]]} for i in api.issues]


def test_an_error_inside_an_answer_of_200_is_an_error(api: StandIn) -> None:
    api.answers = [{"data": None, "errors": [{"message": "try again later"}]}]
    with pytest.raises(SourceConnectionError, match="try again later"):
        list(records({"source": block(api)}, source=TrackerSource))


def test_an_error_next_to_a_part_of_the_data_is_an_error(api: StandIn) -> None:
    page = api.page({"first": 1})
    good = {"data": {"page": page}}
    api.answers = [good, {**good, "errors": [{"message": "a field is missing"}]}]
    with pytest.raises(SourceFetchError, match="a field is missing"):
        list(records({"source": block(api)}, source=TrackerSource))


def test_a_rate_limit_inside_a_200_answer_delays_the_next_request(api: StandIn) -> None:
    reset = (datetime.now(UTC) + timedelta(milliseconds=40)).isoformat()
    extensions = {"code": "RATE_LIMITED", "resetAt": reset}
    limit = {"data": None, "errors": [{"message": "slow down", "extensions": extensions}]}
    part_of_data = {"data": {"page": api.page({"first": 1})}, "errors": limit["errors"]}
    api.answers = [limit, part_of_data]
    quick = {"retries": {"backoff_factor": 0.01}}
    found = records({"source": {**block(api), "http": quick}}, source=TrackerSource)
    assert [record.id for record in found] == [issue["id"] for issue in api.issues]


if __name__ == "__main__":
    with StandIn() as server, suppress(KeyboardInterrupt):
        print(f"export TRACKER_URL={server.url}")
        print(f"export BIZON_ENV_TRACKER_TOKEN={TOKEN}", flush=True)
        server.serve_forever()
