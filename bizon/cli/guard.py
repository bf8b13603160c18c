"""From an exception to a message and an exit code: no command ends in a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from bizon.cli.output import complain
from bizon.common.errors.errors import BizonError, ConfigError, ExitCode, JobLockedError, MissingDependencyError
from bizon.common.interrupts import in_words

if TYPE_CHECKING:
    from bizon.common.scrub import Scrubber


@contextmanager
def guarded() -> Iterator[None]:
    """Around the body of a command: an error becomes one message and the exit code that fits."""
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - the last line of defence before the user
        from bizon.common.scrub import Scrubber  # loads pydantic, which a command may do without

        raise typer.Exit(report_error(error, Scrubber())) from None


def report_error(error: BaseException, scrub: "Scrubber", *, with_traceback: bool = False) -> ExitCode:
    """Print what went wrong, without secrets, and answer the exit code."""
    if with_traceback:
        complain(scrub.traceback_of(error))
    if isinstance(error, KeyboardInterrupt):
        complain("Interrupted.")
        return ExitCode.INTERRUPTED
    complain(f"Error: {error_text(error, scrub)}")
    if isinstance(error, JobLockedError):
        return ExitCode.LOCKED
    return ExitCode.CONFIG if isinstance(error, ConfigError | MissingDependencyError) else ExitCode.FAILED


def error_text(error: BaseException, scrub: "Scrubber") -> str:
    """An error in words, without secrets. bizon's own say everything themselves."""
    if isinstance(error, BizonError):
        return scrub.lines(str(error)) if isinstance(error, ConfigError) else scrub.brief(str(error))
    if isinstance(error, SystemExit):
        return scrub.brief(in_words(error))
    name = type(error).__name__
    return f"unexpected {name}: {scrub.brief(str(error))}; run again with --log-level DEBUG for the traceback"
