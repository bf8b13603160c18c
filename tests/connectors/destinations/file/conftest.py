"""Fixtures of every test of the file destination."""

from collections.abc import Iterator

import pytest
from connectors.destinations.file.file_runs import bury


@pytest.fixture(autouse=True)
def _no_process_outlives_a_test() -> Iterator[None]:
    yield
    bury()
