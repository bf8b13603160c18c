"""The ``ledger`` source, against a small stand-in of its API.

``python test_ledger.py`` serves the stand-in, to try the commands on it.
"""

import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from bizon.common.errors.errors import SourceConnectionError, SourceFetchError
from bizon.engine.records import records
from bizon.source.discover import load_custom_source
from bizon.source.models import SourceIncrementalState, SourceIteration
from bizon.testing.source import SourceConformance

FILE = Path(__file__).with_name("ledger_source.py")
LedgerSource = load_custom_source(FILE)
KEY, SECRET = "key-1", "secret-of-the-key"
LARGEST_PAGE = 2
REQUESTS_PER_SESSION = 2
OLDEST_SIGNATURE = 30.0


class StandIn(ThreadingHTTPServer):
    """The API: a list of five transfers, for one key. A session serves two requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.broken_answer: dict[str, Any] | None = None
        self.unavailable = False  # whether the next request is refused with a 503
        self.signed_after = 0.0  # signatures up to this moment are refused
        self.sessions: dict[str, int] = {}  # session, and requests that it still serves
        self.logins = 0
        self.transfers = [self.transfer(number) for number in range(1, 6)]

    def transfer(self, number: int) -> dict[str, Any]:
        """A transfer, as the API gives it."""
        return {"id": number, "updated_at": f"2024-05-0{number}T10:00:00+00:00"}

    def change(self, transfer: dict[str, Any]) -> None:
        """Change a transfer now."""
        transfer["updated_at"] = datetime.now(UTC).isoformat()

    def log_in(self) -> str:
        """A new session."""
        self.logins += 1
        session = f"session-{self.logins}-{token_hex(8)}"
        self.sessions[session] = REQUESTS_PER_SESSION
        return session

    def admits(self, session: str | None) -> bool:
        """Whether a session serves this request."""
        left = self.sessions.get(session or "", 0)
        self.sessions[session or ""] = left - 1
        return left > 0

    def page(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The transfers that a request asks for."""
        since = asked.get("updated_since") or ""
        before = asked.get("updated_before") or "9999"
        transfers = [transfer for transfer in self.transfers if since <= transfer["updated_at"] < before]
        sort = asked.get("sort")
        if sort != "id":  # by default the oldest change comes first
            transfers.sort(key=lambda transfer: str(transfer["updated_at"]), reverse=sort == "-updated_at,id")
        size = min(int(asked["limit"]), LARGEST_PAGE)
        first = int(asked.get("offset") or 0)
        return {"items": transfers[first : first + size], "total": len(transfers)}


class Handler(BaseHTTPRequestHandler):
    """Answers for the stand-in."""

    server: StandIn

    def do_GET(self) -> None:
        self.respond(b"")

    def do_POST(self) -> None:
        self.respond(self.rfile.read(int(self.headers["Content-Length"])))

    def respond(self, body: bytes) -> None:
        """Answer one request."""
        url = urlsplit(self.path)
        if why := self.unsigned(body):
            self.answer(401, {"error": why})
        elif (self.command, url.path) == ("POST", "/v1/login"):
            self.answer(200, {"session": self.server.log_in()})
        elif not self.server.admits(self.headers["X-Session"]):
            self.answer(401, {"error": "the session has expired"})
        elif url.path != "/v1/transfers":
            self.answer(404, {"error": "unknown list"})
        elif self.server.unavailable:
            self.server.unavailable = False
            self.server.signed_after = int(self.headers["X-Timestamp"]) / 1000
            self.answer(503, {"error": "try again"})
        else:
            page = self.server.page(dict(parse_qsl(url.query)))
            self.answer(200, self.server.broken_answer or page)

    def unsigned(self, body: bytes) -> str | None:
        """Why the signature is refused, or ``None``."""
        url = urlsplit(self.path)
        moment = self.headers["X-Timestamp"] or "0"
        signed_at = int(moment) / 1000
        query = urlencode(sorted(parse_qsl(url.query, keep_blank_values=True)))
        text = "\n".join((self.command, url.path, query, sha256(body).hexdigest(), moment))
        signature = hmac.new(SECRET.encode(), text.encode(), sha256).hexdigest()
        if self.headers["X-Key"] != KEY or not hmac.compare_digest(signature, self.headers["X-Signature"] or ""):
            return "wrong signature"
        if signed_at <= max(self.server.signed_after, time.time() - OLDEST_SIGNATURE):
            return "the signature is too old"
        return None

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
class TestLedger(SourceConformance):
    """The behaviours of every source."""

    source_class = LedgerSource
    examples = (Path(__file__).with_name("ledger.example.yml"),)

    @pytest.fixture
    def config(self, api: StandIn) -> dict[str, Any]:
        self.api = api
        return block(api)

    def change(self, config: Mapping[str, Any]) -> list[str]:
        self.api.change(self.api.transfers[2])
        return ["3"]


