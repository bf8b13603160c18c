"""How a run of several streams ended."""

from typing import TYPE_CHECKING, NamedTuple, Self

from bizon.common.errors.errors import BizonError, FailureClass, RunFailedError
from bizon.common.interrupts import in_words

if TYPE_CHECKING:
    from bizon.engine.runner.models import RunnerStatus


class StreamEnd(NamedTuple):
    """How one stream ended. ``status`` is None when no job was opened: ``error`` says why, and without one the run was
    stopped before the stream began. ``seconds``: how long it ran."""

    name: str
    status: "RunnerStatus | None" = None
    error: BaseException | None = None
    seconds: float = 0.0

    @property
    def is_success(self) -> bool:
        """True when the stream was moved as far as this run should."""
        return self.status is not None and self.status.is_success and not self.status.interrupted

    @property
    def was_stopped(self) -> bool:
        """True when the run was asked to stop before this stream was done."""
        return self.error is None and (self.status is None or self.status.interrupted)

    @property
    def failure_class(self) -> FailureClass | None:
        """The part that failed, in one word; None for a success."""
        if self.status is not None:
            return self.status.failure_class
        if isinstance(self.error, BizonError):
            return self.error.failure_class
        return FailureClass.KILLED if self.error is None else FailureClass.UNKNOWN

    @property
    def reason(self) -> str:
        """Why it did not succeed, in words that may hold secrets; empty for a success."""
        if self.is_success:
            return ""
        if self.status is not None:
            return self.status.error or "no reason was given"
        if self.error is None:
            return "stopped on request before it began"
        return str(self.error) if isinstance(self.error, BizonError) else in_words(self.error)


class StreamsStatus(NamedTuple):
    """How the streams of a run ended, in the order of the file."""

    streams: tuple[StreamEnd, ...]

    @property
    def is_success(self) -> bool:
        """True when every stream succeeded."""
        return all(end.is_success for end in self.streams)

    @property
    def interrupted(self) -> bool:
        """True when ``stop`` was called before every stream was done, and none failed."""
        return not self.is_success and not self.failed

    @property
    def failed(self) -> tuple[StreamEnd, ...]:
        """The streams that neither succeeded nor were stopped on request."""
        return tuple(end for end in self.streams if not end.is_success and not end.was_stopped)

    @property
    def records_written(self) -> int:
        """Committed records of all streams."""
        return sum(end.status.records_written for end in self.streams if end.status is not None)

    def stream_end(self, name: str) -> StreamEnd:
        """How one stream ended. Raises KeyError."""
        return {end.name: end for end in self.streams}[name]

    def raise_on_failure(self) -> Self:
        """The status itself after a success. Raises RunFailedError, which carries it, after a failure or an
        interruption."""
        if self.is_success:
            return self
        reasons = " | ".join(f"{end.name}: {end.reason}" for end in self.streams if not end.is_success)
        raise RunFailedError(f"{self.to_string()}: {reasons}", self)

    def to_string(self) -> str:
        """One line for a person."""
        if self.is_success:
            return f"Pipeline finished with status Success ({len(self.streams)} streams)"
        behind = self.failed or tuple(end for end in self.streams if not end.is_success)
        names = ", ".join(end.name for end in behind)
        how = "failed" if self.failed else "stopped"
        outcome = "Failure" if self.failed else "Interrupted"
        return f"Pipeline finished with status {outcome} ({len(behind)} of {len(self.streams)} streams {how}: {names})"
