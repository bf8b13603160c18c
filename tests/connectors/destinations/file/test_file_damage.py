"""Staging that is not what was committed is never published, and the message names it."""

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import matrices
import pytest
from connectors.destinations.file.file_runs import Job, bury, ids_in, rows_of

from bizon.common.errors.errors import DestinationError

FORMATS = pytest.mark.parametrize("format", ["json", "parquet"])
MODES = pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental"])
_TICK = 0.02  # seconds; the clock of the file system has moved on
_DIFFERS = "staging does not hold what was committed"
Damage = Callable[[random.Random, list[Path]], None]


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _handle: None)


def flip(chance: random.Random, files: list[Path]) -> None:
    file = chance.choice(files)
    content = bytearray(file.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def cut(chance: random.Random, files: list[Path]) -> None:
    file = chance.choice(files)
    os.truncate(file, chance.randrange(file.stat().st_size))


def append(chance: random.Random, files: list[Path]) -> None:
    with chance.choice(files).open("ab") as handle:
        handle.write(chance.randbytes(chance.randint(1, 500)))


def swap(chance: random.Random, files: list[Path]) -> None:
    """The content of two files, or of the halves of one."""
    if len(files) > 1:
        one, other = chance.sample(files, 2)
        content = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(content)
        return
    content = files[0].read_bytes()
    files[0].write_bytes(content[len(content) // 2 :] + content[: len(content) // 2])


def zero(chance: random.Random, files: list[Path]) -> None:
    file = chance.choice(files)
    content = bytearray(file.read_bytes())
    start = chance.randrange(len(content))
    end = min(start + chance.randint(1, 64), len(content))
    content[start:end] = bytes(end - start)
    file.write_bytes(content)


def staged() -> list[Path]:
    return sorted(path for path in Path(".bizon").rglob("0*") if path.is_file())


def counts_still(path: Path, content: bytes) -> bool:
    """Extra lines of a superseded start may follow the committed ones; a Parquet file may have no extra content."""
    found = path.read_bytes()
    return found == content or (path.suffix == ".json" and found.startswith(content))


def failure_of(work: Callable[[], object]) -> DestinationError | None:
    try:
        work()
    except DestinationError as error:
        return error
    return None


def begun(sync_mode: str, format: str, pages: int = 3) -> Job:
    """The output of an earlier job, and a job with committed pages."""
    bury()
    for path in Path().iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    Job("job0", sync_mode, config={"format": format}).run([["old"]]).close()
    job = Job("job1", sync_mode, config={"format": format})
    destination = job.prepared()
    for page in range(pages):
        job.add(destination, page, f"{page}a", f"{page}b")
    return job


def wanted(sync_mode: str, pages: int = 3) -> list[str]:
    old = ["old"] if sync_mode == "incremental" else []
    return [*old, *(f"{page}{letter}" for page in range(pages) for letter in "ab")]


@pytest.mark.parametrize("is_at_work", [False, True], ids=["killed", "at work"])
@FORMATS
def test_random_damage_is_named_and_never_published(format: str, is_at_work: bool) -> None:
    """83 of 200 damaged staging files used to be published with exit code 0."""
    chance, main = random.Random(f"{format} {is_at_work}"), Path(f"out.{format}")
    refused, count = 0, matrices.examples(80 if is_at_work else 200)
    for number in range(count):
        sync_mode = chance.choice(["full_refresh", "incremental"])
        job = begun(sync_mode, format)
        before = {path: path.read_bytes() for path in staged()}
        if is_at_work:
            time.sleep(_TICK)
        damage: Damage = chance.choice([flip, cut, append, swap, zero])
        damage(chance, staged())
        is_changed = any(not counts_still(path, content) for path, content in before.items())
        error = failure_of(lambda job=job: job.publish(job.destination if is_at_work else job.prepared()))
        assert (error is not None) == is_changed, f"{number}: {damage.__name__}: {error}"
        if error is None:
            assert ids_in(main) == wanted(sync_mode)
            continue
        refused += 1
        assert _DIFFERS in str(error), damage
        assert any(path.name[:6] in str(error) for path in before), damage
        assert ids_in(main) == ["old"]
        Job("job2", sync_mode, config={"format": format}).run([["new"]])  # as --fresh does
        assert ids_in(main) == (["old", "new"] if sync_mode == "incremental" else ["new"])
    assert refused >= count / 4


@MODES
@FORMATS
def test_staging_that_is_removed_under_a_run_stops_the_publication(sync_mode: str, format: str) -> None:
    job = begun(sync_mode, format)
    shutil.rmtree(staged()[0].parent)
    with pytest.raises(DestinationError, match=rf"{_DIFFERS}: pages 0-0 .* is missing or cut"):
        job.publish(job.destination)
    assert ids_in(Path(f"out.{format}")) == ["old"]


@MODES
@FORMATS
def test_other_content_of_the_same_size_stops_the_publication(sync_mode: str, format: str) -> None:
    job = begun(sync_mode, format)
    time.sleep(_TICK)
    file = staged()[0]
    content = file.read_bytes()
    file.write_bytes(content.replace(b"0a", b"9z"))
    assert file.stat().st_size == len(content)
    with pytest.raises(DestinationError, match=rf"{_DIFFERS}: .*checksum"):
        job.publish(job.destination)
    assert ids_in(Path(f"out.{format}")) == ["old"]


@MODES
@FORMATS
def test_rows_of_another_job_in_the_place_of_ours_stop_the_publication(sync_mode: str, format: str) -> None:
    job = begun(sync_mode, format)
    time.sleep(_TICK)
    other = Job("job1", sync_mode, config={"format": format, "destination_id": "elsewhere"})
    for page in range(3):
        other.add(other.destination if page else other.prepared(), page, f"{page}x", f"{page}y")
    ours, theirs = (
        sorted(path for path in staged() if f"{name}.{format}" in str(path.parent)) for name in ("out", "elsewhere")
    )
    shutil.copyfile(theirs[0], ours[0])
    with pytest.raises(DestinationError, match=_DIFFERS):
        job.publish(job.destination)
    assert ids_in(Path(f"out.{format}")) == ["old"]


@MODES
@FORMATS
def test_a_duplicate_batch_is_published_once(sync_mode: str, format: str) -> None:
    job = begun(sync_mode, format)
    if format == "json":
        with staged()[0].open("ab") as handle:
            handle.write(staged()[0].read_bytes())
    else:
        shutil.copyfile(staged()[0], staged()[0].with_name("0000000003-0000000003-2-1.parquet"))
    job.publish(job.destination)
    assert ids_in(Path(f"out.{format}")) == wanted(sync_mode)


@MODES
def test_a_part_that_grew_is_not_published(sync_mode: str) -> None:
    """A single part becomes the output as it is."""
    job = begun(sync_mode, "parquet", pages=1)
    with staged()[0].open("ab") as handle:
        handle.write(b"more")
    with pytest.raises(DestinationError, match=rf"{_DIFFERS}: pages 0-0 .* bytes"):
        job.publish(job.destination)
    assert ids_in(Path("out.parquet")) == ["old"]


@pytest.mark.parametrize("at", ["the last batch", "an earlier batch"])
def test_a_batch_that_is_recorded_twice_stops_the_publication(at: str) -> None:
    job = begun("full_refresh", "json")
    job.committed.append(job.committed[-1 if at == "the last batch" else 0])
    with pytest.raises(DestinationError, match=rf"{_DIFFERS}: .* begins at byte"):
        job.publish(job.destination)
    assert ids_in(Path("out.json")) == ["old"]


@FORMATS
def test_a_batch_that_was_recorded_and_never_written_stops_the_publication(format: str) -> None:
    job = begun("full_refresh", format)
    job.committed.append(type(job.committed[0])(3, 3, 2, None))
    with pytest.raises(DestinationError, match=r"pages 3-3 were not staged for .*--fresh"):
        job.publish(job.destination)
    assert ids_in(Path(f"out.{format}")) == ["old"]


def test_damage_before_a_write_is_not_covered_by_it() -> None:
    """The run's last write says nothing about the bytes before it."""
    job = begun("full_refresh", "json")
    time.sleep(_TICK)
    file = staged()[0]
    file.write_bytes(file.read_bytes().replace(b"0a", b"9z"))
    assert job.write(job.destination, 3, 3, rows_of("3a", "3b")) == (True, None)
    job.commit(3, 2)
    with pytest.raises(DestinationError, match=rf"{_DIFFERS}: pages 0-0"):
        job.publish(job.destination)
