"""The process dies before any single operation on the disk, and the next run recovers."""

import os
import shutil
from collections.abc import Callable
from copy import copy
from pathlib import Path

import pytest
from connectors.destinations.file.file_runs import (
    Crash,
    Job,
    dying_before,
    forget_their_processes,
    ids_in,
    rows_of,
    survived,
)

from bizon.connectors.destinations.file.src.manifest import State
from bizon.connectors.destinations.file.src.output import Output

pytestmark = pytest.mark.matrix(share=8)

PAGES = [["1", "2"], [], ["3"], ["4"]]
ONE_PAGE = [["1"]]
MODES = pytest.mark.parametrize(
    ("sync_mode", "format", "pages"),
    [
        (mode, format, pages)
        for mode in ("full_refresh", "incremental")
        for format in ("json", "parquet")
        for pages in (PAGES, ONE_PAGE, [[]])
    ],
    ids=lambda value: f"{len(value)} pages" if isinstance(value, list) else value,
)
_MOST_OPERATIONS = 500


def start(sync_mode: str, format: str) -> tuple[Job, Path]:
    """An empty folder with the output of an earlier job, and a job that is about to start."""
    for path in Path().iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    Job("job0", sync_mode, config={"format": format}).run([["0"]])
    return Job("job1", sync_mode, config={"format": format}), Path(f"out.{format}")


def new_ids(sync_mode: str, pages: list[list[str]]) -> list[str]:
    old = ["0"] if sync_mode == "incremental" else []
    return old + [id_ for page in pages for id_ in page]


def old_or_new(main: Path, expected: list[str]) -> Callable[[], None]:
    """Looks at the file as a reader does, at every step."""
    good: set[bytes] = set()

    def look() -> None:
        content = main.read_bytes()
        if content not in good:
            assert ids_in(main) in (["0"], expected)
            good.add(content)

    return look


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _handle: None)


@pytest.mark.lesson("F-09", "F-10")
@MODES
def test_a_crash_anywhere_in_a_run_loses_nothing_and_doubles_nothing(
    sync_mode: str, format: str, pages: list[list[str]]
) -> None:
    """A killed incremental run used to leave 3,205 duplicates and a line that no parser takes."""
    expected = new_ids(sync_mode, pages)
    for number in range(_MOST_OPERATIONS):
        job, main = start(sync_mode, format)
        survivor = survived(lambda job=job: job.run(pages), number, old_or_new(main, expected))
        job.run(pages)
        assert ids_in(main) == expected, f"died before operation {number}"
        if survivor:
            break
    assert survivor
    assert number > 8


@pytest.mark.parametrize("pages", [PAGES, ONE_PAGE], ids=["many parts", "one part"])
@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental"])
def test_a_crash_in_finalize_and_another_in_its_retry_lose_nothing(sync_mode: str, pages: list[list[str]]) -> None:
    """A fifth of all pairs of crash points: the repetition has to be repeatable as well."""
    expected = new_ids(sync_mode, pages)
    first, done = 0, False
    while not done:
        second, caught = first % 5, False
        while not caught:
            job, main = start(sync_mode, "json")
            destination = job.prepared()
            for page, ids in enumerate(pages):
                if ids:
                    job.write(destination, page, page, rows_of(*ids))
                job.commit(page, len(ids))
            job.exhausted = True
            look = old_or_new(main, expected)
            done = survived(lambda job=job, made=destination: job.publish(made), first, look)
            caught = survived(lambda job=job: job.run([]), second, look)
            job.run([])
            assert ids_in(main) == expected, f"died before operations {first} and {second}"
            second += 5
        first += 1
        assert first < _MOST_OPERATIONS
    assert first > 4


@pytest.mark.parametrize("pages", [PAGES, ONE_PAGE], ids=["many parts", "one part"])
@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental"])
def test_finalize_can_be_repeated_without_prepare(sync_mode: str, pages: list[list[str]]) -> None:
    expected = new_ids(sync_mode, pages)
    for number in range(_MOST_OPERATIONS):
        job, main = start(sync_mode, "json")
        destination = job.prepared()
        for page, ids in enumerate(pages):
            if ids:
                job.write(destination, page, page, rows_of(*ids))
            job.commit(page, len(ids))
        survivor = survived(lambda job=job, made=destination: job.publish(made), number, old_or_new(main, expected))
        job.publish(destination)
        assert ids_in(main) == expected, f"died before operation {number}"
        if survivor:
            break
    assert survivor


@pytest.mark.parametrize("format", ["json", "parquet"])
def test_a_crash_in_the_middle_of_a_part_leaves_no_half_row(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    job, main = start("full_refresh", format)

    def tear(_frame: object, _format: object, target: object) -> None:
        target.write(b'{"bizon_id":"half')  # type: ignore[attr-defined]
        target.flush()  # type: ignore[attr-defined]
        raise Crash

    with monkeypatch.context() as torn:
        torn.setattr("bizon.connectors.destinations.file.src.destination.write_rows", tear)
        with pytest.raises(Crash):
            job.run(PAGES)
    job.run(PAGES)
    assert ids_in(main) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("is_seen", [True, False], ids=["death is seen", "it may live"])
@pytest.mark.parametrize("format", ["json", "parquet"])
def test_a_crash_anywhere_in_a_stream_loses_nothing_and_doubles_nothing(format: str, is_seen: bool) -> None:
    """Two files, one of them named by the records; a page counts once its checkpoint is there."""

    def run(job: Job) -> None:
        destination = job.prepared()
        for page in range(0 if job.last is None else job.last + 1, 3):
            for table in ("out", "routed"):
                assert job.write(destination, page, page, rows_of(f"{page}{table}"), table) == (True, None)
            job.commit(page, 2)

    for number in range(_MOST_OPERATIONS):
        for path in Path().iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        job = Job("job1", "stream", config={"format": format})
        survivor = survived(lambda job=job: run(job), number)
        if is_seen:
            forget_their_processes()
        run(job)
        for table in ("out", "routed"):
            assert ids_in(Path(f"{table}.{format}")) == [f"{page}{table}" for page in range(3)], number
        if survivor:
            break
    assert survivor
    assert number > 20


def test_a_replaced_file_is_on_disk_before_the_manifest_says_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of the steps, as the table in publish.py gives it."""
    job, _ = start("incremental", "json")
    steps: list[str] = []
    monkeypatch.setattr("bizon.connectors.destinations.file.src.publish.sync_folder", lambda f: steps.append(f.name))
    real = Output.mark
    monkeypatch.setattr(Output, "mark", lambda self, found, state: (steps.append(state), real(self, found, state))[1])
    job.run(PAGES)
    folder = Path.cwd().name
    staging = next(step for step in steps if step.startswith("job1."))
    assert steps == [staging, State.PUBLISHING, folder, State.PUBLISHED]


def test_the_crash_helper_really_stops_the_work() -> None:
    job = copy(Job())
    with pytest.raises(Crash), dying_before(0):
        job.run(ONE_PAGE)
    assert not Path("out.json").exists()
