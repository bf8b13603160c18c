"""``--result-json``: how a run ended, for the program that started it."""

import json
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import (
    BackendError,
    ConfigError,
    DestinationError,
    JobLockedError,
    MissingDependencyError,
    QueueError,
    SourceError,
    TransformError,
)

if TYPE_CHECKING:
    from bizon.engine.runner.models import RunnerStatus

_FAILURE_CLASSES = (
    (ConfigError, "config"),
    (MissingDependencyError, "config"),
    (SourceError, "source"),
    (DestinationError, "destination"),
    (JobLockedError, "locked"),
    (BackendError, "backend"),
    (QueueError, "queue"),
    (TransformError, "transform"),
    (KeyboardInterrupt, "killed"),
)


class ResultFile:
    """The file, always complete: each version is written aside and renamed. Without a path it does nothing."""

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)
        self._started_at = datetime.now(UTC)
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started

    def start(self) -> None:
        """Say that the run is on. Raises ConfigError when the file cannot be written."""
        try:
            self._write({"status": "running"})
        except OSError as error:
            raise ConfigError(f"--result-json {self._path}: cannot be written: {error.strerror}") from None

    def finish(self, status: "RunnerStatus", error: str | None) -> None:
        """Say how the run ended. Raises OSError."""
        outcome = "interrupted" if status.interrupted else "success" if status.is_success else "failure"
        self._write(
            {
                "status": outcome,
                "failure_class": status.failure_class,
                "job_id": status.job_id,
                "producer": status.producer,
                "consumer": status.consumer,
                "stream": status.stream,
                "records_written": status.records_written,
                "records_rejected": status.records_rejected,
                "dead_letters": status.dead_letters,
                "published": status.published,
                "error": error,
            }
        )

    def fail(self, error: BaseException, text: str) -> None:
        """Say that no run took place, or that it broke off. What cannot be written is left as it was."""
        failure_class = next((name for kind, name in _FAILURE_CLASSES if isinstance(error, kind)), "unknown")
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failure"
        with suppress(OSError):
            self._write({"status": status, "failure_class": failure_class, "error": text})

    def _write(self, known: dict[str, Any]) -> None:
        if self._path is None:
            return
        content = {
            "status": None,
            "failure_class": None,
            "job_id": None,
            "producer": None,
            "consumer": None,
            "stream": None,
            "records_written": 0,
            "records_rejected": 0,
            "dead_letters": None,
            "published": False,
            "started_at": self._started_at.isoformat(),
            "duration_s": round(self.seconds, 3),
            "error": None,
            **known,
        }
        aside = self._path.parent / f".{self._path.name}.{os.getpid()}.tmp"
        try:
            aside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            os.replace(aside, self._path)
        except OSError:
            with suppress(OSError):
                aside.unlink()
            raise
