"""The logger destination: what a person sees of a run."""

from typing import cast

import pytest
from connectors.destinations.file.file_runs import rows_of
from fakes import sync_metadata
from loguru import logger

from bizon.connectors.destinations.logger.src.config import LoggerDestinationConfig
from bizon.connectors.destinations.logger.src.destination import LoggerDestination
from bizon.engine.backend.backend import AbstractBackend
from bizon.monitoring.monitor import NoOpMonitor
from bizon.source.callback import NoOpSourceCallback
from bizon.source.config import SourceConfig


def destination(sync_mode: str = "full_refresh") -> LoggerDestination:
    metadata = sync_metadata(sync_mode)
    return LoggerDestination(
        sync_metadata=metadata,
        config=LoggerDestinationConfig(),
        backend=cast("AbstractBackend", None),
        source_callback=NoOpSourceCallback(SourceConfig(name="src", stream="things")),
        monitor=NoOpMonitor(metadata),
    )


@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental", "stream"])
def test_each_record_is_one_info_line_with_the_sync_mode_in_words(sync_mode: str) -> None:
    """On Python 3.11 and newer the label used to read SourceSyncModes.FULL_REFRESH."""
    lines: list[str] = []
    logger.add(lines.append, level="INFO", format="{level} {message}")
    written = destination(sync_mode).write_records(rows_of("a", "b"))
    assert written == (True, None)
    assert lines == [f'INFO [{sync_mode}] {{"n":"a"}}\n', f'INFO [{sync_mode}] {{"n":"b"}}\n']


def test_a_record_that_looks_like_a_format_string_is_logged_as_it_is() -> None:
    lines: list[str] = []
    logger.add(lines.append, level="INFO", format="{message}")
    destination().write_records(rows_of("a", data=[{"text": "{0} {name} <red>%s é🎉"}]))
    assert lines == ['[full_refresh] {"text":"{0} {name} <red>%s é🎉"}\n']


def test_it_is_always_reachable_and_has_nothing_to_publish() -> None:
    assert destination().check_connection() is True
    assert destination().finalize() is True


def test_it_says_where_the_records_are() -> None:
    assert destination().describe() == "the log"
