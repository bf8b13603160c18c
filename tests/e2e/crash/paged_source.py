"""The source of the crash tests: numbered items in a version, page by page; the second page has no records.

In sync mode ``stream`` it is a log that the pages of each version are appended to. It keeps the offset of its consumer,
as a broker does, and continues from the pagination of the checkpoint where there is one.
"""

import os
import signal
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from bizon.source.config import SourceConfig, SourceSyncModes
from bizon.source.models import SourceIncrementalState, SourceIteration, SourceRecord
from bizon.source.source import AbstractSource

EMPTY_PAGE = 1


class PagedConfig(SourceConfig):
    pages: int = Field(default=4, description="Pages of the table, and of the changes.")
    page_size: int = Field(default=3, description="Items per page.")
    version: int = Field(default=1, description="Content of the items.")
    changed_at: datetime | None = Field(default=None, description="When all items got their version.")
    partitions: int = Field(default=0, description="Ranges of pages that a job is planned in; 0 = one chain.")
    dies_at: int | None = Field(default=None, description="Page at which the process that fetches it dies, once.")
    delay: float = Field(default=0, description="Seconds each page takes.")
    offset: str = Field(default="offset.txt", description="File with the offset of the consumer of a stream.")
    trace: str = Field(default="trace.txt", description="File that gets a line per page asked for and per page served.")


class PagedSource(AbstractSource):
    config: PagedConfig
    resumes_streams: ClassVar[bool] = True
    _position: int | None = None

    @staticmethod
    def streams() -> list[str]:
        return ["items"]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return PagedConfig

    def get_authenticator(self) -> None:
        return None

    def check_connection(self) -> tuple[bool, str | None]:
        return True, None

    def get_total_records_count(self) -> int | None:
        return None

    def get_partitions(self) -> list[dict[str, Any]]:
        if not self.config.partitions:
            return []
        bounds = [self.config.pages * n // self.config.partitions for n in range(self.config.partitions + 1)]
        return [{"first": first, "end": end} for first, end in pairwise(bounds) if first < end]

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        if self.config.sync_mode is SourceSyncModes.STREAM:
            return self._follow((pagination or {}).get("page"))
        part = self.partition or {"first": 0, "end": self.config.pages}
        return self._page((pagination or {}).get("page", part["first"]), self.config.version, part["end"])

    def commit(self) -> None:
        if self.config.sync_mode is SourceSyncModes.STREAM:
            Path(self.config.offset).write_text(str(self._position))

    def get_records_after(
        self, source_state: SourceIncrementalState, pagination: dict[str, Any] | None = None
    ) -> SourceIteration:
        changed_at = self.config.changed_at
        if changed_at is None or changed_at.astimezone(UTC) <= source_state.last_run:
            return SourceIteration(records=[], next_pagination={})
        return self.get(pagination)

    def _follow(self, checkpoint: int | None) -> SourceIteration:
        """The next page of the log; an empty one after its end."""
        offset = Path(self.config.offset)
        if checkpoint is not None:
            self._position = checkpoint
        elif self._position is None:
            self._position = int(offset.read_text()) if offset.exists() else 0
        number, pages = self._position, self.config.pages
        if number == pages * self.config.version:
            return SourceIteration(records=[], next_pagination={})
        self._position += 1
        page = self._page(number % pages, number // pages + 1, pages)
        return SourceIteration(records=page.records, next_pagination={"page": self._position})

    def _page(self, number: int, version: int, end: int) -> SourceIteration:
        self._note("asked", number)
        if number == self.config.dies_at and not Path("died").exists():
            Path("died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.config.delay)
        first = number * self.config.page_size
        ids = range(first, first + self.config.page_size) if number != EMPTY_PAGE else range(0)
        records = [SourceRecord(id=id_, data={"id": id_, "version": version}) for id_ in ids]
        self._note("served", number)
        return SourceIteration(records=records, next_pagination={"page": number + 1} if number + 1 < end else {})

    def _note(self, what: str, number: int) -> None:
        with Path(self.config.trace).open("a") as trace:
            trace.write(f"{what} {number} {time.time():.3f}\n")
