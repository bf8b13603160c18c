"""The crash matrix: a run dies by SIGKILL at a named point, the next one finishes the job, and every record is there
once. In between the published output is the old one or the new one.

The points are described in ``crash_cli.py``.
"""

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from e2e.crash.crash_kit import FORMATS, MODES, Build, Rig

pytestmark = pytest.mark.matrix(share=20)

OLD_IS_PUBLISHED = [
    "after_claim",
    "after_announce",
    "after_prepare",
    "after_write:2",
    "after_receipt:2",
    "after_cursor:3",
    "after_cursor:4",
    "after_verify",
    "before_finalize",
    "ready_torn",
    "after_ready",
    "after_publishing",
    "before_replace",
]
NEW_IS_PUBLISHED = [
    "after_replace",
    "after_published",
    "discarding",
    "after_discard:2",
    "after_watermark",
    "before_success",
    "after_success",
]
RANDOM = ["random:7", "random:19"]
# Lines that replace the output are not assembled again: there is nothing to tear.
THREAD = [
    (point, mode, format)
    for mode in MODES
    for format in FORMATS
    for point in (*OLD_IS_PUBLISHED, *NEW_IS_PUBLISHED, *RANDOM)
    if (point, mode, format) != ("ready_torn", "full_refresh", "json")
]
# The process runner commits and publishes with the same code, in a child: all points with one mode and format, and
# those that differ by mode also with the others.
PROCESS = [("incremental", "parquet", point) for point in (*OLD_IS_PUBLISHED, *NEW_IS_PUBLISHED, "random:13")]
PROCESS += [("incremental", "parquet", "discarding:2")]
PROCESS += [("full_refresh", "json", point) for point in ("after_write:2", "before_replace", "after_replace")]
MOST_RUNS = 3


def crash(rig: Rig, point: str, *flags: str) -> None:
    """The run dies at the point; the published output is the old one or the new one, depending on the point."""
    old, new, plain = rig.rows(), rig.expected(), not rig.dead_letters
    assert rig.run(point, *flags) == -signal.SIGKILL, rig.log()
    published = rig.rows()
    assert published in rig.allowed(old)
    if plain and point in OLD_IS_PUBLISHED:
        assert published == old
    if plain and point in NEW_IS_PUBLISHED:
        assert published == new


def finish(rig: Rig, *flags: str) -> None:
    """Run until success; then every record is there once, and nothing is left behind."""
    codes = []
    while not codes or codes[-1] != 0:
        assert len(codes) < MOST_RUNS, f"{codes}\n{rig.log()}"
        codes.append(rig.run(None, *flags))
    assert rig.rows() == rig.expected()
    assert set(rig.statuses()) == {"succeeded"}
    assert rig.leftovers() == []
    assert "Traceback" not in rig.log()


@pytest.mark.lesson("F-04", "F-09", "F-11")
@pytest.mark.parametrize(("point", "mode", "format"), THREAD)
def test_a_thread_run_that_dies_is_finished_by_the_next(build: Build, point: str, mode: str, format: str) -> None:
    """A kill used to leave rows twice, a half written output, or a success whose rows were never published."""
    rig = build(mode, format, "thread")
    crash(rig, point)
    finish(rig)


@pytest.mark.lesson("F-04", "F-09", "F-11")
@pytest.mark.parametrize(("mode", "format", "point"), PROCESS)
def test_a_process_run_that_dies_is_finished_by_the_next(build: Build, mode: str, format: str, point: str) -> None:
    rig = build(mode, format, "process")
    crash(rig, point)
    finish(rig)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "point",
    ["after_write:2", "after_write:3", "before_finalize", "after_replace", "before_finalize:2", "after_replace:2"],
)
def test_a_run_with_dead_letters_that_dies_is_finished_by_the_next(tmp_path: Path, point: str, mode: str) -> None:
    """Each write and each publication is done twice: for the dead letters and for the output."""
    rig = Rig(tmp_path, mode, "json")
    rig.dead_letters = True
    assert rig.run() == 0, rig.log()
    rig.change()
    crash(rig, point)
    finish(rig)


WINDOW_POINTS = (
    "after_write:2",
    "after_cursor:4",
    "before_finalize",
    "before_replace",
    "after_replace",
    "before_success",
)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("point", WINDOW_POINTS)
def test_a_window_of_the_past_whose_run_dies_is_finished_by_a_run_with_the_same_one(
    build: Build, point: str, format: str
) -> None:
    rig = build("incremental", format, "thread")
    since = ("--since", (datetime.now(UTC) - timedelta(days=1)).isoformat())
    crash(rig, point, *since)
    finish(rig, *since)


@pytest.mark.parametrize("point", ["before_replace", "after_replace", "before_success"])
def test_a_window_that_may_be_published_is_finished_by_a_run_without_one(build: Build, point: str) -> None:
    rig = build("incremental", "json", "thread")
    crash(rig, point, "--since", (datetime.now(UTC) - timedelta(days=1)).isoformat())
    rig.source["changed_at"] = None  # nothing is newer than the watermark
    finish(rig)


@pytest.mark.parametrize("point", ["before_finalize", "after_replace", "before_success"])
def test_a_fresh_run_first_finishes_a_job_that_may_be_published(build: Build, point: str) -> None:
    """Cancelling it would fetch its window again and append it a second time."""
    rig = build("incremental", "json", "thread")
    crash(rig, point)
    assert rig.run(None, "--fresh") == 0, rig.log()
    assert rig.rows() == rig.expected()
    assert rig.statuses() == ["succeeded"] * 3
    assert rig.leftovers() == []


@pytest.mark.lesson("F-13")
@pytest.mark.parametrize("point", ["after_write:2", "after_replace"])
def test_a_child_that_dies_alone_fails_the_run_and_the_next_finishes_it(build: Build, point: str) -> None:
    """The main process used to wait forever for a child that was gone."""
    rig = build("incremental", "json", "process")
    assert rig.run(f"{point}@self") == 1
    assert "the consumer process was killed by signal SIGKILL" in rig.log()
    assert rig.statuses() == ["succeeded", "failed"]
    finish(rig)


@pytest.mark.parametrize(
    "points",
    [
        ("after_write:2", "after_write"),
        ("after_write:3", "after_claim"),
        ("after_write:3", "after_announce"),
        ("after_write:3", "after_seal"),
        ("after_write:3", "after_trim"),
        ("after_write:3", "after_verify"),
        ("after_cursor:3", "ready_torn"),
        ("ready_torn", "before_replace"),
        ("before_replace", "before_replace"),
        ("before_replace", "discarding"),
        ("after_replace", "after_published"),
        ("discarding", "before_success"),
        ("after_watermark", "after_watermark"),
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
@pytest.mark.parametrize("point", ["after_write", "after_replace"])
def test_a_very_first_run_that_dies_shows_nothing_or_everything(tmp_path: Path, point: str, mode: str) -> None:
    rig = Rig(tmp_path, mode, "json")
    crash(rig, point)
    assert rig.rows() == (rig.expected() if point == "after_replace" else None)
    finish(rig)
