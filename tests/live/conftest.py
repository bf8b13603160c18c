"""The scenarios of the emulators against Google itself, for those who have an account; off by default.

They are collected where BIZON_TEST_LIVE_PROJECT names a project, with the credentials of the machine, which need the
roles BigQuery Admin and Storage Admin. Each test makes a dataset and a bucket of its own and removes them; the cost is
some cents::

    BIZON_TEST_LIVE_PROJECT=my-project python -m pytest tests/live -n 4
"""

import os
from collections.abc import Iterator

import pytest
from bigquery import Warehouse

PROJECT = os.environ.get("BIZON_TEST_LIVE_PROJECT", "")
collect_ignore_glob = [] if PROJECT else ["test_*.py"]


@pytest.fixture
def warehouse() -> Iterator[Warehouse]:
    """An empty dataset and an empty bucket, at Google's."""
    made = Warehouse(None, PROJECT)
    yield made
    made.close()
