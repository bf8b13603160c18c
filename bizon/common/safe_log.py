"""loguru's logger without secrets in its records, neither in their text nor in the variables of a traceback."""

from typing import TYPE_CHECKING

import loguru

from bizon.common.scrub import Scrubber

if TYPE_CHECKING:
    from loguru import Record

FAILURE = "failure"
"""Extra of a log record that repeats the error of the run. A sink may skip it if the end of the run shows the error."""

STREAM = "stream"
"""Extra of a log record that belongs to one of several streams: its name."""

_WARNING = 30
_scrub = Scrubber()


def _without_secrets(record: "Record") -> None:
    """Scrub a record. An exception becomes text, since sinks such as loguru's own print the variables of each frame,
    headers included. From WARNING on, texts quote errors and are shortened."""
    is_grave = record["level"].no >= _WARNING
    message = _scrub.brief(record["message"]) if is_grave else _scrub(record["message"])
    exception = record["exception"]
    if exception is not None and exception.value is not None:
        message = f"{message}\n{_scrub.traceback_of(exception.value)}"
    record["message"], record["exception"] = message, None


logger = loguru.logger.patch(_without_secrets)
"""The logger of every module of bizon, safe with the sinks of a program that uses bizon as a library.

The only exception is the ``logger`` destination, which logs records."""
