"""Serves the records of the bench over HTTP, made when they are asked for: ``/PAGES/0``, ``/PAGES/1`` and so on.
``records_server.py PER_PAGE`` prints its port. A process of its own, because the memory of the harness would count."""

import sys
from http.server import ThreadingHTTPServer

import orjson
from bench_records import record
from json_handler import JsonHandler

PER_PAGE = int(sys.argv[1])


class Records(JsonHandler):
    def body_of(self, path: str) -> bytes:
        pages, page = map(int, path.split("/"))
        items = [record(number) for number in range(page * PER_PAGE, (page + 1) * PER_PAGE)]
        return orjson.dumps({"items": items, "next": page + 1 if page + 1 < pages else None})


with ThreadingHTTPServer(("127.0.0.1", 0), Records) as server:
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()
