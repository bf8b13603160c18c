"""What the fixtures of servers share: what to do when a server is absent."""

import os
from typing import NoReturn

import pytest


def server_or_skip(name: str, reason: str) -> NoReturn:
    """End the test that needs server ``name``: skipped on a laptop, failed where ``CI`` is set.

    Called by a server's fixture once it has found none and could start none; ``reason`` says what was tried.
    """
    if os.environ.get("CI", "").lower() in ("", "0", "false", "no"):
        pytest.skip(f"{name} is not here: {reason}")
    pytest.fail(f"{name} is not here, and CI must have it: {reason}", pytrace=False)
