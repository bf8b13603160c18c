"""Every error bizon raises on purpose.

BizonError
|- ConfigError              a YAML key or an option is wrong; names file, line and key; exit code 2
|  '- RunRefusedError       the destination refused the run before anything was fetched or staged
|- MissingDependencyError   an extra is not installed; names it (also an ImportError); exit code 2
|- SourceError
|  |- SourceConnectionError check_connection failed, or the host is unreachable
|  '- SourceFetchError      a page could not be fetched, or is not a valid page
|- TransformError           a user's snippet failed; carries label and record id
|- RunFailedError           a run did not succeed; raised only for programs that ask for it
|- QueueError               connect, put, get, a message too large
|- StoppedError             a wait ended early because the run must end; not a failure
|- BackendError             the state database failed
|  |- JobLockedError        another run of the same pipeline is in progress; exit code 3
|  '- OvertakenError        another start has taken over the job
|- ClusterError             the Ray cluster of the run is unreachable; nothing was fetched
'- DestinationError
   |- DestinationConnectionError
   |  '- TableRefusedError   the table is not one that this pipeline may write
   |- DestinationWriteError  write_records returned False or raised; nothing was recorded
   |  '- RowsRejectedError   some rows can never be written; on_error decides what happens to them
   |- FinalizeError          the output was not published; run the job again
   '- WatermarkError         the watermark belongs to another output; nothing was fetched

The class names the part that failed; ``retryable`` says whether a retry may help. A message says what happened, to
which stream, and the remedy. It never contains a configured secret.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum, StrEnum
from typing import Any, ClassVar


class ExitCode(IntEnum):
    """Exit codes of the ``bizon`` command."""

    OK = 0
    FAILED = 1
    CONFIG = 2
    LOCKED = 3
    INTERRUPTED = 130


class FailureClass(StrEnum):
    """The part of a run that failed, as the result file and ``RunnerStatus.failure_class`` name it."""

    CONFIG = "config"
    SOURCE = "source"
    DESTINATION = "destination"
    BACKEND = "backend"
    LOCKED = "locked"
    QUEUE = "queue"
    TRANSFORM = "transform"
    STREAM = "stream"
    CLUSTER = "cluster"
    KILLED = "killed"
    UNKNOWN = "unknown"


class BizonError(Exception):
    """Root of the tree. ``retryable`` is True when the same call may succeed later without a change.

    ``failure_class`` and ``exit_code`` are the same for all errors of a class; a subclass inherits them.
    """

    failure_class: ClassVar[FailureClass] = FailureClass.UNKNOWN
    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    retryable: bool = False


def exit_code_of(error: BaseException | None) -> ExitCode:
    """The exit code of a command that ends with this error. An error that is not bizon's own counts as FAILED."""
    return error.exit_code if isinstance(error, BizonError) else ExitCode.FAILED


class ConfigError(BizonError):
    """The configuration is wrong. The message is complete, and is printed without a traceback.

    ``key``: path of the key at fault, for example ``("source", "stream")``; None when the code that raises does not
    know it. The loader adds the line of the file.
    """

    failure_class = FailureClass.CONFIG
    exit_code = ExitCode.CONFIG

    def __init__(self, message: str, *, key: tuple[str | int, ...] | None = None) -> None:
        super().__init__(message)
        self.key = key


class RunRefusedError(ConfigError):
    """``check_connection`` of a destination raised ConfigError, for example because it cannot replace its output.
    Nothing was fetched or staged."""


class MissingDependencyError(BizonError, ImportError):
    """An optional package is not installed."""

    failure_class = FailureClass.CONFIG
    exit_code = ExitCode.CONFIG

    def __init__(self, extra: str, feature: str) -> None:
        super().__init__(f"{feature} needs an optional package: pip install 'bizon[{extra}]'")
        self.extra = extra


@contextmanager
def of_extra(extra: str, destination: str) -> Iterator[None]:
    """Within: a missing package of a destination belongs to an extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingDependencyError(extra, f"destination '{destination}' (module {error.name})") from error


class SourceError(BizonError):
    """The source failed."""

    failure_class = FailureClass.SOURCE


class SourceConnectionError(SourceError):
    """The source is unreachable or refuses the credentials. Nothing was fetched."""

    retryable = True


class SourceFetchError(SourceError):
    """One page could not be fetched, or is not a valid page. Earlier pages stay committed."""


class RunFailedError(BizonError):
    """A run did not succeed. ``status``: the ``RunnerStatus`` of the run."""

    def __init__(self, message: str, status: Any = None) -> None:
        super().__init__(message)
        self.status = status


class TransformError(BizonError):
    """A transform failed on a record."""

    failure_class = FailureClass.TRANSFORM

    def __init__(self, label: str, record_id: str, reason: str) -> None:
        super().__init__(f"transform '{label}' failed on record {record_id!r}: {reason}")
        self.label = label
        self.record_id = record_id


class QueueError(BizonError):
    """The queue between producer and consumer failed."""

    failure_class = FailureClass.QUEUE


class StoppedError(BizonError):
    """A wait before a retry ended early because the run must end. This is not a failure: the next run fetches the rest.
    A source need not catch it."""

    def __init__(self) -> None:
        super().__init__("the run was stopped while it waited for its next attempt")


class BackendError(BizonError):
    """The state database failed; the last committed checkpoint is unchanged."""

    failure_class = FailureClass.BACKEND


class JobLockedError(BackendError):
    """Another run of the same pipeline holds the lease. Nothing was done."""

    failure_class = FailureClass.LOCKED
    exit_code = ExitCode.LOCKED
    retryable = True


class OvertakenError(BackendError):
    """Another start has taken over the job, and delivers everything that this one has not committed."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job '{job_id}' was taken over by another run; this one stops")


class ClusterError(BizonError):
    """The cluster that the workers should run on is unreachable. Nothing was fetched."""

    failure_class = FailureClass.CLUSTER
    retryable = True


class DestinationError(BizonError):
    """The destination failed."""

    failure_class = FailureClass.DESTINATION


class DestinationConnectionError(DestinationError):
    """The destination is unreachable or refuses the credentials. Nothing was written."""

    retryable = True


class TableRefusedError(DestinationConnectionError):
    """The table is not one that this pipeline may write: another's, one that bizon did not write, or of another shape.
    When a record has named the table, ``write_records`` refuses its rows instead, see ``StagedDestination``."""


class DestinationWriteError(DestinationError):
    """A batch was not written. No checkpoint covers it, so the next run delivers it again."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class RowsRejectedError(DestinationWriteError):
    """Some rows of a batch can never be written: a value that does not fit its column. Raised by ``write_records``.

    ``reasons`` maps the position of a row in the frame to the reason; it need not name all such rows. Nothing of the
    batch was written. Depending on ``on_error``, the loader ends the run or calls again without these rows.
    """

    def __init__(self, reasons: Mapping[int, str]) -> None:
        if not reasons:
            raise ValueError("RowsRejectedError needs at least one row")
        first = reasons[min(reasons)]
        more = f" (and {len(reasons) - 1:,} more rows)" if len(reasons) > 1 else ""
        super().__init__(f"{first}{more}")
        self.reasons = dict(reasons)


class FinalizeError(DestinationError):
    """All rows are staged and committed, but the output was not published. The next run publishes it."""


class WatermarkError(DestinationError):
    """An incremental run would continue from a watermark that belongs to another output. Nothing was fetched."""
