"""How the fixtures of servers respond when a server is not available."""

import os
from typing import NoReturn

import pytest


def server_or_skip(name: str, reason: str) -> NoReturn:
    """End the test that needs server ``name``: skip it on a laptop, fail it if ``CI`` is set.

    Called by a server's fixture that has found no server and could not start one; ``reason`` says what it tried.
    """
    if os.environ.get("CI", "").lower() in ("", "0", "false", "no"):
        pytest.skip(f"{name} is not available: {reason}")
    pytest.fail(f"{name} is not available, and CI must have it: {reason}", pytrace=False)
