"""Guards of the file destination that a run rarely meets: damage, foreign runs, superseded starts."""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from e2e.crash.crash_kit import FORMATS
from fakes import memory_backend

from bizon.common.errors.errors import (
    DestinationConnectionError,
    DestinationError,
    FinalizeError,
    OvertakenError,
    RowsRejectedError,
)
from bizon.common.private_files import append_private, create_private, make_private_folder
from bizon.connectors.destinations.file.src import output as output_module
from bizon.connectors.destinations.file.src.config import FileDestinationConfig
from bizon.connectors.destinations.file.src.destination import FileDestination
from bizon.connectors.destinations.file.src.manifest import State
from bizon.connectors.destinations.file.src.output import Claimant, Output
from bizon.connectors.destinations.file.src.publish import Publisher
from bizon.destination.models import Owner
from bizon.source.config import SourceSyncModes
from bizon.testing.destination_jobs import Job, Pipeline, records

FULL, APPENDED, STREAM = SourceSyncModes.FULL_REFRESH, SourceSyncModes.INCREMENTAL, SourceSyncModes.STREAM
Make = Callable[..., Pipeline]


@pytest.fixture
def pipeline(tmp_path: Path) -> Any:
    """Makes pipelines into ``out``; each has a state of its own."""
    with ExitStack() as ends:

        def make(mode: SourceSyncModes = FULL, format: str = "json", name: str = "pipe") -> Pipeline:
            config = {"destination_id": str(tmp_path / "folder" / "out"), "format": format}
            made = Pipeline(
                FileDestination, FileDestinationConfig(name="file", config=config), mode, memory_backend(), name=name
            )
            ends.callback(made.close)
            return made

        (tmp_path / "folder").mkdir()
        yield make


