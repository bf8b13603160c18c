"""The memory that several streams take together, however slow their destination is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("memory_of_streams.py")
MB = 1024 * 1024
LIBRARIES = 200 * MB
"""A run takes this in addition to the pages that wait: code, and pages that become columns."""


def measured(streams: int, buffer_size: int, page_size: int) -> dict[str, Any]:
    command = [sys.executable, "-c", "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"]
    command += [sys.executable, str(SCRIPT), *map(str, (streams, buffer_size, page_size))]
    # Linux counts the memory of who starts a process towards its peak: this one is large, the one between is small
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.matrix(share=3)
@pytest.mark.parametrize(("streams", "buffer_size", "page_size"), [(8, 8, 1), (4, 32, 2), (16, 16, 1)])
def test_streams_that_wait_for_a_destination_hold_the_memory_of_one(
    streams: int, buffer_size: int, page_size: int
) -> None:
    """Each of them used to hold at least 16 MB."""
    found = measured(streams, buffer_size, page_size)
    budget, page = 2 * buffer_size * MB, page_size * MB + MB // 8
    assert found["held"] > budget // 2, "they did not wait for the destination"
    assert found["most"] <= budget + streams * page, "a page that finds its queue empty passes"
    assert found["asked"] <= (budget + 2 * streams * page) // (page_size * MB), "a page for each is in flight"
    assert found["after"] - found["before"] <= 2 * budget + 4 * streams * page + LIBRARIES
