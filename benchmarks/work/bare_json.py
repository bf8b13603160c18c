"""Prints the processor time of decoding and encoding every record; creating the texts does not count."""

import sys
import time

import orjson
from bench_records import record

PAGE = 1000
total, spent = int(sys.argv[1]), 0.0
for first in range(0, total, PAGE):
    texts = [orjson.dumps(record(n)) for n in range(first, min(first + PAGE, total))]
    start = time.process_time()
    for text in texts:
        orjson.dumps(orjson.loads(text))
    spent += time.process_time() - start
print(spent)
