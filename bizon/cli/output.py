"""Writing to the terminal, and to whatever stands where a terminal would be: a closed stream, a full disk, a pipe whose
reader has gone, an encoding of another age."""

import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO

_STANDARD = (0, 1, 2)
_STDOUT, _STDERR = 1, 2


def steady_streams() -> None:
    """At the start of the command, before any file is opened: make the standard streams usable.

    A closed one becomes the null device, or the next file that is opened would get its number, and with it all that
    libraries write to stdout and stderr. Characters that an encoding lacks are shown as escapes. What stderr does not
    take is dropped: no command fails because nobody listens to its logs.
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
        io.BufferedWriter(_Steady(_STDERR, "w", closefd=False)),
        encoding=getattr(sys.stderr, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=True,
        write_through=True,
    )


def file_names_in_utf8() -> None:
    """At the start of the command: begin again in Python's UTF-8 mode where file names could only be ASCII, as in the
    locale ``C`` with that mode switched off."""
    if sys.getfilesystemencoding() == "ascii" and not sys.flags.utf8_mode:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def say(text: str) -> None:
    """A line of output. When its reader has gone (``| head``) it is dropped, and so is all that follows. Raises OSError
    when it cannot be written for another reason: the output is what the command is for."""
    _write(sys.stdout, text)


def say_if_possible(text: str) -> None:
    """A line about work that is done, whether anybody can read it or not."""
    with suppress(OSError):
        _write(sys.stdout, text)


def give_up(error: OSError) -> None:
    """The output cannot be written, and was what the command is for."""
    _point_nowhere(sys.stdout)
    complain(f"Error: the output cannot be written: {error.strerror}")


def complain(text: str) -> None:
    """A line about what went wrong; dropped when it cannot be written."""
    with suppress(OSError):
        _write(sys.stderr, text)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except OSError as error:
        _point_nowhere(stream)
        if not isinstance(error, BrokenPipeError):
            raise


def _point_nowhere(stream: TextIO) -> None:
    """Or the interpreter trips over what is left in the stream again when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class _Steady(io.FileIO):
    """A file that takes everything, and loses what cannot be written."""

    def write(self, data: Any, /) -> int:
        written = None
        with suppress(OSError):
            written = super().write(data)
        return memoryview(data).nbytes if written is None else written  # None: it would have had to wait