@pytest.fixture
def main(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "out.json"


def staged(job: Job, main: Path) -> Path:
    """The only file that the job has staged."""
    (file,) = [path for path in main.parent.glob(f".bizon/*/{job.id}.*/*") if path.is_file()]
    return file


def damage(path: Path) -> None:
    """Change one byte, and not the size. The clock of the file system moves in steps of some milliseconds."""
    time.sleep(0.02)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def published(main: Path) -> list[str]:
    return [line.partition('"source_record_id":"')[2].partition('"')[0] for line in main.read_text().splitlines()]


@pytest.mark.parametrize("format", FORMATS)
def test_committed_rows_that_are_not_staged_stop_the_start(pipeline: Make, main: Path, format: str) -> None:
    job = pipeline(format=format).job()
    job.start()
    job.commit(0, records("1", "2"))
    staged(job, main).unlink()
    with pytest.raises(DestinationError, match="staging does not hold what was committed: pages 0-0"):
        job.start()


@pytest.mark.parametrize("format", FORMATS)
def test_committed_rows_that_were_changed_stop_the_start(pipeline: Make, main: Path, format: str) -> None:
    job = pipeline(format=format).job()
    job.start()
    job.commit(0, records("1", "2"))
    damage(staged(job, main))
    with pytest.raises(DestinationError, match="was changed: its checksum differs"):
        job.start()


@pytest.mark.parametrize("format", FORMATS)
def test_committed_rows_that_were_changed_since_they_were_written_are_not_published(
    pipeline: Make, main: Path, format: str
) -> None:
    job = pipeline(format=format).job()
    job.start()
    job.commit(0, records("1", "2"))
    damage(staged(job, main))
    with pytest.raises(DestinationError, match="was changed: its checksum differs"):
        job.publish()
    assert not main.with_suffix(f".{format}").exists()


def test_checkpoints_that_leave_a_gap_in_what_is_staged_publish_nothing(pipeline: Make, main: Path) -> None:
    job = pipeline().job()
    job.start()
    for page in range(3):
        job.commit(page, records(str(page)))
    first, _, third = job.resume_point().committed
    with pytest.raises(DestinationError, match=r"pages 2-2 .* begins at byte"):
        job.destination.verify([first, third])


def test_lines_after_the_committed_ones_are_not_published(pipeline: Make, main: Path) -> None:
    job = pipeline().job()
    job.start()
    job.commit(0, records("1"))
    with staged(job, main).open("a") as lines:
        lines.write('{"source_record_id":"2"}\n')
    job.publish()
    assert published(main) == ["1"]


def test_a_superseded_start_finds_its_lines_gone(pipeline: Make, main: Path) -> None:
    job = pipeline().job()
    job.start()
    job.commit(0, records("1"))
    earlier = job.destination
    job.start()
    later, job._latest = job.destination, earlier
    with pytest.raises(OvertakenError):
        job.write(1, records("2"))
    job._latest = later
    job.commit(1, records("3"))
    job.publish()
    assert published(main) == ["1", "3"]


def test_a_superseded_start_overwrites_no_part_of_the_next_one(pipeline: Make, main: Path) -> None:
    job = pipeline(format="parquet").job()
    job.start()
    job.commit(0, records("1"))
    earlier = job.destination
    job.start()
    job.commit(1, records("2"))
    later, job._latest = job.destination, earlier
    job.write(1, records("3"))
    job._latest = later
    job.publish()


def test_an_output_that_changes_during_assembly_is_not_replaced(
    pipeline: Make, main: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    incremental = pipeline(APPENDED)
    incremental.load(records("1"))
    job = incremental.job()
    job.start()
    job.commit(0, records("2"))
    build = Publisher._build

    def built_slowly(self: Publisher, *args: Any) -> None:
        build(self, *args)
        with main.open("a") as lines:
            lines.write('{"source_record_id":"theirs"}\n')

    monkeypatch.setattr(Publisher, "_build", built_slowly)
    with pytest.raises(FinalizeError, match="changed by somebody else meanwhile"):
        job.publish()
    assert published(main) == ["1", "theirs"]
    monkeypatch.undo()
    job.publish()
    assert published(main) == ["1", "theirs", "2"]


def test_an_output_of_another_pipeline_is_refused_and_untouched(pipeline: Make, main: Path) -> None:
    pipeline().load(records("1"))
    with pytest.raises(DestinationConnectionError, match=r"belongs to pipeline 'pipe'.*use another destination_id"):
        pipeline(name="other").load(records("2"))
    assert published(main) == ["1"]


@pytest.mark.parametrize("mode", [FULL, APPENDED, STREAM])
def test_a_file_that_bizon_did_not_write_is_refused_and_untouched(
    pipeline: Make, main: Path, mode: SourceSyncModes
) -> None:
    main.write_text("precious\n")
    with pytest.raises((DestinationConnectionError, RowsRejectedError), match="bizon did not write it"):
        pipeline(mode).load(records("1"))
    assert main.read_text() == "precious\n"


@pytest.mark.parametrize("format", FORMATS)
def test_a_start_that_is_superseded_does_not_publish(pipeline: Make, main: Path, format: str) -> None:
    job = pipeline(format=format).job()
    job.start()
    job.commit(0, records("1"))
    earlier = job.destination
    job.start()
    earlier.verify(job.resume_point().committed)
    with pytest.raises(OvertakenError):
        earlier.finalize()
    assert not main.with_suffix(f".{format}").exists()
    job.publish()


@pytest.mark.parametrize("mode", [FULL, STREAM])
def test_a_start_that_is_superseded_before_it_claims_its_output_changes_nothing(
    pipeline: Make, main: Path, mode: SourceSyncModes
) -> None:
    """It used to cut off rows committed since."""
    of_mode = pipeline(mode)
    job = of_mode.job()
    earlier = of_mode.open(job.id)
    earlier.check_connection()
    told = replace(job.resume_point(), epoch=0)
    job.start()
    job.commit(0, records("1"))
    with pytest.raises(OvertakenError):
        earlier.prepare(told)
    job.end()
    assert published(main) == ["1"]


def test_a_start_waits_for_a_step_of_another_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_module, "_LONGEST_WAIT", 0.05)
    claimant = Claimant(Owner("pipe", "source", "items"), "job")
    one, same = Output(tmp_path / "out.json", claimant), Output(tmp_path / "out.json", claimant)
    one.claim(State.STAGING)
    with one.fenced(), pytest.raises(DestinationError, match="is locked by another run"), same.fenced():
        pass
    with same.fenced() as manifest:
        assert manifest.job_id == "job"


def test_a_run_with_another_state_is_refused_while_one_is_active(pipeline: Make, main: Path) -> None:
    """Two runs that did not know each other used to replace 60 rows by 50."""
    job = pipeline().job()
    job.start()
    job.commit(0, records("1"))
    with pytest.raises(DestinationConnectionError, match="whose job the state of this run does not know"):
        pipeline().load(records("2"))
    job.publish()
    assert published(main) == ["1"]


def test_no_run_is_active_once_it_has_ended(pipeline: Make, main: Path) -> None:
    one = pipeline()
    one.load(records("1"))
    one.close()
    assert not list(main.parent.rglob("owner.json"))
    pipeline().load(records("2"))
    assert published(main) == ["2"]


def test_a_record_cannot_name_a_file_outside_the_folder_of_the_output(pipeline: Make, tmp_path: Path) -> None:
    job = pipeline(STREAM).job()
    job.start()
    with pytest.raises(RowsRejectedError, match="a record may only name files in"):
        job.write(0, records("1"), table=str(tmp_path / "elsewhere"))
    assert not (tmp_path / "elsewhere.json").exists()
    job.write(0, records("1"), table=str(tmp_path / "folder" / "below" / "it"))
    assert published(tmp_path / "folder" / "below" / "it.json") == ["1"]


def test_a_link_in_the_place_of_a_private_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").touch()
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    for opened in (append_private, create_private):
        with pytest.raises(OSError, match="link"):
            opened(tmp_path / "link")


def test_a_private_file_is_created_and_never_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("planted")
    with pytest.raises(FileExistsError):
        create_private(tmp_path / "file")


def test_private_files_are_readable_by_nobody_else(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        for number, opened in enumerate((append_private, create_private)):
            opened(tmp_path / str(number)).close()
            assert (tmp_path / str(number)).stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_a_link_in_the_place_of_a_private_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    with pytest.raises(NotADirectoryError, match="is a link to one"):
        make_private_folder(tmp_path / "link")
