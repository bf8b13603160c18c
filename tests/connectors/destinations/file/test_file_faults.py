"""Disks that are full, folders that cannot be written, files that change: the old output stays, the error is clear."""

import errno
import os
import resource
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from connectors.destinations.file.file_runs import Job, ids_in, rows_of

from bizon.common.errors.errors import DestinationConnectionError, DestinationError, FinalizeError, OvertakenError
from bizon.destination.models import ResumePoint

_NOBODY = 65534  # user id
FORMATS = pytest.mark.parametrize("format", ["json", "parquet"])


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel refuses to let a file grow beyond ``size`` bytes, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Without root's right to write everywhere, where the tests run as root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@FORMATS
@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental", "stream"])
def test_a_disk_that_is_full_fails_the_write_and_leaves_nothing_behind(sync_mode: str, format: str) -> None:
    job = Job(sync_mode=sync_mode, config={"format": format})
    destination = job.prepared()
    job.write(destination, 0, 0, rows_of("0"))
    job.commit(0, 1)
    job.exhausted = sync_mode != "stream"
    with largest_file(2_000):
        written, reason = job.write(destination, 1, 1, rows_of(*(f"{n}-{os.urandom(20).hex()}" for n in range(2_000))))
    assert written is False
    assert "File too large" in str(reason)
    if sync_mode == "stream":
        assert ids_in(Path(f"out.{format}")) == ["0"], "readers do not see a torn row"
    job.run([])
    assert ids_in(Path(f"out.{format}")) == ["0"]


@pytest.mark.parametrize(
    ("sync_mode", "format"), [("incremental", "json"), ("full_refresh", "parquet"), ("incremental", "parquet")]
)
def test_a_disk_that_is_full_while_publishing_keeps_the_old_file(sync_mode: str, format: str) -> None:
    Job("job0", sync_mode, config={"format": format}).run([["old"]])
    job = Job("job1", sync_mode, config={"format": format})
    destination = job.prepared()
    ids = [[f"{page}-{number}-{os.urandom(20).hex()}" for number in range(20)] for page in range(10)]
    for page, rows in enumerate(ids):
        job.write(destination, page, page, rows_of(*rows))
        job.commit(page, 20)
    job.exhausted = True
    with largest_file(4_000), pytest.raises(FinalizeError, match=r"File too large.*run again"):
        job.publish(destination)
    assert ids_in(Path(f"out.{format}")) == ["old"]
    assert not list(Path(".bizon").rglob("ready*"))
    job.run([])
    old = ["old"] if sync_mode == "incremental" else []
    assert ids_in(Path(f"out.{format}")) == old + [id_ for rows in ids for id_ in rows]


def test_a_disk_error_leaves_the_part_unwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job()
    destination = job.prepared()

    def broken(handle: int) -> None:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as failing:
        failing.setattr(os, "fsync", broken)
        written, reason = job.write(destination, 0, 0, rows_of("0"))
    assert (written, "Input/output error" in str(reason)) == (False, True)
    assert [path.stat().st_size for path in Path(".bizon").rglob("0*")] == [0]


def test_a_stream_whose_journal_cannot_be_written_appends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(sync_mode="stream")
    destination = job.prepared()
    job.write(destination, 0, 0, rows_of("0"))
    with largest_file(Path(".bizon/out.json/journal").stat().st_size + 10):
        assert job.write(destination, 1, 1, rows_of("1"))[0] is False
    assert job.write(destination, 1, 1, rows_of("1")) == (True, None)
    job.commit(0, 1)
    job.prepared()
    assert ids_in(Path("out.json")) == ["0"]


def test_a_file_that_shrinks_while_it_is_copied_stops_the_publication(monkeypatch: pytest.MonkeyPatch) -> None:
    Job("job0").run([["old"]])
    job = Job(sync_mode="incremental")
    destination = job.prepared()
    for page in (0, 1):
        job.add(destination, page, str(page))

    def lazy(_source: int, _target: int, _count: int) -> int:
        return 0

    monkeypatch.setattr(os, "copy_file_range", lazy)
    with pytest.raises(FinalizeError, match="changed while it was copied"):
        job.publish(destination)
    assert ids_in(Path("out.json")) == ["old"]


@FORMATS
def test_rows_added_by_a_frozen_and_superseded_run_are_not_published(format: str) -> None:
    job = Job(config={"format": format})
    overtaken, current = job.prepared(), job.prepared()
    job.add(current, 0, "a", "b", last=1)
    job.write(overtaken, 0, 1, rows_of("stray", "stray"))
    job.write(overtaken, 2, 3, rows_of("stray", "stray"))
    job.add(current, 2, "c")
    job.publish(current)
    assert ids_in(Path(f"out.{format}")) == ["a", "b", "c"]


