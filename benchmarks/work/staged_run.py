"""``bizon run`` with a stopwatch around each stage: prints wall and processor seconds of the thread that is in it.

Inner stages are taken off outer ones by whoever reads the figures. What Polars does on threads of its own is in the
wall time of a stage, and in the processor time of the process.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

began = time.perf_counter()

from bizon.__main__ import main  # noqa: E402
from bizon.engine.pipeline import consumer, loader, producer  # noqa: E402

stages: dict[str, list[float]] = {}


def timed(owner: Any, name: str, stage: str) -> None:
    function: Callable[..., Any] = getattr(owner, name)
    spent = stages[stage] = [0.0, 0.0]

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            return function(*arguments, **named)
        finally:
            spent[0] += time.perf_counter() - wall
            spent[1] += time.thread_time() - cpu

    setattr(owner, name, call)


timed(producer.Producer, "run", "producer")
timed(producer.PageFetcher, "_ask", "fetch")
timed(producer, "page_to_frame", "to columns")
timed(producer.Producer, "_put", "put")
timed(consumer.Consumer, "run", "consumer")
timed(consumer, "to_destination_frame", "to rows")
timed(loader.Loader, "_write_once", "write")
timed(loader.Loader, "_record", "checkpoint")
timed(loader.Loader, "publish", "publish")

code = 0
sys.argv = ["bizon", "run", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    code = end.code if isinstance(end.code, int) else 1
print(json.dumps({"wall": time.perf_counter() - began, "cpu": time.process_time(), "stages": stages}))
sys.exit(code)
