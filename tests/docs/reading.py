"""A source of a guide, read page by page."""

import json
from pathlib import Path
from typing import Any

from docs.standin import USERS

from bizon.source.discover import load_custom_source
from bizon.source.models import SourceIncrementalState
from bizon.source.source import AbstractSource

TOKEN = {"type": "api_key", "params": {"token": "s3cret"}}
AT_ONCE = {"retries": {"total": 2, "backoff_factor": 0}}
IDS = [str(user["id"]) for user in USERS]


class Reader:
    """Reads a source as bizon does; with a new source for each page, as after a crash."""

    def __init__(self, file: Path, url: str, stream: str = "users", **keys: Any) -> None:
        self._class = load_custom_source(file, stream)
        given = {"name": "n", "stream": stream, "base_url": url, "authentication": TOKEN, "http": AT_ONCE}
        self._config = self._class.get_config_class()(**given | keys)
        self.next_states: list[dict[str, Any]] = []

    def source(self) -> AbstractSource:
        return self._class(self._config)

    def records(self, state: SourceIncrementalState | None = None) -> list[Any]:
        records: list[Any] = []
        pagination: dict[str, Any] = {}
        while True:
            source = self.source()
            page = source.get(pagination) if state is None else source.get_records_after(state, pagination)
            records += page.records
            self.next_states += [page.next_state] if page.next_state is not None else []
            pagination = json.loads(json.dumps(page.next_pagination))
            if not pagination:
                return records

    def ids(self, state: SourceIncrementalState | None = None) -> list[str]:
        return [record.id for record in self.records(state)]
