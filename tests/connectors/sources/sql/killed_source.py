"""The sql source with a SIGKILL inside. ``KILL_AT=3`` kills the process in its third request for a page, once the two
pages before it have their checkpoints. Each request is a line of the file ``asked``."""

import json
import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

from bizon.connectors.sources.sql.src.source import SqlSource
from bizon.source.models import SourceIncrementalState, SourceIteration

BOUND = 20  # seconds


class KilledSource(SqlSource):
    count = 0

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        self._note(pagination)
        return super().get(pagination)

    def get_records_after(
        self, source_state: SourceIncrementalState, pagination: dict[str, Any] | None = None
    ) -> SourceIteration:
        self._note(pagination)
        return super().get_records_after(source_state, pagination)

    def _note(self, pagination: dict[str, Any] | None) -> None:
        with Path("asked").open("a") as log:
            log.write(json.dumps(pagination) + "\n")
        self.count += 1
        if os.environ.get("KILL_AT") == str(self.count):
            _wait_for_checkpoints(self.count - 1)
            os.kill(os.getpid(), signal.SIGKILL)


def _wait_for_checkpoints(count: int) -> None:
    """Wait until this process has committed this many pages; the files of the state are counted from its start."""
    before = int(os.environ.get("COMMITTED", "0"))
    until = time.monotonic() + BOUND
    while time.monotonic() < until:
        state = sqlite3.connect("state.sqlite3", timeout=5)
        (found,) = state.execute("SELECT count(*) FROM destination_cursors").fetchone()
        state.close()
        if found >= before + count:
            return
        time.sleep(0.02)
