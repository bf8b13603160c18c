"""Writing to the terminal, or to whatever replaces it: a closed stream, a full disk, a pipe without a reader, an old
encoding. An error becomes one message and an exit code: no command ends in a traceback."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from bizon.common.errors.errors import BizonError, ConfigError, ExitCode, exit_code_of
from bizon.common.interrupts import in_words

if TYPE_CHECKING:
    from bizon.common.scrub import Scrubber

_STANDARD = (0, 1, 2)
_STDOUT, _STDERR = 1, 2


def steady_streams() -> None:
    """Make the standard streams usable. Called when the command starts, before any file is opened.

    A closed stream becomes the null device. Otherwise the next opened file would get its number, and everything that
    libraries write to stdout and stderr. Characters that an encoding lacks are shown as escapes. Text that stderr
    cannot take is dropped: no command fails because nobody reads its logs.
    """
    for descriptor in _STANDARD:
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number, which is this one
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - as below
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    sys.stdout = open(  # noqa: SIM115 - for as long as the process lives
        _STDOUT, "w", encoding=encoding, errors="backslashreplace", closefd=False
    )
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(_LossyFile(_STDERR, "w", closefd=False)),
        encoding=getattr(sys.stderr, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=True,
        write_through=True,
    )


def file_names_in_utf8() -> None:
    """Restart in Python's UTF-8 mode if file names could only be ASCII, as in the locale ``C`` with that mode off.
    Called when the command starts."""
    if sys.getfilesystemencoding() == "ascii" and not sys.flags.utf8_mode:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def say(text: str) -> None:
    """Print a line of output. Once its reader has gone (``| head``), this line and all later ones are dropped.

    Raises OSError when the line cannot be written for another reason: the command exists to produce this output.
    """
    _write(sys.stdout, text)


def say_if_possible(text: str) -> None:
    """Print a line about finished work; drop it when it cannot be written."""
    with suppress(OSError):
        _write(sys.stdout, text)


def complain(text: str) -> None:
    """Print a line about a failure; drop it when it cannot be written."""
    with suppress(OSError):
        _write(sys.stderr, text)


def give_up(error: OSError) -> None:
    """Report that the output of the command cannot be written."""
    _redirect_to_null(sys.stdout)
    complain(f"Error: the output cannot be written: {error.strerror}")


@contextmanager
def guarded() -> Iterator[None]:
    """Around the body of a command: an error becomes one message and its exit code."""
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - the last line of defence before the user
        import typer

        raise typer.Exit(report_error(error)) from None


def report_error(error: BaseException, scrub: "Scrubber | None" = None, *, with_traceback: bool = False) -> ExitCode:
    """Print an error without secrets, and return its exit code. ``scrub``: knows the secrets of one pipeline; secrets
    that the process has learned are always removed."""
    from bizon.common.scrub import Scrubber  # loads pydantic, which a command may do without

    scrub = scrub or Scrubber()
    if with_traceback:
        complain(scrub.traceback_of(error))
    if isinstance(error, KeyboardInterrupt):
        complain("Interrupted.")
        return ExitCode.INTERRUPTED
    complain(f"Error: {error_text(error, scrub)}")
    return exit_code_of(error)


def error_text(error: BaseException, scrub: "Scrubber") -> str:
    """An error in words, without secrets. The message of a BizonError is complete and stands alone."""
    if isinstance(error, BizonError):
        return scrub.lines(str(error)) if isinstance(error, ConfigError) else scrub.brief(str(error))
    if isinstance(error, SystemExit):
        return scrub.brief(in_words(error))
    name = type(error).__name__
    return f"unexpected {name}: {scrub.brief(str(error))}; run again with --log-level DEBUG for the traceback"


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except OSError as error:
        _redirect_to_null(stream)
        if not isinstance(error, BrokenPipeError):
            raise


def _redirect_to_null(stream: TextIO) -> None:
    """Otherwise the interpreter fails again on the rest of the buffer when it ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


class _LossyFile(io.FileIO):
    """A file that accepts everything, and drops what cannot be written."""

    def write(self, data: Any, /) -> int:
        written = None
        with suppress(OSError):
            written = super().write(data)
        return memoryview(data).nbytes if written is None else written  # None: the write would have blocked
