"""Ports for servers that tests start."""

import random
import socket
from contextlib import suppress

_SERVER_PORTS = (10_000, 30_000)  # below those that connections get


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment. The system does not give it to a connection either,
    while the server that is to have it is not up yet, or is down for a while."""
    while True:
        port = random.SystemRandom().randrange(*_SERVER_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
