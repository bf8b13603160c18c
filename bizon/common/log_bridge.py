"""Log records of the standard library, passed on to loguru, so that one kind of sink sees everything."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from bizon.common.safe_log import logger

FAILURE = "failure"
"""Extra of a log record whose text is the error of the run too: who shows that at the end need not show the record."""


@contextmanager
def standard_logging_bridged() -> Iterator[None]:
    """Within: what libraries log through ``logging`` reaches loguru's sinks. Only for who owns the process's logs:
    the CLI, and the child processes of a run."""
    bridge = _Bridge()
    logging.getLogger().addHandler(bridge)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(bridge)


class _Bridge(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        known = record.levelname if record.levelname in logging.getLevelNamesMapping() else record.levelno
        place = {"name": record.name, "function": record.funcName, "line": record.lineno}
        patched = logger.patch(lambda own: own.update(**place))  # type: ignore[call-arg]
        patched.opt(exception=record.exc_info).log(known, "{}", record.getMessage())
