"""The ``hooks`` destination claims the behaviours of every destination."""

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from bizon import RunnerFactory
from bizon.destination.config import AbstractDestinationConfig
from bizon.destination.discover import OutsideDestinationConfig, load_custom_destination
from bizon.source.config import SourceSyncModes
from bizon.source.models import SourceRecord
from bizon.testing.destination import DestinationConformance

FILE = Path(__file__).with_name("hooks_destination.py")
HooksDestination = load_custom_destination(FILE)
TOKEN = "secret-token"
NEVER = "never"


class StandIn(ThreadingHTTPServer):
    """The endpoint: appends the rows of each batch whose key it has not seen, and
    refuses a batch with a certain record. ``trouble`` is what comes next: a status, or
    "reset" for a connection that ends after the body was taken."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/rows"
        self.tables: dict[str, list[dict[str, Any]]] = {}
        self.seen: set[str | None] = set()
        self.trouble: list[int | str] = []
        self.posts = 0


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_GET(self) -> None:
        self.answer({})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posts += 1
        trouble = self.server.trouble.pop(0) if self.server.trouble else None
        if isinstance(trouble, int):
            self.answer({}, trouble)
            return
        rejected = [row["bizon_id"] for row in body["rows"] if row["source_record_id"] == NEVER]
        key = self.headers["Idempotency-Key"]
        if not rejected and (key is None or key not in self.server.seen):
            self.server.seen.add(key)
            self.server.tables.setdefault(body["table"], []).extend(body["rows"])
        if trouble == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        self.answer({"rejected": [{"bizon_id": id_, "reason": "no"} for id_ in rejected]})

    def answer(self, body: dict[str, Any], status: int = 200) -> None:
        known = self.headers["Authorization"] == f"Bearer {TOKEN}"
        content = json.dumps(body).encode()
        self.send_response(status if known else 401)
        if status == 429:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass

    def finish(self) -> None:
        if not self.wfile.closed:
            with suppress(OSError):
                super().finish()


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    server = StandIn()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class TestHooks(DestinationConformance):
    stages = exactly_once = False
    modes = (SourceSyncModes.INCREMENTAL, SourceSyncModes.STREAM)
    client = ("requests.adapters", "urllib3.connectionpool")
    misfit = SourceRecord(id=NEVER, data={})

    def target_error(self) -> Exception:
        return requests.ConnectionError("connection refused")

    @pytest.fixture
    def config(self, stand_in: StandIn) -> AbstractDestinationConfig:
        """The ``destination`` block, with a new place for each test."""
        self.stand_in = stand_in
        settings = {
            "url": stand_in.url,
            "token": TOKEN,
            "destination_id": "items",
            "http": {"retries": {"total": 0}},
        }
        settings["destination_file_path"] = str(FILE)
        return OutsideDestinationConfig(name="custom", config=settings)

    def read(
        self,
        config: AbstractDestinationConfig,
        destination_id: str | None,
    ) -> list[dict[str, Any]]:
        """The rows of a published table; none if the table does not exist."""
        return self.stand_in.tables.get(destination_id or "items", [])


@pytest.mark.parametrize("trouble", [[503, 503], [429], ["reset"], ["reset", 503, "reset"]], ids=str)
def test_a_run_through_a_failing_endpoint_delivers_each_row_once(
    stand_in: StandIn, tmp_path: Path, trouble: list[int | str]
) -> None:
    stand_in.trouble = list(trouble)
    pipeline = FILE.with_name("hooks.example.yml").read_text().replace("hooks_destination.py", str(FILE))
    pipeline += "    http: {retries: {backoff_factor: 0.01}}\n"
    pipeline += f"engine: {{backend: {{type: sqlite, config: {{database: {tmp_path / 'state'}}}}}}}\n"
    path = tmp_path / "pipeline.yml"
    path.write_text(pipeline.replace("${env://HOOKS_URL}", stand_in.url).replace("BIZON_ENV_HOOKS_TOKEN", TOKEN))
    RunnerFactory.create_from_yaml(str(path)).run(raise_on_failure=True)
    rows = [row for table in stand_in.tables.values() for row in table]
    assert len(rows) == len({row["source_record_id"] for row in rows}) == 5
    assert stand_in.posts > len(trouble)
