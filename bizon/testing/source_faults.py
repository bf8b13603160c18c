"""Faults of an API, put between a source and its real one.

The requests of a session take a detour over a local server. It passes them on to where they were meant to go, and
answers chosen ones with a fault. So a fault travels over a real connection, below every adapter and every retry of the
source, and no API has to be prepared for it. An API may have a bad day of its own: a request that it asks to send again
passes, and is not one of those that are numbered.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Lock, Thread
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from requests import PreparedRequest
from requests.adapters import BaseAdapter, HTTPAdapter

from bizon.source.retries import RetryingAdapter, signer_of
from bizon.testing.source_signer import SignerOfTheOrigin

ORIGIN = "Bizon-Origin"
"""The header with the scheme and host that a request of the detour was meant for."""

_NUMBER = "Bizon-Request"  # the number of that request
_OF_ONE_CONNECTION = frozenset(
    {
        ORIGIN.lower(),
        _NUMBER.lower(),
        "connection",
        "content-encoding",  # the body is passed on decompressed
        "content-length",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_RETRIES = 4  # enough to see that a request is retried, with an API that refuses every third; few enough to be quick
_TRANSIENT = frozenset({429, 500, 502, 503, 504, 529})  # answers of a real API to a request that may succeed later
_TIMEOUT = (10.0, 60.0)  # seconds


class Answer(NamedTuple):
    """One answer. ``announced``: the length in its header; a shorter body breaks off."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    announced: int | None = None


class Served(NamedTuple):
    """A request that the server got, and its real answer; ``at``: seconds of a monotonic clock."""

    method: str
    url: str
    body: bytes
    is_faulty: bool
    at: float
    real: Answer | None


Fault = Callable[[Answer, str], Answer]
"""Makes a fault of the real answer; the text repeats the credentials of the request, as careless APIs do."""


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing the server waits for its connections

    def handle_error(self, *_: Any) -> None:
        """The connection ends without an answer, and the source reports it."""


class Detour:
    """The local server. ``fault`` answers the requests from number ``first`` on, ``times`` of them; None = all."""

    def __init__(self) -> None:
        self.served: list[Served] = []
        self.troubles: list[int] = []
        """The statuses with which the real API asked to send a request again."""
        self._fault: Fault | None = None
        self._first, self._last = 0, 0.0
        self._lock = Lock()
        self._numbers = count()  # a source may fetch on several threads
        self._asked: dict[str, tuple[Mapping[str, Any], Answer | None]] = {}
        detour = self

        class Handler(BaseHTTPRequestHandler):
            wbufsize = -1  # an answer in one packet: two would wait for each other

            def handle_any(self) -> None:
                detour.handle(self)

            def log_message(self, *_: Any) -> None:
                return

        for method in _METHODS:
            setattr(Handler, f"do_{method}", Handler.handle_any)
        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def plan(self, fault: Fault, first: int = 0, times: int | None = None) -> None:
        """Answer with a fault from now on."""
        self.served.clear()
        self._fault, self._first = fault, first
        self._last = float("inf") if times is None else first + times

    def take(self, session: requests.Session) -> None:
        """Lead the requests of a session over this server."""
        for prefix, adapter in list(session.adapters.items()):
            _hurry(adapter)
            session.adapters[prefix] = _Rerouted(adapter, self)

    def ask(self, request: PreparedRequest, origin: str, settings: Mapping[str, Any]) -> str:
        """Keep the real answer to a request, and return its number. Called on the thread of the source, once per
        request: later attempts get the same answer, unless it is a refusal."""
        number = str(next(self._numbers))
        self._asked[number] = settings, None
        if isinstance(request.body, bytes | str | None):
            body = request.body.encode() if isinstance(request.body, str) else request.body or b""
            real = _real(request.method or "", f"{origin}{request.path_url}", request.headers, body, settings)
            self._asked[number] = settings, real
        return number

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request; called on the thread of its connection."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        origin, asked = handler.headers.get(ORIGIN, ""), handler.headers.get(_NUMBER, "")
        url = f"{origin}{handler.path}"
        with self._lock:  # requests are numbered, so one is answered after the other
            number, at = len(self.served), time.monotonic()
            settings, real = self._asked[asked]
            if real is None:
                real = _real(handler.command, url, handler.headers, body, settings)
            elif real.status >= HTTPStatus.BAD_REQUEST:
                self._asked[asked] = settings, None
            is_trouble = real is not None and real.status in _TRANSIENT
            fault = self._fault if self._first <= number < self._last and not is_trouble else None
            if real is not None and is_trouble:
                self.troubles.append(real.status)
            else:
                self.served.append(Served(handler.command, url, body, fault is not None, at, real))
        if real is None:
            return  # the connection ends without an answer, as the real one did
        answer = real if fault is None else fault(real, " ".join([*handler.headers.values(), url]))
        with suppress(OSError):  # the source has gone
            _write(handler, answer)


