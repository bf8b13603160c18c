"""The records of a source for a program: fetched as in a run, without a destination, a queue or a state."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from bizon.common.errors.errors import ConfigError, SourceFetchError
from bizon.common.safe_log import logger
from bizon.engine.engine import GivenSource, load_config_dict
from bizon.engine.runner.fetching import build_fetcher
from bizon.engine.runner.models import RunContext
from bizon.engine.runner.sources import opened_source
from bizon.rows.rejects import split_rejected
from bizon.source.cursor import Cursor
from bizon.source.cursor_resolution import cursor_resolution, floored
from bizon.source.discover import resolve_source_class, supports_incremental
from bizon.source.models import SourceIncrementalState, SourceRecord
from bizon.transform.transform import Transform

if TYPE_CHECKING:
    from bizon.config.loading import LoadedConfig
    from bizon.source.config import SourceConfig

_DESTINATION = {"name": "logger"}  # a configuration has one; nothing is written to it
_JOB = "records"


def records(
    config: Mapping[str, Any], *, source: GivenSource | None = None, since: datetime | None = None
) -> Iterator[SourceRecord]:
    """The records of a source, one by one; a page is fetched when its first record is wanted.

    ``config`` has the shape of the YAML; ``name``, ``destination`` and ``engine`` are ignored. ``source``: see
    ``RunnerFactory.create_from_config_dict``. ``since``: only records that changed since then, by
    ``get_records_after``; from the whole unit of ``cursor_resolution`` on.

    The rules of a run apply: ``check_connection`` first, retries, ``max_iterations``, transforms, and ``on_error``;
    ``dead_letter`` skips a record like ``skip``. No state is kept: the next call begins at the first page. Numbers in
    ``data`` are Python's, so one that a float cannot hold is rounded. Raises ConfigError at once, and the errors that
    end a run (SourceError, TransformError) during the iteration.
    """
    return (record for frame in _pages(config, source, since) for record in _records_in(frame))


def records_frame(
    config: Mapping[str, Any], *, source: GivenSource | None = None, since: datetime | None = None
) -> pl.DataFrame:
    """All records of a source as one Polars frame, a column per key of ``data``; they must fit into memory.

    The parameters are the ones of ``records``. Polars infers the types of the columns. Raises SourceFetchError when the
    values of a key do not fit into one column.
    """
    texts = [frame["data"] for frame in _pages(config, source, since) if not frame.is_empty()]
    if not texts:
        return pl.DataFrame()
    try:
        return pl.read_ndjson("\n".join(pl.concat(texts)).encode(), infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise SourceFetchError(
            f"the records do not form a frame: {reason}; read them one by one with records()"
        ) from None


def _pages(config: Mapping[str, Any], source: GivenSource | None, since: datetime | None) -> Iterator[pl.DataFrame]:
    kept = {key: value for key, value in config.items() if key not in ("destination", "engine", "streams")}
    loaded = load_config_dict({"name": _JOB, **kept, "destination": _DESTINATION}, source)
    block = loaded.config.source
    if block.is_endless:
        raise ConfigError("sync_mode stream has no end; read the records with another", key=("source", "sync_mode"))
    if since is not None and not supports_incremental(resolve_source_class(block)):
        raise ConfigError(
            f"source '{block.name}' cannot tell which records changed since then: it has no get_records_after"
        )
    return fetched_pages(loaded, since)


def fetched_pages(loaded: "LoadedConfig", since: datetime | None) -> Iterator[pl.DataFrame]:
    """The pages of a source as source frames, after the transforms; a page is fetched when it is wanted.

    ``since``: only the records that changed since then. Raises the errors that end a run.
    """
    config, block = loaded.config, loaded.config.source
    with loaded.masked(), opened_source(config) as source:
        state = None if since is None else _window(block, since)
        context = RunContext.without_job(config, state)
        fetcher = build_fetcher(context, source, context.new_monitor())
        transform = Transform(config.transforms, config.on_error)
        cursor = Cursor(block.name, block.stream, context.run.job_id)
        while not cursor.is_finished and cursor.iteration != block.max_iterations:
            message = fetcher.fetch(cursor.iteration, cursor.pagination)
            cursor.update_state(message.pagination, message.frame.height)
            good, refused = split_rejected(transform.apply_transforms(message.frame))
            for reason in refused["reason"]:
                logger.warning("a record is skipped: {}", reason)
            yield good


def _window(block: "SourceConfig", since: datetime) -> SourceIncrementalState:
    """From the whole unit of ``cursor_resolution`` on, as in a run."""
    return SourceIncrementalState(last_run=floored(since, cursor_resolution(block)), cursor_field=block.cursor_field)


def _records_in(frame: pl.DataFrame) -> Iterator[SourceRecord]:
    for id_, data, timestamp, destination_id in frame.select("id", "data", "timestamp", "destination_id").iter_rows():
        yield SourceRecord(id_, json.loads(data), timestamp, destination_id)
