"""Writing to the terminal."""

import os
import sys
from typing import TextIO


def say(text: str) -> None:
    """A line of output. When its reader has gone (``| head``) it is dropped, and so is all that follows."""
    _write(sys.stdout, text)


def complain(text: str) -> None:
    """A line about what went wrong."""
    _write(sys.stderr, text)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except BrokenPipeError:  # point the descriptor elsewhere, or the interpreter trips over it again at its end
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
