"""A local HTTP server that delays every answer, like an API that is limited by its latency."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.work.bench_records import record


@contextmanager
def serving(pages: int, delay: float, records_per_page: int = 100) -> Iterator[str]:
    """Serve ``/0``, ``/1`` ... on a free port, each ``delay`` seconds late; 404 after the last. Yields the address."""
    bodies = [
        json.dumps(
            {
                "items": [record(page * records_per_page + n) for n in range(records_per_page)],
                "next": page + 1 if page + 1 < pages else None,
            }
        ).encode()
        for page in range(pages)
    ]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # headers and body leave together

        def do_GET(self) -> None:
            page = int(self.path.strip("/"))
            time.sleep(delay)
            if page >= len(bodies):
                self.send_error(404)
                return
            body = bodies[page]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: one line per request would be noise."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(timeout=10)
