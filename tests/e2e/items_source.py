"""The custom source of the end-to-end tests: a table of numbered items, served page by page, that can misbehave."""

import os
import random
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from bizon.common.errors.errors import MissingDependencyError
from bizon.source.config import SourceConfig, SourceSyncModes
from bizon.source.models import SourceIncrementalState, SourceIteration, SourceRecord
from bizon.source.source import AbstractSource


class ItemsConfig(SourceConfig):
    pages: int = Field(default=4, description="Pages of the table.")
    page_size: int = Field(default=5, description="Items per page.")
    item_bytes: int = Field(default=10, description="Bytes of text in each item.")
    noise: int = Field(default=0, description="Bytes in each item that cannot be compressed.")
    delay: float = Field(default=0, description="Seconds each page takes.")
    fail_at: int | None = Field(default=None, description="Page that raises.")
    kill_at: int | None = Field(default=None, description="Page at which the process is killed.")
    die_in_constructor: bool = False
    misses_package: bool = Field(default=False, description="Raise as a source does that loads a package late.")
    announced: int | None = Field(default=None, description="Records it says there are, when not the true number.")
    gated: bool = Field(default=False, description="Serve only the pages below the number in the file allowed.txt.")
    bounded: bool = Field(default=False, description="Leave changes out that the window does not cover.")
    paged_changes: bool = Field(default=False, description="A page per change instead of one with all.")
    trace: str = Field(default="trace.txt", description="File that gets a line per page asked for and per commit.")


class ItemsSource(AbstractSource):
    def __init__(self, config: ItemsConfig) -> None:
        super().__init__(config)
        self.served = 0
        if config.die_in_constructor:
            raise RuntimeError("the constructor failed")

    @staticmethod
    def streams() -> list[str]:
        return ["items", "others"]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return ItemsConfig

    def get_authenticator(self) -> None:
        return None

    def check_connection(self) -> tuple[bool, str | None]:
        if self.config.misses_package:
            raise MissingDependencyError("kafka", "source 'items'")
        return True, None

    def get_total_records_count(self) -> int | None:
        return self.config.announced or self.config.pages * self.config.page_size

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        number = (pagination or {}).get("page", 0)
        if self.config.sync_mode is SourceSyncModes.STREAM:
            number, self.served = self.served, self.served + 1
        return self._page(number)

    def get_records_after(
        self, source_state: SourceIncrementalState, pagination: dict[str, Any] | None = None
    ) -> SourceIteration:
        """Items whose change is newer than the last run: the lines of ``changes.txt`` say ``id time``."""
        self._note(f"after {source_state.last_run.isoformat()}")
        changes = Path("changes.txt").read_text().split("\n") if Path("changes.txt").exists() else []
        newer = [
            SourceRecord(id=line.split()[0], data={"changed": line.split()[1]})
            for line in changes
            if line and self._is_new(datetime.fromisoformat(line.split()[1]), source_state)
        ]
        if not self.config.paged_changes:
            return SourceIteration(records=newer, next_pagination={})
        number = (pagination or {}).get("page", 0)
        if number == self.config.fail_at:
            raise RuntimeError("the API is down")
        more = {"page": number + 1} if number + 1 < len(newer) else {}
        return SourceIteration(records=newer[number : number + 1], next_pagination=more)

    def _is_new(self, changed: datetime, state: SourceIncrementalState) -> bool:
        return state.covers(changed) if self.config.bounded else changed.astimezone(UTC) > state.last_run

    def commit(self) -> None:
        self._note("commit")

    def _page(self, number: int) -> SourceIteration:
        self._note(f"page {number}")
        time.sleep(self.config.delay)
        while self.config.gated and number >= int(Path("allowed.txt").read_text() or 0):  # empty while it is written
            time.sleep(0.02)
        if number == self.config.fail_at:
            raise RuntimeError("the API is down")
        if number == self.config.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        size = self.config.page_size if number < self.config.pages else 0
        first = number * self.config.page_size
        records = [
            SourceRecord(id=id_, data={"page": number, "t": self._text(id_)}) for id_ in range(first, first + size)
        ]
        more = number + 1 < self.config.pages
        return SourceIteration(records=records, next_pagination={"page": number + 1} if more else {})

    def _text(self, id_: int) -> str:
        return "x" * self.config.item_bytes + random.Random(id_).randbytes(self.config.noise).hex()

    def _note(self, line: str) -> None:
        with Path(self.config.trace).open("a") as trace:
            trace.write(f"{line}\n")
