"""What the fixtures of servers share: a free port, and what to do when a server is absent."""

import os
import random
import socket
from contextlib import suppress
from typing import NoReturn

import pytest

_SERVER_PORTS = (10_000, 30_000)  # below those that connections get


def server_or_skip(name: str, reason: str) -> NoReturn:
    """End the test that needs server ``name``: skipped on a laptop, failed where ``CI`` is set.

    Called by a server's fixture once it has found none and could start none; ``reason`` says what was tried.
    """
    if os.environ.get("CI", "").lower() in ("", "0", "false", "no"):
        pytest.skip(f"{name} is not here: {reason}")
    pytest.fail(f"{name} is not here, and CI must have it: {reason}", pytrace=False)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment. The system does not give it to a connection either,
    while the server that is to have it is not up yet, or is down for a while."""
    while True:
        port = random.SystemRandom().randrange(*_SERVER_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
