"""Log lines on the terminal. The only place that adds or removes sinks."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from loguru import logger

from bizon.common.log_bridge import FAILURE, standard_logging_bridged
from bizon.common.scrub import Scrubber

VERBOSE = frozenset({"TRACE", "DEBUG"})
"""Levels at which tracebacks and places in the code are shown."""

_PLAIN = "{time:YYYY-MM-DD HH:mm:ss} | <level>{level: <8}</level> | {message}"
_WITH_PLACE = "{time:YYYY-MM-DD HH:mm:ss.SSS} | <level>{level: <8}</level> | {name}:{function}:{line} | {message}"


def write_to_stderr(text: str) -> None:
    """Where log lines go when nothing else is on the terminal."""
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


@contextmanager
def console_logs(level: str, scrub: Scrubber, write: Callable[[str], None] = write_to_stderr) -> Iterator[None]:
    """Within: one sink, on stderr, at this level. All that ``write`` gets is scrubbed, tracebacks included.

    Records that the end of the run repeats are skipped, except at the levels of ``VERBOSE``. Standard library loggers
    (urllib3 and the like) write to it too. Variables are never shown in tracebacks.
    """
    logger.remove()
    sink = logger.add(
        lambda message: write(scrub(message)),
        level=level,
        filter=lambda record: level in VERBOSE or not record["extra"].get(FAILURE),
        format=_WITH_PLACE if level in VERBOSE else _PLAIN,
        colorize=sys.stderr.isatty() and "NO_COLOR" not in os.environ,
        diagnose=False,
        backtrace=False,
    )
    try:
        with standard_logging_bridged():
            yield
    finally:
        logger.remove(sink)
