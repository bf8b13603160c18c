"""Reading a stream of the sql source as a run does, and databases to read from."""

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from postgres import Place

from bizon.connectors.sources.sql.src.config import SqlSourceConfig
from bizon.connectors.sources.sql.src.source import SqlSource
from bizon.rows.pages import page_to_frame
from bizon.source.models import SourceIncrementalState, SourceIteration

Json = dict[str, Any]
MOST_PAGES = 500


def source_of(**block: Any) -> SqlSource:
    """The source of a ``source`` block."""
    return SqlSource(SqlSourceConfig(**{"name": "sql", **block}))


class Reading:
    """A stream, read to its end. ``fresh``: by a new source for each page, as after a kill. ``state``: the state that
    the last run has left, for an incremental run."""

    def __init__(self, *, fresh: bool = True, state: Json | None = None, **block: Any) -> None:
        self.pages: list[list[Json]] = []
        self.ids: list[str] = []
        self.timestamps: list[datetime] = []
        self.paginations: list[Json] = []
        self.state: Json | None = None
        self._window = None if state is None else incremental_state(state)
        source = source_of(**block)
        pagination: Json = {}
        try:
            while not self.pages or pagination:
                if fresh and pagination:
                    source.close()
                    source = source_of(**block)
                page = self._asked(source, pagination)
                self._note(page)
                pagination = json.loads(json.dumps(page.next_pagination))
                assert len(self.pages) < MOST_PAGES
        finally:
            source.close()

    @property
    def records(self) -> list[Json]:
        return [record for page in self.pages for record in page]

    def column(self, name: str) -> list[Any]:
        return [record[name] for record in self.records]

    def _asked(self, source: SqlSource, pagination: Json) -> SourceIteration:
        if self._window is None:
            return source.get(pagination)
        return source.get_records_after(self._window, pagination)

    def _note(self, page: SourceIteration) -> None:
        frame = page_to_frame(page.records, datetime.now(UTC))
        self.pages.append([json.loads(line, parse_float=str) for line in frame["data"]])
        self.ids += frame["id"].to_list()
        self.timestamps += frame["timestamp"].to_list()
        self.paginations.append(page.next_pagination)
        self.state = page.next_state


def settle() -> None:
    """Wait until a window includes what was written before this call: it ends at a whole second, at least one before
    the run."""
    now = time.time()
    time.sleep(int(now) + 2.1 - now)


def incremental_state(state: Json, last_run: datetime | None = None, until: datetime | None = None) -> Any:
    begin = last_run or datetime(2000, 1, 1, tzinfo=UTC)
    return SourceIncrementalState(last_run=begin, state=state, run_started_at=until or datetime.now(UTC))


def sqlite_file(path: Path, *statements: str, rows: Sequence[Sequence[Any]] = (), insert: str = "") -> str:
    """The address of a SQLite file in which these statements were run, and rows were inserted."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
        if rows:
            connection.execute("BEGIN")
            connection.executemany(insert, rows)
            connection.execute("COMMIT")
    return f"sqlite:///{path}"


def postgres_url(place: Place, *, port: int | None = None, password: str | None = None) -> str:
    """The address of a place, with its schema as the default."""
    secret = place.password if password is None else password
    login = f"{quote(place.username, '')}:{quote(secret, '')}"
    options = quote(f"-csearch_path={place.quoted_schema.replace(' ', chr(92) + ' ')}", "")
    return f"postgresql://{login}@{place.host}:{port or place.port}/{place.database}?options={options}"


def created(place: Place) -> Place:
    """The place, once its schema exists."""
    place.rows(f"CREATE SCHEMA IF NOT EXISTS {place.quoted_schema}")
    return place


def numbers(count: int) -> Iterator[tuple[int, str]]:
    return ((number, f"name {number}") for number in range(count))
