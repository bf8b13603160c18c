"""Tests that need a server, or a right on this machine, which is not available."""

import os
from typing import NoReturn

import pytest


def server_or_skip(name: str, reason: str) -> NoReturn:
    """End the test that needs ``name``: skip it on a laptop, fail it if ``CI`` is set.

    Called by a server's fixture that has found no server and could not start one, and where the system refuses a mount
    or a namespace; ``reason`` says what was tried.
    """
    if os.environ.get("CI", "").lower() in ("", "0", "false", "no"):
        pytest.skip(f"{name} is not available: {reason}")
    pytest.fail(f"{name} is not available, and CI must have it: {reason}", pytrace=False)
