"""The files source with a SIGKILL inside, see ``killed.py``. Each piece that is read is a line of ``trace.txt``: the
pagination that asked for it."""

import json
from pathlib import Path
from typing import Any

from killed import page_is_read

from bizon.connectors.sources.files.src.source import FilesSource
from bizon.source.models import SourceIteration


class KilledFiles(FilesSource):
    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        page = super().get(pagination)
        with Path("trace.txt").open("a") as trace:
            trace.write(f"{json.dumps(pagination)}\n")
        page_is_read()
        return page
