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


class ConsoleLogs:
    """The one sink of the command, on stderr. All that it writes is scrubbed, tracebacks included."""

    def __init__(self, level: str, scrub: Scrubber, write: Callable[[str], None]) -> None:
        logger.remove()
        self._level, self._scrub, self._write = level, scrub, write
        self._sink = self._added()

    def change(self, level: str, scrub: Scrubber, write: Callable[[str], None]) -> None:
        """From now on, log at this level, mask what ``scrub`` knows, and hand the text to ``write``."""
        self._scrub, self._write = scrub, write
        if level != self._level:  # a new sink costs some milliseconds
            self.close()
            self._level = level
            self._sink = self._added()

    def close(self) -> None:
        """Stop logging."""
        logger.remove(self._sink)

    def _added(self) -> int:
        verbose = self._level in VERBOSE
        return logger.add(
            lambda message: self._write(self._scrub(message)),
            level=self._level,
            filter=lambda record: verbose or not record["extra"].get(FAILURE),
            format=_WITH_PLACE if verbose else _PLAIN,
            colorize=sys.stderr.isatty() and "NO_COLOR" not in os.environ,
            diagnose=False,
            backtrace=False,
        )


@contextmanager
def console_logs(level: str, scrub: Scrubber, write: Callable[[str], None] = write_to_stderr) -> Iterator[ConsoleLogs]:
    """Within: log on stderr, and nowhere else.

    Records that the end of the run repeats are skipped, except at the levels of ``VERBOSE``. Standard library loggers
    (urllib3 and the like) write to it too. Variables are never shown in tracebacks.
    """
    logs = ConsoleLogs(level, scrub, write)
    try:
        with standard_logging_bridged():
            yield logs
    finally:
        logs.close()
