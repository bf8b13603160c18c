"""A source that kills its process at a chosen page: ``KILL_AT=3`` once the third one has been read, before the engine
has it. Each page that is read is a line of ``trace.txt``: the pagination that asked for it."""

import json
import os
import signal
from itertools import count
from pathlib import Path
from typing import Any

_pages = count(1)


class Killed:
    """Comes before the class of the source."""

    def get(self, pagination: dict[str, Any] | None = None) -> Any:
        page = super().get(pagination)  # type: ignore[misc]
        _is_read(pagination)
        return page

    def get_records_after(self, source_state: Any, pagination: dict[str, Any] | None = None) -> Any:
        page = super().get_records_after(source_state, pagination)  # type: ignore[misc]
        _is_read(pagination)
        return page


def _is_read(pagination: dict[str, Any] | None) -> None:
    with Path("trace.txt").open("a") as trace:
        trace.write(f"{json.dumps(pagination)}\n")
    if os.environ.get("KILL_AT") == str(next(_pages)):
        os.kill(os.getpid(), signal.SIGKILL)
