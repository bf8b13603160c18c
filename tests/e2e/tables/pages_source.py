"""A source of the pages in ``pages.json``: each is a list of records with an ``id``."""

import json
from pathlib import Path
from typing import Any

from bizon.source.config import SourceConfig, SourceSyncModes
from bizon.source.models import SourceIncrementalState, SourceIteration, SourceRecord
from bizon.source.source import AbstractSource


class Pages(AbstractSource):
    fetches_over_http = False
    served = 0

    @staticmethod
    def streams() -> list[str]:
        return ["pages"]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return SourceConfig

    def get_authenticator(self) -> None:
        return None

    def check_connection(self) -> tuple[bool, str | None]:
        return True, None

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        number = (pagination or {}).get("page", 0)
        if self.config.sync_mode is SourceSyncModes.STREAM:
            number, self.served = self.served, self.served + 1
        with Path("trace.txt").open("a") as trace:
            trace.write(f"page {number}\n")
        pages = json.loads(Path("pages.json").read_text())
        records = [SourceRecord(id=str(data["id"]), data=data) for data in pages[number]]
        more = number + 1 < len(pages)
        return SourceIteration(records=records, next_pagination={"page": number + 1} if more else {})

    def get_records_after(
        self, source_state: SourceIncrementalState, pagination: dict[str, Any] | None = None
    ) -> SourceIteration:
        return self.get(pagination)
