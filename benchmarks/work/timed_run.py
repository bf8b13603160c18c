"""``bizon run`` with a stopwatch in its checkpoints: prints the seconds in the state database and in fsync.

The stopwatch measures the two calls of a commit that reach the database, and ``os.fsync``, which only the file
destination calls: SQLite flushes within the first two.
"""

import json
import os
import sys

from stopwatch import timed

from bizon.cli.main import cli
from bizon.engine.backend.adapters.sqlalchemy.backend import SQLAlchemyBackend

spent = {"cursors": [0.0, 0.0], "fsync": [0.0, 0.0]}
for name in ("create_destination_cursor", "check_epoch"):
    timed(SQLAlchemyBackend, name, spent["cursors"])
timed(os, "fsync", spent["fsync"])
code = 0
try:
    cli(["run", *sys.argv[1:]])
except SystemExit as end:
    code = end.code if isinstance(end.code, int) else 1
print(json.dumps({"seconds": {kind: wall for kind, (wall, _) in spent.items()}}))
sys.exit(code)
