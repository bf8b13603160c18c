"""``bizon run`` with a stopwatch around each stage: prints wall seconds, and processor seconds of the stage's thread.

Outer stages include inner ones; the reader subtracts them. Work on Polars' own threads counts in the wall time of a
stage, and in the processor time of the process.
"""

import json
import sys
import time
from typing import Any

began = time.perf_counter()

from stopwatch import timed  # noqa: E402

from bizon.__main__ import main  # noqa: E402
from bizon.engine.pipeline import consumer, fetcher, loader, producer  # noqa: E402

stages: dict[str, list[float]] = {}


def stage(owner: Any, name: str, label: str) -> None:
    timed(owner, name, stages.setdefault(label, [0.0, 0.0]))


stage(producer.Producer, "run", "producer")
stage(fetcher.PageFetcher, "_ask", "fetch")
stage(fetcher, "page_to_frame", "to columns")
stage(producer.Producer, "_put", "put")
stage(consumer.Consumer, "run", "consumer")
stage(consumer, "to_destination_frame", "to rows")
stage(loader.Loader, "_write_once", "write")
stage(loader.Loader, "_record", "checkpoint")
stage(loader.Loader, "publish", "publish")

code = 0
sys.argv = ["bizon", "run", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    code = end.code if isinstance(end.code, int) else 1
print(json.dumps({"wall": time.perf_counter() - began, "cpu": time.process_time(), "stages": stages}))
sys.exit(code)