def _real(method: str, url: str, headers: Any, body: bytes, settings: Mapping[str, Any]) -> Answer | None:
    """The answer of the real API; None when it breaks off."""
    sent = {name: value for name, value in headers.items() if name.lower() not in _OF_ONE_CONNECTION}
    with requests.Session() as upstream:
        upstream.trust_env = False
        upstream.headers.clear()
        request = upstream.prepare_request(requests.Request(method, url, headers=sent, data=body or None))
        try:
            answer = upstream.send(request, allow_redirects=False, timeout=_TIMEOUT, **settings)
        except requests.RequestException:
            return None
        kept = [each for each in answer.raw.headers.items() if each[0].lower() not in _OF_ONE_CONNECTION]
        return Answer(answer.status_code, kept, answer.content)


def _write(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    handler.send_response_only(answer.status)
    for name, value in answer.headers:
        handler.send_header(name, value)
    length = len(answer.body) if answer.announced is None else answer.announced
    handler.send_header("Content-Length", str(length))
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(answer.body)


@contextmanager
def detour_of(session: requests.Session) -> Iterator[Detour]:
    """Within: the requests of a session take the detour."""
    detour = Detour()
    before = dict(session.adapters)
    try:
        detour.take(session)
        yield detour
    finally:
        session.adapters.update(before)
        detour.close()


class _Rerouted(BaseAdapter):
    """An adapter whose requests go to the local server. Answers and errors look as if they had not."""

    def __init__(self, inner: BaseAdapter, detour: Detour) -> None:
        super().__init__()
        self._inner = inner
        self._detour = detour

    def send(self, request: PreparedRequest, *args: Any, **how: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        origin = f"{parts.scheme}://{parts.netloc}"
        settings = {name: how.get(name) for name in ("verify", "cert", "proxies")}
        routed = request.copy()
        here = f"http://127.0.0.1:{self._detour.port}"
        signer = signer_of(request)
        routed.signed_by = signer and SignerOfTheOrigin(signer, origin, here)  # type: ignore[attr-defined]  # see the session of bizon
        routed.url = f"{here}{(request.url or '')[len(origin) :] or '/'}"
        routed.headers[_NUMBER] = self._detour.ask(request, origin, settings)
        routed.headers[ORIGIN] = origin
        try:
            answer = self._inner.send(routed, *args, **{**how, "verify": True, "cert": None, "proxies": {}})
        except requests.RequestException as error:
            error.request = request
            raise
        answer.url, answer.request = request.url or "", request
        return answer

    def close(self) -> None:
        self._inner.close()


def _hurry(adapter: BaseAdapter) -> None:
    """Take the growing pauses out of the retries of an adapter. A pause that a server asks for stays."""
    if isinstance(adapter, RetryingAdapter):
        adapter.policy = _quick(adapter.policy)
    elif isinstance(adapter, HTTPAdapter):
        adapter.max_retries = _quick(adapter.max_retries)


def _quick(policy: Any) -> Any:
    total = policy.total if isinstance(policy.total, int) else 0
    return policy.new(backoff_factor=0, total=min(total, _RETRIES))
