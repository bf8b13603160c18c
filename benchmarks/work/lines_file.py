"""Writes the records of the bench as NDJSON. ``lines_file.py TOTAL...``: a file ``lines_TOTAL.jsonl`` for each."""

import sys
from pathlib import Path

import orjson
from bench_records import record

for total in map(int, sys.argv[1:]):
    with Path(f"lines_{total}.jsonl").open("wb") as file:
        for number in range(total):
            file.write(orjson.dumps(record(number)) + b"\n")
