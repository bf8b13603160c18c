"""The events of a child: its log records, the secrets it has learned, and its result."""

import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Lock
from typing import TYPE_CHECKING, Any

from loguru import logger

from bizon.common.errors.errors import BizonError
from bizon.common.safe_log import FAILURE
from bizon.engine.runner.adapters.wiring import Event

if TYPE_CHECKING:
    from loguru import Message

    from bizon.engine.pipeline.models import WorkerResult


class Reporter:
    """Sends events to the main process, log records included, so that only the main process has sinks."""

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self._connection = connection
        self._lock = Lock()

    def take_over_logging(self) -> None:
        logger.remove()
        logger.add(self._forward, format="{message}\n{exception}", level=0, diagnose=False, backtrace=False)

    def send(self, event: Event) -> None:
        with self._lock:
            self._connection.send(event)

    def pass_on(self, secret: str) -> None:
        """Send a secret that was learned here to the main process, which prints and stores."""
        with suppress(OSError):  # the main process is gone; the parent watch ends this one
            self.send(Event(learned=secret))

    def log_failure(self, error: BaseException, result: "WorkerResult") -> None:
        """Log the error that ended the role; the traceback belongs to a mistake in code."""
        mistake = None if isinstance(error, BizonError) else error
        logger.bind(**{FAILURE: True}).opt(exception=mistake).error(result.error)

    def _forward(self, message: "Message") -> None:
        record = message.record
        try:
            self.send(
                Event(
                    level=record["level"].name,
                    name=record["name"] or "",
                    function=record["function"],
                    line=record["line"],
                    text=str(message).rstrip("\n"),
                    failure=record["extra"].get(FAILURE, False),
                )
            )
        except OSError:
            sys.stderr.write(str(message))  # the main process is gone; the parent watch ends this one
