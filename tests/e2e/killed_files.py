"""The files source with a SIGKILL inside: ``KILL_AT=3`` kills the process once the third piece has been read, before
the engine has it. Each piece that is read is a line of ``trace.txt``: the pagination that asked for it."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from bizon.connectors.sources.files.src.source import FilesSource
from bizon.source.models import SourceIteration


class KilledFiles(FilesSource):
    count = 0

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        page = super().get(pagination)
        with Path("trace.txt").open("a") as trace:
            trace.write(f"{json.dumps(pagination)}\n")
        KilledFiles.count += 1
        if os.environ.get("KILL_AT") == str(KilledFiles.count):
            os.kill(os.getpid(), signal.SIGKILL)
        return page
