"""Forwards log records of the standard library to loguru, so that one kind of sink sees all of them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from bizon.common.safe_log import logger


@contextmanager
def standard_logging_bridged() -> Iterator[None]:
    """Within: records of ``logging`` reach loguru's sinks. Only for code that owns the logs of its process: the CLI
    and the child processes of a run."""
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
