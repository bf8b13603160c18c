"""The files source without a run: every page as the engine takes it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import polars as pl

from bizon.connectors.sources.files.src.config import FilesSourceConfig
from bizon.connectors.sources.files.src.source import FilesSource
from bizon.rows.pages import page_to_frame
from bizon.source.models import SourceIncrementalState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def source(**keys: Any) -> FilesSource:
    """A new source, as in a new process."""
    block = FilesSourceConfig.model_validate({"name": "files", "stream": "rows", **keys})
    return FilesSource(block)


class Read:
    """All that was read: ``frames`` and the ``paginations`` that follow each, and the last ``state``."""

    def __init__(self) -> None:
        self.frames: list[pl.DataFrame] = []
        self.paginations: list[dict[str, Any]] = []
        self.state: dict[str, Any] | None = None

    @property
    def frame(self) -> pl.DataFrame:
        return pl.concat(self.frames, how="diagonal")

    @property
    def ids(self) -> list[str]:
        return self.frame["id"].to_list()

    @property
    def texts(self) -> list[str]:
        """The records as their JSON text, without the refused ones."""
        return self._good["data"].to_list()

    @property
    def data(self) -> list[Any]:
        return [json.loads(text) for text in self.texts]

    @property
    def reasons(self) -> list[str]:
        frame = self.frame
        return frame["reason"].drop_nulls().to_list() if "reason" in frame.columns else []

    @property
    def refused(self) -> list[Any]:
        """The objects in place of the refused records."""
        frame = self.frame
        return [json.loads(text) for text in frame.filter(pl.col("reason").is_not_null())["data"]]

    @property
    def _good(self) -> pl.DataFrame:
        frame = self.frame
        return frame.filter(pl.col("reason").is_null()) if "reason" in frame.columns else frame


def pages(
    opened: FilesSource,
    pagination: Mapping[str, Any] | None = None,
    state: SourceIncrementalState | None = None,
    *,
    refuse: bool = True,
) -> Iterator[tuple[pl.DataFrame, dict[str, Any], dict[str, Any] | None]]:
    """The pages from a pagination on, with the pagination after each as a checkpoint stores it."""
    following = dict(pagination or {})
    while True:
        page = opened.get(following) if state is None else opened.get_records_after(state, following)
        following = json.loads(json.dumps(page.next_pagination))
        yield page_to_frame(page.records, NOW, refuse=refuse), following, page.next_state
        if not following:
            return


def read(
    pagination: Mapping[str, Any] | None = None,
    state: SourceIncrementalState | None = None,
    *,
    refuse: bool = True,
    **keys: Any,
) -> Read:
    """Everything from a pagination on. Not ``refuse``: as with ``on_error: fail``."""
    opened, found = source(**keys), Read()
    with closing(opened):
        for frame, following, next_state in pages(opened, pagination, state, refuse=refuse):
            found.frames.append(frame)
            found.paginations.append(following)
            found.state = found.state if next_state is None else next_state
    return found


def changed_since(state: dict[str, Any] | None) -> SourceIncrementalState:
    """The window of the run after one that left this state."""
    return SourceIncrementalState(last_run=NOW, state=state or {})
