"""An HTTP proxy that passes requests on, and fails some on purpose."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

_TIMEOUT = 60  # seconds
_NOT_PASSED_ON = {"connection", "content-length", "host", "keep-alive", "transfer-encoding", "content-encoding"}


@dataclass
class Fault:
    """A fault for the next ``times`` requests of this method with ``where`` in their path.

    ``status`` and ``body``: the answer; status 0 = cut the connection. ``done``: pass the request on, and lose only its
    answer.
    """

    method: str
    where: str
    status: int
    times: int = 1
    body: str = "{}"
    done: bool = False
    headers: dict[str, str] = field(default_factory=dict)


class HttpProxy:
    """``url`` leads to ``target``. ``seen``: method and path of every request, in order; ``returned``: the bytes of
    bodies that each path has returned."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.faults: list[Fault] = []
        self.seen: list[str] = []
        self.returned: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def fail(self, method: str, where: str, status: int, **how: object) -> None:
        """Add a ``Fault``."""
        self.faults.append(Fault(method, where, status, **how))  # type: ignore[arg-type]

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this request, if any."""
        with self.lock:
            self.seen.append(f"{method} {path}")
            for fault in self.faults:
                if fault.times and fault.method == method and fault.where in path:
                    fault.times -= 1
                    return fault
        return None


@contextmanager
def http_proxy(target: str) -> Iterator[HttpProxy]:
    """Within: a proxy for ``target`` is running."""
    proxy = HttpProxy(target)
    thread = threading.Thread(target=proxy.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.server.shutdown()
        proxy.server.server_close()
        thread.join()


def _handler(proxy: HttpProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else self._chunks()
            fault = proxy.take(self.command, self.path)
            answer = None if fault is not None and not fault.done else self._ask(body)
            if fault is not None and fault.status == 0:
                self.close_connection = True
                self.connection.close()
            elif fault is not None:
                self._answer(fault.status, {"Content-Type": "application/json", **fault.headers}, fault.body.encode())
            elif answer is not None:
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _NOT_PASSED_ON}
                with proxy.lock:
                    proxy.returned[self.path] += len(answer.content)
                if self.command == "HEAD":  # the length of the body that GET would return
                    kept["Content-Length"] = answer.headers.get("Content-Length", "0")
                self._answer(answer.status_code, kept, answer.content)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

        def _chunks(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return b""
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found

        def _ask(self, body: bytes) -> requests.Response:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_PASSED_ON}
            return requests.request(
                self.command, f"{proxy.target}{self.path}", headers=headers, data=body, timeout=_TIMEOUT
            )

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    return Handler
