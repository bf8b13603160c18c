"""A destination that refuses, raises or is unreachable: nothing partial is recorded, and the next run resumes."""

from typing import TYPE_CHECKING

import pytest
from e2e.faults import EVERYTHING, assert_clear_failure, fault, noted

if TYPE_CHECKING:
    from conftest import Pipeline

RUNNERS = ["thread", "process"]
TRIES = 6  # the first, and one after each wait


@pytest.fixture
def old(pipeline: "Pipeline") -> bytes:
    """The output of a first run, of one page; the second has four, each a batch of its own."""
    pipeline.destination(buffer_size=0).source(pages=1).run()
    pipeline.source(pages=4)
    return (pipeline.folder / "out.json").read_bytes()


def assert_finished_by_the_next_run(pipeline: "Pipeline", old: bytes, runner: str, first_page: int) -> None:
    """The output is the old one; the next run fetches from ``first_page`` on, and every record is there once."""
    assert (pipeline.folder / "out.json").read_bytes() == old
    assert [status for status, _ in pipeline.jobs()] == ["succeeded", "failed"]
    asked = len(pipeline.trace())
    pipeline.run("--runner", runner)
    assert pipeline.trace()[asked:] == [f"page {page}" for page in range(first_page, 4)]
    assert pipeline.ids() == EVERYTHING
    assert [status for status, _ in pipeline.jobs()] == ["succeeded", "succeeded"]


@pytest.mark.lesson("F-03")
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_write_that_is_refused_stops_the_run_before_the_hole(pipeline: "Pipeline", old: bytes, runner: str) -> None:
    """Used to be a success: the refused batch was skipped, and later ones were recorded."""
    with fault(write=["ok", "ok", "false", "ok"]):
        failed = pipeline.run("--runner", runner, expect=1)
    assert_clear_failure(failed, "writing pages 2-2 to 'out' failed, nothing was recorded: the table is closed")
    assert noted(pipeline, "write") == ["ok", "ok", "false"]
    assert_finished_by_the_next_run(pipeline, old, runner, first_page=2)


@pytest.mark.lesson("F-03")
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_write_that_raises_stops_the_run_before_the_hole(pipeline: "Pipeline", old: bytes, runner: str) -> None:
    with fault(write=["ok", "raise", "ok"]):
        failed = pipeline.run("--runner", runner, expect=1)
    assert_clear_failure(failed, "nothing was recorded: RuntimeError: the warehouse is on fire")
    assert noted(pipeline, "write") == ["ok", "raise"]
    assert_finished_by_the_next_run(pipeline, old, runner, first_page=1)


@pytest.mark.lesson("F-03")
@pytest.mark.parametrize("runner", RUNNERS)
def test_the_run_waits_for_a_destination_that_is_unreachable(pipeline: "Pipeline", old: bytes, runner: str) -> None:
    with fault(write=["ok", "unavailable", "unavailable", "ok"], retry_wait=0.01):
        done = pipeline.run("--runner", runner)
    assert done.stderr.count("the warehouse answers 503; retrying in 0.01 s") == 2
    assert noted(pipeline, "write") == ["ok", "unavailable", "unavailable", "ok", "ok", "ok"]
    assert pipeline.ids() == EVERYTHING


@pytest.mark.lesson("F-03")
@pytest.mark.parametrize("runner", RUNNERS)
def test_the_wait_for_an_unreachable_destination_has_a_limit(pipeline: "Pipeline", old: bytes, runner: str) -> None:
    with fault(write=["ok", "unavailable"], retry_wait=0.01):
        failed = pipeline.run("--runner", runner, expect=1)
    assert_clear_failure(failed, "destination_error): the warehouse answers 503")
    assert noted(pipeline, "write") == ["ok"] + ["unavailable"] * TRIES
    assert_finished_by_the_next_run(pipeline, old, runner, first_page=1)


@pytest.mark.lesson("F-04")
@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("false", "publishing failed: the destination's finalize() did not return True"),
        ("raise", "publishing failed: RuntimeError: the warehouse is on fire"),
    ],
)
def test_an_unpublished_output_is_not_a_success_and_the_next_run_publishes_it(
    pipeline: "Pipeline", old: bytes, runner: str, answer: str, reason: str
) -> None:
    """Success used to be stored before publishing."""
    with fault(finalize=[answer]):
        assert_clear_failure(pipeline.run("--runner", runner, expect=1), reason)
    assert noted(pipeline, "finalize") == [answer]
    assert_finished_by_the_next_run(pipeline, old, runner, first_page=4)


@pytest.mark.lesson("F-05")
@pytest.mark.parametrize("runner", RUNNERS)
def test_the_watermark_waits_for_an_incremental_run_that_could_not_be_published(
    pipeline: "Pipeline", runner: str
) -> None:
    pipeline.source(sync_mode="incremental").run()
    with fault(finalize=["false"]):
        pipeline.run("--runner", runner, expect=1)
    pipeline.run("--runner", runner)
    pipeline.run("--runner", runner)
    first, second = (line for line in pipeline.trace() if line.startswith("after"))
    assert first < second, "the run that failed and the one that published it are one job, and ask once"
    assert pipeline.ids() == EVERYTHING
