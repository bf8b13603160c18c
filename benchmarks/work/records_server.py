"""Serves the records of the bench over HTTP, made when they are asked for: ``/PAGES/0``, ``/PAGES/1`` and so on.
``records_server.py PER_PAGE`` prints its port. A process of its own, because the memory of the harness would count."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
from bench_records import record

PER_PAGE = int(sys.argv[1])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together

    def do_GET(self) -> None:
        pages, page = map(int, self.path.strip("/").split("/"))
        items = [record(number) for number in range(page * PER_PAGE, (page + 1) * PER_PAGE)]
        body = orjson.dumps({"items": items, "next": page + 1 if page + 1 < pages else None})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: one line per request would be noise."""


with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()
