"""The bare loop: makes the records one by one, encodes each and appends it to a file."""

import sys
from pathlib import Path

import orjson
from bench_records import record

with Path("out.json").open("wb") as file:
    for n in range(int(sys.argv[1])):
        file.write(orjson.dumps(record(n)))
        file.write(b"\n")