def block(api: StandIn) -> dict[str, Any]:
    """The ``source`` block of a pipeline that reads the stand-in."""
    return {
        "name": "ledger",
        "stream": "transfers",
        "base_url": api.url,
        "cursor_field": "updated_at",
        "authentication": {"type": "basic", "params": {"username": KEY, "password": SECRET}},
    }


def test_every_record_comes_once(api: StandIn) -> None:
    found = records({"source": block(api)}, source=LedgerSource)
    assert [record.data for record in found] == api.transfers


@pytest.mark.parametrize("number", range(5))
def test_a_change_between_two_pages_loses_no_other_record(api: StandIn, number: int) -> None:
    transfer = api.transfers[number]
    found = ids_within(api, "2024-05-01", datetime.now(UTC), meanwhile=lambda: api.change(transfer))
    assert found >= {"1", "2", "3", "4", "5"} - {str(transfer["id"])}


def test_changes_after_a_window_are_left_out(api: StandIn) -> None:
    assert ids_within(api, "2024-05-02", datetime(2024, 5, 4, tzinfo=UTC)) == {"2", "3"}


def ids_within(api: StandIn, since: str, end: datetime, meanwhile: Callable[[], None] = lambda: None) -> set[str]:
    """The ids that an incremental run finds. ``meanwhile`` is called after its first page."""
    start = datetime.fromisoformat(f"{since}T00:00:00+00:00")
    window = SourceIncrementalState(last_run=start, run_started_at=end)
    config = LedgerSource.get_config_class().model_validate(block(api))
    with closing(LedgerSource(config)) as source:
        page = source.get_records_after(window)
        found = ids_of(page)
        meanwhile()
        while page.next_pagination:
            page = source.get_records_after(window, page.next_pagination)
            found |= ids_of(page)
    return found


def ids_of(page: SourceIteration) -> set[str]:
    """The ids of the records on a page."""
    assert isinstance(page.records, list)
    return {record.id for record in page.records}


def test_a_session_that_expires_is_renewed(api: StandIn) -> None:
    found = records({"source": block(api)}, source=LedgerSource)
    assert len(list(found)) == 5
    assert api.logins > 1


def test_a_request_that_waited_is_signed_again(api: StandIn) -> None:
    api.unavailable = True
    quick = {"retries": {"backoff_factor": 0.01}}
    found = records({"source": {**block(api), "http": quick}}, source=LedgerSource)
    assert len(list(found)) == 5
    assert api.signed_after > 0


def test_a_list_that_ends_before_its_total_is_an_error(api: StandIn) -> None:
    api.broken_answer = {"items": [], "total": 5}
    with pytest.raises(SourceFetchError, match="ends at 0 of 5"):
        list(records({"source": block(api)}, source=LedgerSource))


def test_an_answer_that_is_not_a_page_is_an_error(api: StandIn) -> None:
    api.broken_answer = {"detail": "try again later"}
    with pytest.raises(SourceConnectionError, match="items"):
        list(records({"source": block(api)}, source=LedgerSource))


if __name__ == "__main__":
    with StandIn() as server, suppress(KeyboardInterrupt):
        print(f"export LEDGER_URL={server.url}")
        print(f"export BIZON_ENV_LEDGER_KEY={KEY}")
        print(f"export BIZON_ENV_LEDGER_SECRET={SECRET}", flush=True)
        server.serve_forever()
