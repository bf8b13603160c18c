"""The ``kinto`` source, against a small stand-in of its API.

``python test_kinto.py`` serves the stand-in, to try the commands on it.
"""

import json
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from bizon.common.errors.errors import SourceConnectionError, SourceFetchError
from bizon.engine.records import records
from bizon.source.discover import load_custom_source
from bizon.testing.source import SourceConformance

FILE = Path(__file__).with_name("kinto_source.py")
KintoSource = load_custom_source(FILE)
USER, PASSWORD = "bizon", "secret-password"
RECORDS = "/buckets/blocklists/collections/addons/records"
LARGEST_PAGE = 2


class StandIn(ThreadingHTTPServer):
    """The API: a collection of five add-ons and an empty one, for one account."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.broken_answer: dict[str, Any] | None = None
        self.backoff: str | None = None
        self.asked: list[dict[str, str]] = []
        self.addons = [self.addon(number) for number in range(1, 6)]
        self.tombstones: list[dict[str, Any]] = []
        self.timestamp = 1714550400005

    def addon(self, number: int) -> dict[str, Any]:
        """An add-on, as the API gives it."""
        return {"id": f"addon-{number}", "last_modified": 1714550400000 + number, "name": f"Add-on {number}"}

    def tick(self) -> int:
        """The time of a change: milliseconds, always later than the change before."""
        self.timestamp = max(time.time_ns() // 1_000_000, self.timestamp + 1)
        return self.timestamp

    def change(self, addon: dict[str, Any]) -> None:
        """Change an add-on."""
        addon["last_modified"] = self.tick()

    def delete(self, addon: dict[str, Any]) -> None:
        """Delete an add-on."""
        self.addons.remove(addon)
        self.tombstones.append({"id": addon["id"], "last_modified": self.tick(), "deleted": True})

    def page(self, asked: dict[str, str]) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """The records that a request asks for, and the headers of the answer."""
        self.asked.append(asked)
        records = self.addons
        if "_since" in asked:
            since = int(asked["_since"].strip('"'))
            records = [record for record in self.addons + self.tombstones if record["last_modified"] > since]
        assert asked["_sort"] == "id"
        records = sorted(records, key=lambda record: record["id"])
        headers = {"ETag": f'"{self.timestamp}"', "Last-Modified": formatdate(self.timestamp / 1000, usegmt=True)}
        left = [record for record in records if record["id"] > asked.get("_token", "")]
        size = min(int(asked["_limit"]), LARGEST_PAGE)
        if len(left) > size:
            query = urlencode({**asked, "_token": left[size - 1]["id"]})
            headers["Next-Page"] = f"{self.url}{RECORDS}?{query}"
        if self.backoff is not None:
            headers["Backoff"] = self.backoff
        return left[:size], headers


class Handler(BaseHTTPRequestHandler):
    """Answers for the stand-in."""

    server: StandIn

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        account = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers["Authorization"] != f"Basic {account}":
            self.answer(401, {"code": 401, "errno": 104, "error": "Unauthorized", "message": "Please authenticate"})
        elif url.path != f"/v1{RECORDS}":
            self.answer(404, {"code": 404, "errno": 111, "error": "Not Found", "message": "unknown collection"})
        elif self.command == "HEAD":
            backoff = {} if self.server.backoff is None else {"Backoff": self.server.backoff}
            self.answer(200, {}, {"Total-Objects": str(len(self.server.addons)), **backoff})
        else:
            records, headers = self.server.page(dict(parse_qsl(url.query)))
            self.answer(200, self.server.broken_answer or {"data": records}, headers)

    do_HEAD = do_GET

    def answer(self, status: int, value: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        """Send a JSON answer."""
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
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
class TestKinto(SourceConformance):
    """The behaviours of every source."""

    source_class = KintoSource
    examples = (Path(__file__).with_name("kinto.example.yml"),)
    not_applicable: ClassVar = {"equal_timestamps_at_the_edge_of_a_window_are_not_lost": "next_state"}

    @pytest.fixture
    def config(self, api: StandIn) -> dict[str, Any]:
        self.api = api
        return block(api)

    def change(self, config: Mapping[str, Any]) -> list[str]:
        self.api.change(self.api.addons[2])
        self.api.delete(self.api.addons[3])
        return ["addon-3", "addon-4"]


def block(api: StandIn) -> dict[str, Any]:
    """The ``source`` block of a pipeline that reads the stand-in."""
    return {
        "name": "kinto",
        "stream": "addons",
        "base_url": api.url,
        "authentication": {"type": "basic", "params": {"username": USER, "password": PASSWORD}},
    }


def test_every_record_comes_once(api: StandIn) -> None:
    found = records({"source": block(api)}, source=KintoSource)
    assert [record.data for record in found] == api.addons


def test_an_answer_that_is_not_a_page_is_an_error(api: StandIn) -> None:
    api.broken_answer = {"message": "try again later"}
    with pytest.raises(SourceConnectionError, match="try again later"):
        list(records({"source": block(api)}, source=KintoSource))


def test_a_pause_that_an_answer_asks_for_comes_before_the_next_request(
    api: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    module = sys.modules[KintoSource.__module__]
    monkeypatch.setattr(module, "rest", pauses.append)
    monkeypatch.setattr(module, "monotonic", lambda: 0.0)
    api.backoff = "0.02"
    assert len(list(records({"source": block(api)}, source=KintoSource))) == 5
    assert pauses == [0, 0.02, 0.02, 0.02]  # of check_connection and of three pages
    pauses.clear()
    source = KintoSource(KintoSource.get_config_class().model_validate(block(api)))
    assert source.get_total_records_count() == 5
    assert source.get().records
    assert pauses == [0, 0.02]


def test_a_next_page_at_another_address_is_an_error(api: StandIn) -> None:
    api.url = "http://127.0.0.1:9/v1"
    source = {**block(api), "base_url": f"http://127.0.0.1:{api.server_port}/v1"}
    with pytest.raises(SourceFetchError, match="another address"):
        list(records({"source": source}, source=KintoSource))


if __name__ == "__main__":
    with StandIn() as server, suppress(KeyboardInterrupt):
        print(f"export KINTO_URL={server.url}")
        print(f"export BIZON_ENV_KINTO_PASSWORD={PASSWORD}", flush=True)
        server.serve_forever()
