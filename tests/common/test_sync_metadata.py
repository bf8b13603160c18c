"""How the rows of a run reach its output."""

import pytest

from bizon.common.sync import SyncMetadata
from bizon.destination.models import WriteMode


def metadata(sync_mode: str, **more: bool) -> SyncMetadata:
    return SyncMetadata(
        name="pipe",
        job_id="job",
        source_name="made",
        stream_name="up",
        sync_mode=sync_mode,
        destination_name="file",
        destination_alias="file",
        **more,
    )


@pytest.mark.parametrize(
    ("sync_mode", "write_mode"),
    [("full_refresh", WriteMode.REPLACE), ("incremental", WriteMode.APPEND), ("stream", WriteMode.IN_PLACE)],
)
def test_the_write_mode_follows_the_sync_mode(sync_mode: str, write_mode: WriteMode) -> None:
    assert metadata(sync_mode).write_mode is write_mode


def test_an_incremental_job_that_replaces_its_output_keeps_its_sync_mode() -> None:
    found = metadata("incremental", replaces=True)
    assert (found.sync_mode, found.write_mode) == ("incremental", WriteMode.REPLACE)
