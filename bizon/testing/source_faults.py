"""Faults of an API, put between a source and its real one.

The requests of a session take a detour over a local server. It passes them on to where they were meant to go, and
answers chosen ones with a fault. So a fault travels over a real connection, below every adapter and every retry of the
source, and no API has to be prepared for it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from requests import PreparedRequest
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.exceptions import HTTPError

from bizon.source.retries import RetryingAdapter

_ORIGIN = "Bizon-Origin"  # the header with the scheme and host that a request was meant for
_OF_ONE_CONNECTION = frozenset(
    {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_RETRIES = 2  # enough to see that a request is retried, and few enough to be quick
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


class Detour:
    """The local server. ``fault`` answers the requests from number ``first`` on, ``times`` of them; None = all."""

    def __init__(self) -> None:
        self.served: list[Served] = []
        self._fault: Fault | None = None
        self._first, self._last = 0, 0.0
        self._lock = Lock()
        self._origins: dict[str, dict[str, Any]] = {}
        detour = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                detour.handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_any

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False  # closing the server waits for its connections
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

    def note(self, origin: str, settings: dict[str, Any]) -> None:
        """Keep how the session reaches a server: certificates and proxies."""
        self._origins[origin] = settings

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request; called on the thread of its connection."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        url = f"{handler.headers.get(_ORIGIN, '')}{handler.path}"
        with self._lock:  # requests are numbered, so one is answered after the other
            number, at = len(self.served), time.monotonic()
            fault = self._fault if self._first <= number < self._last else None
            try:
                real: Answer | None = self._real(handler, url, body)
            except requests.RequestException:
                real = None
            self.served.append(Served(handler.command, url, body, fault is not None, at, real))
        if real is None:
            return  # the connection ends without an answer, as the real one did
        answer = real if fault is None else fault(real, " ".join([*handler.headers.values(), url]))
        with suppress(OSError):  # the source has gone
            _write(handler, answer)

    def _real(self, handler: BaseHTTPRequestHandler, url: str, body: bytes) -> Answer:
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in _OF_ONE_CONNECTION}
        origin = headers.pop(_ORIGIN)
        with requests.Session() as upstream:
            upstream.trust_env = False
            upstream.headers.clear()
            request = requests.Request(handler.command, url, headers=headers, data=body or None)
            answer = upstream.send(
                upstream.prepare_request(request),
                stream=True,
                allow_redirects=False,
                timeout=_TIMEOUT,
                **self._origins[origin],
            )
            try:
                raw = answer.raw.read(decode_content=False)
            except HTTPError as error:
                raise requests.ConnectionError(str(error)) from None
            kept = [
                (name, value) for name, value in answer.raw.headers.items() if name.lower() not in _OF_ONE_CONNECTION
            ]
            return Answer(answer.status_code, kept, raw)


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

    def send(self, request: PreparedRequest, stream: bool = False, timeout: Any = None, **how: Any) -> Any:
        parts = urlsplit(request.url or "")
        origin = f"{parts.scheme}://{parts.netloc}"
        self._detour.note(origin, {name: how.get(name) for name in ("verify", "cert", "proxies")})
        routed = request.copy()
        routed.signed_by = getattr(request, "signed_by", None)  # type: ignore[attr-defined]  # see the session of bizon
        routed.url = f"http://127.0.0.1:{self._detour.port}{(request.url or '')[len(origin) :] or '/'}"
        routed.headers[_ORIGIN] = origin
        try:
            answer = self._inner.send(routed, stream=stream, timeout=timeout, verify=True, cert=None, proxies={})
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
