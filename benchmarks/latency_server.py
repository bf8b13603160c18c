"""A local HTTP server that delays every answer, like an API that is limited by its latency."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

from benchmarks.work.bench_records import record
from benchmarks.work.json_handler import JsonHandler


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

    class Late(JsonHandler):
        def body_of(self, path: str) -> bytes | None:
            page = int(path)
            time.sleep(delay)
            return bodies[page] if page < len(bodies) else None

    with ThreadingHTTPServer(("127.0.0.1", 0), Late) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(timeout=10)
