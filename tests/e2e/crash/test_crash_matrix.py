"""The crash matrix: a run dies by SIGKILL at a named point, the next one finishes the job, and every record is there
once. In between the published output is the old one or the new one.

The points are described in ``crash_cli.py``. The seed of each case, a finished run of the first version, is made once
per mode and format and copied. The process runner commits and publishes with the same code in a child, so it goes
through all points with one format per mode, not with both.
"""

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e.crash.crash_kit import FORMATS, MODES, Rig

OLD_IS_PUBLISHED = [
    "after_write:2",
    "after_cursor:3",
    "after_cursor:4",
    "before_finalize",
    "ready_torn",
    "after_publishing",
    "before_replace",
]
NEW_IS_PUBLISHED = ["after_replace", "after_published", "discarding:2", "before_success", "after_success"]
RANDOM = [f"random:{nth}" for nth in (3, 11, 17, 22)]
MOST_RUNS = 3
Build = Callable[..., Rig]


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], Path]]:
    """The folder of a finished first run."""
    made: dict[tuple[str, str], Path] = {}

    def get(mode: str, format: str) -> Path:
        if (mode, format) not in made:
            folder = tmp_path_factory.mktemp("seed")
            rig = Rig(folder, mode, format)
            assert rig.run() == 0, rig.log()
            assert rig.rows() == rig.expected()
            made[mode, format] = folder
        return made[mode, format]

    yield get


@pytest.fixture
def build(tmp_path: Path, seeds: Callable[[str, str], Path]) -> Build:
    """A pipeline that has published version 1, and whose source has version 2 now."""

    def make(mode: str, format: str, runner: str) -> Rig:
        folder = tmp_path / "run"
        shutil.copytree(seeds(mode, format), folder)
        rig = Rig(folder, mode, format, runner)
        rig.change()
        return rig

    return make


def crash(rig: Rig, point: str) -> None:
    """The run dies at the point, and what is published is whole."""
    before = rig.rows()
    assert rig.run(point) == -signal.SIGKILL, rig.log()
    assert rig.rows() in (before, rig.expected())


def finish(rig: Rig) -> None:
    """Run until success; then every record is there once, and nothing is left behind."""
    codes = []
    while not codes or codes[-1] != 0:
        assert len(codes) < MOST_RUNS, f"{codes}\n{rig.log()}"
        codes.append(rig.run())
    assert rig.rows() == rig.expected()
    assert set(rig.statuses()) == {"succeeded"}
    assert rig.leftovers() == []
    assert "Traceback" not in rig.log()


@pytest.mark.lesson("F-03", "F-04", "F-05", "F-06", "F-12")
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("point", [*OLD_IS_PUBLISHED, *NEW_IS_PUBLISHED, *RANDOM])
def test_a_thread_run_that_dies_is_finished_by_the_next(build: Build, point: str, mode: str, format: str) -> None:
    """A kill used to leave rows twice, a half written output, or a success whose rows were never published."""
    rig = build(mode, format, "thread")
    old = rig.rows()
    crash(rig, point)
    if point not in RANDOM:
        assert rig.rows() == (old if point in OLD_IS_PUBLISHED else rig.expected())
    finish(rig)


@pytest.mark.lesson("F-03", "F-04", "F-05")
@pytest.mark.parametrize(("mode", "format"), list(zip(MODES, FORMATS, strict=True)))
@pytest.mark.parametrize("point", [*OLD_IS_PUBLISHED, *NEW_IS_PUBLISHED, *RANDOM[::2]])
def test_a_process_run_that_dies_is_finished_by_the_next(build: Build, point: str, mode: str, format: str) -> None:
    rig = build(mode, format, "process")
    old = rig.rows()
    crash(rig, point)
    if point not in RANDOM:
        assert rig.rows() == (old if point in OLD_IS_PUBLISHED else rig.expected())
    finish(rig)


@pytest.mark.lesson("F-13")
@pytest.mark.parametrize("point", ["after_write:2", "before_replace", "after_replace"])
def test_a_child_that_dies_alone_fails_the_run_and_the_next_finishes_it(build: Build, point: str) -> None:
    """The main process used to wait for ever for a child that was gone."""
    rig = build("incremental", "json", "process")
    assert rig.run(f"{point}@self") == 1
    assert "the consumer process was killed by signal SIGKILL" in rig.log()
    assert rig.statuses() == ["succeeded", "failed"]
    finish(rig)


@pytest.mark.parametrize(
    "points",
    [
        ("after_write:2", "after_write"),
        ("after_write:2", "after_cursor"),
        ("after_cursor:3", "ready_torn"),
        ("ready_torn", "ready_torn"),
        ("ready_torn", "before_replace"),
        ("before_replace", "before_replace"),
        ("before_replace", "discarding:2"),
        ("after_replace", "after_published"),
        ("after_replace", "discarding"),
        ("discarding:2", "before_success"),
        ("before_success", "before_success"),
    ],
    ids=" ".join,
)
def test_a_run_that_dies_again_while_it_resumes_is_finished_by_the_next(build: Build, points: tuple[str, str]) -> None:
    rig = build("incremental", "json", "thread")
    for point in points:
        crash(rig, point)
    finish(rig)


@pytest.mark.lesson("F-09")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("point", ["after_write", "before_replace", "after_replace"])
def test_the_first_run_of_all_that_dies_shows_nothing_or_everything(tmp_path: Path, point: str, mode: str) -> None:
    rig = Rig(tmp_path, mode, "json")
    crash(rig, point)
    assert rig.rows() == (rig.expected() if point == "after_replace" else None)
    finish(rig)
