"""How the rows of a run reach its output."""

import pytest
from fakes import sync_metadata

from bizon.destination.models import WriteMode


@pytest.mark.parametrize(
    ("sync_mode", "write_mode"),
    [("full_refresh", WriteMode.REPLACE), ("incremental", WriteMode.APPEND), ("stream", WriteMode.IN_PLACE)],
)
def test_the_write_mode_follows_the_sync_mode(sync_mode: str, write_mode: WriteMode) -> None:
    assert sync_metadata(sync_mode).write_mode is write_mode


def test_an_incremental_job_that_replaces_its_output_keeps_its_sync_mode() -> None:
    found = sync_metadata("incremental", replaces=True)
    assert (found.sync_mode, found.write_mode) == ("incremental", WriteMode.REPLACE)
