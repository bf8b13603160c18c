"""A running stand-in of Notion, the source on it, and a pipeline from it into ``out.json``."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import commands
import pytest
import yaml
from standins.notion.content import Workspace
from standins.notion.server import NotionStandIn

from bizon.connectors.sources.notion.src.source import NotionSource
from bizon.source.models import SourceIncrementalState, SourceRecord

HOUR = timedelta(hours=1)
TOKEN = "secret_ntn_5up3rs3cr3t"


@pytest.fixture
def workspace() -> Workspace:
    return Workspace()


@pytest.fixture
def notion(workspace: Workspace) -> Iterator[NotionStandIn]:
    with NotionStandIn(workspace, TOKEN).running() as server:
        yield server


def block_of(notion: NotionStandIn, stream: str, **keys: Any) -> dict[str, Any]:
    """A ``source`` block that waits for nothing."""
    return {
        "name": "notion",
        "stream": stream,
        "base_url": notion.url,
        "authentication": {"type": "api_key", "params": {"token": TOKEN}},
        "requests_per_minute": 1_000_000,
        "http": {"retries": {"backoff_factor": 0}},
        **keys,
    }


class Reader:
    """The source in this process. ``paginations``: of all pages it returned."""

    def __init__(self, notion: NotionStandIn, stream: str, **keys: Any) -> None:
        self._block = block_of(notion, stream, **keys)
        self.paginations: list[dict[str, Any]] = []
        self.next_state: dict[str, Any] | None = None

    def source(self) -> NotionSource:
        return NotionSource(NotionSource.get_config_class()(**self._block))

    def read(
        self, state: SourceIncrementalState | None = None, *, start: dict[str, Any] | None = None, renew: bool = False
    ) -> list[SourceRecord]:
        """All records. ``renew``: each page by a new source, as after a crash at every page."""
        source, records, pagination = self.source(), list[SourceRecord](), start or {}
        try:
            while True:
                page = source.get(pagination) if state is None else source.get_records_after(state, pagination)
                records += page.records
                if not page.next_pagination:
                    self.next_state = page.next_state
                    return records
                pagination = json.loads(json.dumps(page.next_pagination))
                self.paginations.append(pagination)
                if renew:
                    source.close()
                    source = self.source()
        finally:
            source.close()

    def ids(self, *arguments: Any, **keywords: Any) -> list[str]:
        return [record.id for record in self.read(*arguments, **keywords)]


@pytest.fixture
def reader(notion: NotionStandIn) -> Callable[..., Reader]:
    """``reader(stream, **keys of the source)``"""

    def make(stream: str, **keys: Any) -> Reader:
        return Reader(notion, stream, **keys)

    return make


class Pipeline:
    """A pipeline from the stand-in into ``out.json``, which writes each page at once."""

    def __init__(self, folder: Path, source: dict[str, Any]) -> None:
        self.folder = folder
        self.config: dict[str, Any] = {
            "name": "pipe",
            "source": source,
            "destination": {"name": "file", "config": {"destination_id": "out", "buffer_size": 0}},
            "engine": {"backend": {"type": "sqlite", "config": {"database": "state"}}},
        }

    def start(self, *flags: str) -> Any:
        (self.folder / "config.yml").write_text(yaml.safe_dump(self.config))
        pipes = {"stdout": commands.subprocess.PIPE, "stderr": commands.subprocess.STDOUT}
        return commands.Popen([*commands.BIZON, "run", "config.yml", *flags], cwd=self.folder, text=True, **pipes)

    def run(self, *flags: str, expect: int = 0) -> str:
        """Run to the end; returns all that it printed."""
        child = self.start(*flags)
        printed = str(child.communicate(timeout=60)[0])
        assert child.returncode == expect, printed
        return printed

    def rows(self) -> list[dict[str, Any]]:
        path = self.folder / "out.json"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def ids(self) -> list[str]:
        return [row["source_record_id"] for row in self.rows()]

    def an_hour_passes(self) -> None:
        """Move the jobs that the state remembers, and their windows, an hour into the past."""
        state = sqlite3.connect(self.folder / "state.sqlite3")
        with state:
            jobs = state.execute("SELECT id, created_at, incremental_window FROM stream_jobs").fetchall()
            for job, created, window in jobs:
                earlier = str(datetime.fromisoformat(created) - HOUR)
                bounds = {key: (datetime.fromisoformat(each) - HOUR).isoformat() for key, each in _of(window).items()}
                state.execute(
                    "UPDATE stream_jobs SET created_at = ?, incremental_window = ? WHERE id = ?",
                    (earlier, json.dumps(bounds) if bounds else None, job),
                )
        state.close()


def _of(window: str | None) -> dict[str, str]:
    return json.loads(window) if window else {}


@pytest.fixture
def pipeline(notion: NotionStandIn, tmp_path: Path) -> Callable[..., Pipeline]:
    """``pipeline(stream, **keys of the source)``"""

    def make(stream: str, **keys: Any) -> Pipeline:
        return Pipeline(tmp_path, block_of(notion, stream, **keys))

    return make


@pytest.fixture
def state_from() -> Callable[..., SourceIncrementalState]:
    """``state_from(begin, end, state)``: what the engine gives to an incremental run, in whole minutes."""

    def make(begin: datetime, end: datetime, state: dict[str, Any] | None = None) -> SourceIncrementalState:
        bounds = {"last_run": begin.replace(second=0), "run_started_at": end.replace(second=0)}
        return SourceIncrementalState(**bounds, state=state or {})

    return make
