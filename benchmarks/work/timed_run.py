"""``bizon run`` with a stopwatch in its checkpoints: prints the seconds inside the state database and inside fsync.

A stopwatch is around the two calls of a commit that reach the database, and around ``os.fsync``, which only the file
destination uses: SQLite's own flushing happens inside the first two.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from bizon.cli.main import cli
from bizon.engine.backend.adapters.sqlalchemy.backend import SQLAlchemyBackend

seconds = {"cursors": 0.0, "fsync": 0.0}
calls = {"cursors": 0, "fsync": 0}


def timed(function: Callable[..., Any], kind: str, counts: bool = True) -> Callable[..., Any]:
    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            seconds[kind] += time.perf_counter() - start
            calls[kind] += counts

    return call


for name in ("create_destination_cursor", "check_epoch"):
    found = getattr(SQLAlchemyBackend, name)
    setattr(SQLAlchemyBackend, name, timed(found, "cursors", counts=name == "create_destination_cursor"))
os.fsync = timed(os.fsync, "fsync")
code = 0
try:
    cli(["run", *sys.argv[1:]])
except SystemExit as end:
    code = end.code if isinstance(end.code, int) else 1
print(json.dumps({"seconds": seconds, "calls": calls}))
sys.exit(code)
