"""Ports for servers that tests start."""

import random
import socket
from contextlib import suppress

_SERVER_PORTS = (10_000, 30_000)  # below the ports that connections get


def free_port() -> int:
    """A free port of 127.0.0.1. The system never gives this port to a connection, even while its server is starting or
    stopped."""
    while True:
        port = random.SystemRandom().randrange(*_SERVER_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
