"""``--result-json``: how a run ended, for the program that started it."""

import errno
import json
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import BizonError, ConfigError, FailureClass

if TYPE_CHECKING:
    from bizon.engine.runner.models import RunnerStatus

UNKNOWN: dict[str, Any] = {
    "status": None,
    "failure_class": None,
    "job_id": None,
    "producer": None,
    "consumer": None,
    "stream": None,
    "records_written": 0,
    "records_rejected": 0,
    "values_rescued": 0,
    "dead_letters": None,
    "published": False,
    "partitions": None,
}
"""The content of the file as long as nothing is known."""
_MOST_LINKS = 40  # the limit of the Linux kernel
_NOT_REPLACEABLE = frozenset({errno.EACCES, errno.EBUSY, errno.EPERM, errno.EROFS, errno.EXDEV})
"""Errors of a replacement after which writing in place may still work: the file is a mount, as Kubernetes mounts
``/dev/termination-log``, or its folder belongs to another user."""


class ResultFile:
    """The file, always complete: each version is written to a temporary file and renamed. Links are followed. Without
    a path it does nothing.

    Only regular files are replaced. A device, a pipe, or a descriptor of this process (``/dev/stdout``) is written
    once, at the end.
    """

    def __init__(self, path: str | None) -> None:
        self.path = None if path is None else Path(path)
        self._file: Path | None = None
        self._descriptor: int | None = None
        self._is_final = False
        self._started_at = datetime.now(UTC)
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started

    def start(self) -> None:
        """Report that the run has started. Waits for the reader of a named pipe.

        Raises ConfigError when the file cannot be written.
        """
        if self.path is None:
            return
        try:
            self._open(self.path)
            self._write({"status": "running"}, is_final=False)
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"--result-json {self.path}: cannot be written: {reason}") from None

    def finish(self, known: dict[str, Any]) -> None:
        """Report how the run ended. Raises OSError."""
        self._write(known)

    def fail(self, error: BaseException, text: str) -> None:
        """Report that the run did not start, or that it broke off. Does nothing after ``finish``. If the file cannot be
        written, it keeps its old content."""
        status, failure_class = "failure", FailureClass.UNKNOWN
        if isinstance(error, KeyboardInterrupt):
            status, failure_class = "interrupted", FailureClass.KILLED
        elif isinstance(error, BizonError):
            failure_class = error.failure_class
        if not self._is_final:
            with suppress(OSError):
                self._write({"status": status, "failure_class": failure_class, "error": text})

    def _open(self, path: Path) -> None:
        self._descriptor = _descriptor_of(path)
        if self._descriptor is not None:
            os.fstat(self._descriptor)
            return
        path = path.resolve()
        if path.exists() and not path.is_file():
            self._descriptor = os.open(path, os.O_WRONLY)
        else:
            self._file = path

    def _write(self, known: dict[str, Any], *, is_final: bool = True) -> None:
        content = {
            **UNKNOWN,
            "started_at": self._started_at.isoformat(),
            "duration_s": round(self.seconds, 3),
            "error": None,
            **known,
        }
        text = (json.dumps(content, indent=2) + "\n").encode()
        if self._file is not None:
            _replace(self._file, text)
        elif self._descriptor is not None and is_final:
            _write_all(self._descriptor, text)
        self._is_final = is_final


def described(status: "RunnerStatus", error: str | None) -> dict[str, Any]:
    """How a run ended. ``error`` holds no secret."""
    return {
        "status": "interrupted" if status.interrupted else "success" if status.is_success else "failure",
        "failure_class": status.failure_class,
        "job_id": status.job_id,
        "producer": status.producer,
        "consumer": status.consumer,
        "stream": status.stream,
        "records_written": status.records_written,
        "records_rejected": status.records_rejected,
        "values_rescued": status.values_rescued,
        "dead_letters": status.dead_letters,
        "published": status.published,
        "partitions": None if status.parts is None else status.parts._asdict(),
        "error": error,
    }


def _descriptor_of(path: Path) -> int | None:
    """The descriptor of this process that a path names: ``/dev/stdout``, ``/dev/fd/3`` and links to them; else None.
    Opening such a path would start again at the beginning of its file."""
    own = {Path(folder).resolve() for folder in ("/proc/self/fd", "/dev/fd")}
    for _ in range(_MOST_LINKS):
        folder = path.parent.resolve()
        if folder in own and path.name.isdecimal():
            return int(path.name)
        if not path.is_symlink():
            return None
        path = folder / path.readlink()
    return None


def _replace(path: Path, text: bytes) -> None:
    """Replace the file as a whole; if it can be written but not replaced, overwrite it."""
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        temporary.write_bytes(text)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        if error.errno not in _NOT_REPLACEABLE or not path.is_file():
            raise
        path.write_bytes(text)


def _write_all(descriptor: int, text: bytes) -> None:
    while text:
        text = text[os.write(descriptor, text) :]
