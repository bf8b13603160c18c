"""Servers that tests start, and tests that need a server, or a right on this machine, which is not available."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from emulator.serve import NoEmulatorError, Server

_NODE = Path(__file__).parents[1] / ".node_servers/node_modules/.bin"


def server_or_skip(name: str, reason: str) -> NoReturn:
    """End the test that needs ``name``: skip it on a laptop, fail it if ``CI`` is set.

    Called by a server's fixture that has found no server and could not start one, and where the system refuses a mount
    or a namespace; ``reason`` says what was tried.
    """
    if os.environ.get("CI", "").lower() in ("", "0", "false", "no"):
        pytest.skip(f"{name} is not available: {reason}")
    pytest.fail(f"{name} is not available, and CI must have it: {reason}", pytrace=False)


def beside_python(program: str) -> Path:
    """A program of a Python package."""
    return Path(sys.executable).with_name(program)


def of_node(program: str) -> Path:
    """A program that ``make node-servers`` installs. Ends the test without it."""
    path = _NODE / program
    if not path.exists():
        server_or_skip(program, "`make node-servers` installs it, which needs npm")
    return path


@contextmanager
def served(
    program: Path, arguments: Sequence[str], url: str, log: Path, env: dict[str, str] | None = None
) -> Iterator[Server]:
    """Within: a program answers at ``url``. Ends the test that needs it when it does not start."""
    server = Server([str(program), *arguments], url, log, env)
    try:
        server.start()
    except (NoEmulatorError, FileNotFoundError) as error:
        server_or_skip(program.name, str(error))
    try:
        yield server
    finally:
        server.stop()
