"""The log lines of a command, on stderr. The only place of the command that adds or removes log sinks."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from loguru import logger

from bizon.common.log_bridge import standard_logging_bridged
from bizon.common.safe_log import FAILURE, STREAM
from bizon.common.scrub import Scrubber

if TYPE_CHECKING:
    from loguru import Record

VERBOSE = frozenset({"TRACE", "DEBUG"})
"""Levels that show tracebacks and places in the code."""
_PLAIN = "{time:YYYY-MM-DD HH:mm:ss} | <level>{level: <8}</level> | {message}"
_WITH_PLACE = "{time:YYYY-MM-DD HH:mm:ss.SSS} | <level>{level: <8}</level> | {name}:{function}:{line} | {message}"


def write_to_stderr(text: str) -> None:
    """Write a log line when nothing else is on the terminal."""
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


class ConsoleLogs:
    """The command's only sink, on stderr. It scrubs all text, tracebacks included."""

    def __init__(self, level: str, scrub: Scrubber, write: Callable[[str], None]) -> None:
        logger.remove()
        self._level, self._scrub, self._write = level, scrub, write
        self._sink = self._add_sink()

    def change(self, level: str, scrub: Scrubber, write: Callable[[str], None]) -> None:
        """From now on, log at this level, mask the secrets of ``scrub``, and pass the text to ``write``."""
        self._scrub, self._write = scrub, write
        if level != self._level:  # a new sink costs some milliseconds
            self.close()
            self._level = level
            self._sink = self._add_sink()

    def close(self) -> None:
        """Stop logging."""
        logger.remove(self._sink)

    def _add_sink(self) -> int:
        verbose = self._level in VERBOSE
        return logger.add(
            lambda message: self._write(self._scrub(message)),
            level=self._level,
            filter=lambda record: verbose or not record["extra"].get(FAILURE),
            format=_with_streams(_WITH_PLACE if verbose else _PLAIN),
            colorize=sys.stderr.isatty() and "NO_COLOR" not in os.environ,
            diagnose=False,
            backtrace=False,
        )


def _with_streams(line: str) -> "Callable[[Record], str]":
    """The format of a line, which names the stream where several run."""
    plain = f"{line}\n{{exception}}"
    with_stream = plain.replace("{message}", f"{{extra[{STREAM}]}} | {{message}}")
    return lambda record: with_stream if STREAM in record["extra"] else plain


@contextmanager
def console_logs(
    level: str, scrub: Scrubber | None = None, write: Callable[[str], None] = write_to_stderr
) -> Iterator[ConsoleLogs]:
    """Within: log to stderr only. ``scrub``: knows the secrets of one pipeline; None while none has been read.

    Records that the end of the run repeats are skipped, except at the levels of ``VERBOSE``. Standard library loggers
    (urllib3 and others) write there too. Tracebacks never show variables.
    """
    logs = ConsoleLogs(level, scrub or Scrubber(), write)
    try:
        with standard_logging_bridged():
            yield logs
    finally:
        logs.close()
