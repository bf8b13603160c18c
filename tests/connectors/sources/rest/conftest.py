"""A running stand-in, the source on it, and a pipeline."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import Pipeline
from standins.rest.server import RestStandIn

from bizon.common.safe_log import logger
from bizon.connectors.sources.rest.src.source import RestSource
from bizon.engine.engine import load_config_dict
from bizon.source.models import SourceIncrementalState, SourceIteration, SourceRecord

NO_WAITS = {"retries": {"backoff_factor": 0, "total": 3}}


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


@pytest.fixture
def api() -> Iterator[RestStandIn]:
    with RestStandIn().running() as server:
        yield server


def block(api: RestStandIn, endpoint: Mapping[str, Any], **keys: Any) -> dict[str, Any]:
    """A ``source`` block with one endpoint, ``items``, unless ``endpoints`` names others."""
    return {
        "name": "rest",
        "stream": "items",
        "base_url": api.url,
        "http": NO_WAITS,
        "endpoints": {"items": {"path": "/items", "records": "items", **endpoint}},
        **keys,
    }


def opened(source: Mapping[str, Any]) -> RestSource:
    """The source of a block, as a new process makes it."""
    pipeline = {"name": "p", "source": dict(source), "destination": {"name": "logger"}}
    return RestSource(load_config_dict(pipeline).config.source)


def pages_of(
    source: Mapping[str, Any], state: SourceIncrementalState | None = None, *, restarts: bool = True
) -> list[SourceIteration]:
    """Every page; with ``restarts`` each from a new source that has only the pagination, as after a kill."""
    pages: list[SourceIteration] = []
    each = opened(source)
    while not pages or (pages[-1].next_pagination and len(pages) < 1000):
        if restarts:
            each.close()
            each = opened(source)
        place = pages[-1].next_pagination if pages else {}
        pages.append(each.get(place) if state is None else each.get_records_after(state, place))
    each.close()
    return pages


def records_of(
    source: Mapping[str, Any], state: SourceIncrementalState | None = None, *, restarts: bool = True
) -> list[SourceRecord]:
    """Every record."""
    found: list[SourceRecord] = []
    for page in pages_of(source, state, restarts=restarts):
        found += page.records  # type: ignore[arg-type]
    return found


def ids(source: Mapping[str, Any], state: SourceIncrementalState | None = None, *, restarts: bool = True) -> list[str]:
    """The ids of every record."""
    return [each.id for each in records_of(source, state, restarts=restarts)]


def window(since: str, until: str | None = None) -> SourceIncrementalState:
    """The state of an incremental run."""

    def moment(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    return SourceIncrementalState(last_run=moment(since), run_started_at=None if until is None else moment(until))


@pytest.fixture
def log_text() -> Iterator[Callable[[], str]]:
    """The log so far."""
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level} {message}")
    yield lambda: "".join(lines)
    logger.remove(sink)
