"""Two streams of the paged source. The first page of each waits until as many processes as the file ``meeting`` says
work on this stream."""

import os
import time
from pathlib import Path
from typing import Any

from paged_source import PagedSource

from bizon.source.models import SourceIteration


class MeetingSource(PagedSource):
    @staticmethod
    def streams() -> list[str]:
        return ["items", "others"]

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        present = Path(f"present-{self.config.stream}")
        present.mkdir(exist_ok=True)
        (present / str(os.getpid())).touch()
        while len([*present.iterdir()]) < int(Path("meeting").read_text()):
            time.sleep(0.02)
        return super().get(pagination)

    def _note(self, what: str, number: int) -> None:
        if what == "asked":
            with Path(f"asked-{self.config.stream}").open("a") as trace:
                trace.write(f"{number}\n")