@FORMATS
@pytest.mark.parametrize("rows_before", [0, 1])
def test_rows_added_by_a_frozen_and_superseded_run_do_not_disturb_a_resume(format: str, rows_before: int) -> None:
    job = Job(config={"format": format})
    overtaken = job.prepared()
    if rows_before:
        job.write(overtaken, 0, 0, rows_of("a"))
    job.commit(0, rows_before)
    job.write(current := job.prepared(), 1, 3, rows_of("b", "c", "d"))
    job.commit(3, 3)
    with suppress(OvertakenError):  # with Parquet it only fails when it publishes
        job.write(overtaken, 1, 2, rows_of("stray", "stray"))
    job.exhausted = True
    assert job.write(current, 4, 4, rows_of("never committed")) == (True, None)
    with suppress(OvertakenError):
        job.write(overtaken, 3, 4, rows_of("stray", "stray"))
    resumed = job.prepared()
    with suppress(OvertakenError):
        job.write(overtaken, 5, 5, rows_of("stray"))
    job.publish(resumed)
    assert ids_in(Path(f"out.{format}")) == ["a", "b", "c", "d"][1 - rows_before :]


def test_a_part_of_pages_that_another_part_holds_is_left_out() -> None:
    job = Job(config={"format": "parquet"})
    destination = job.prepared()
    job.add(destination, 0, "a", "b", last=1)
    assert job.write(destination, 1, 2, rows_of("b", "c")) == (True, None)
    job.add(destination, 2, "c")
    job.publish(destination)
    assert ids_in(Path("out.parquet")) == ["a", "b", "c"]


@FORMATS
def test_missing_staged_rows_stop_the_publication(format: str) -> None:
    """It would lose rows that are committed."""
    job = Job(config={"format": format})
    destination = job.prepared()
    for page in (0, 1):
        job.add(destination, page, str(page))
    next(Path(".bizon").rglob("0*")).unlink()
    with pytest.raises(DestinationError, match=r"staging does not hold what was committed: .* is missing or cut"):
        job.publish(destination)
    assert not Path(f"out.{format}").exists()


def test_an_old_file_that_is_not_parquet_stays_as_it_is() -> None:
    Path("out.parquet").write_bytes(b"not parquet")
    job = Job(sync_mode="incremental", config={"format": "parquet"}, adopt=True)
    with pytest.raises(DestinationError, match=r"'.*out\.parquet' is not a Parquet file"):
        job.prepared()
    assert Path("out.parquet").read_bytes() == b"not parquet"


class TestCheckConnection:
    def test_it_creates_the_folder(self) -> None:
        assert Job(config={"destination_id": "deep/er/out"}).open().check_connection() is True
        assert Path("deep/er").is_dir()
        assert not Path("deep/er/out.json").exists()

    def test_a_folder_that_cannot_be_created_is_named(self) -> None:
        Path("plain").write_text("a file")
        with pytest.raises(DestinationConnectionError, match=r"plain/out\.json' cannot be written"):
            Job(config={"destination_id": "plain/out"}).open().check_connection()

    def test_a_folder_that_is_read_only_is_named(self) -> None:
        Path("locked").mkdir(mode=0o500)
        refused = pytest.raises(DestinationConnectionError, match=r"locked/out\.json' cannot be written")
        with ordinary_user(), refused:
            Job(config={"destination_id": "locked/out"}).open().check_connection()

    def test_a_folder_in_the_place_of_the_file_is_refused(self) -> None:
        Path("out.json").mkdir()
        with pytest.raises(DestinationConnectionError, match="is not a file"):
            Job().open().check_connection()

    def test_a_device_is_refused(self) -> None:
        Path("out.json").symlink_to("/dev/null")
        with pytest.raises(DestinationConnectionError, match="is not a file"):
            Job().open().check_connection()

    def test_a_parquet_file_in_the_place_of_a_stream_folder_is_refused(self) -> None:
        Job(config={"format": "parquet"}).run([["1"]])
        with pytest.raises(DestinationConnectionError, match="is not a folder"):
            Job("job2", "stream", config={"format": "parquet"}).open().check_connection()


def test_staging_that_cannot_be_made_is_an_error_of_prepare() -> None:
    job = Job()
    Path(".bizon").write_text("in the way")
    with pytest.raises(DestinationError, match="cannot be prepared"):
        job.open().prepare(ResumePoint("job1"))
