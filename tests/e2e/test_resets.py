"""A full refresh that is taken back: by the user, or because its destination cannot replace its output."""

import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e.faults import fault, noted

if TYPE_CHECKING:
    from conftest import Pipeline

RUNNERS = ["thread", "process", "stream"]
EVERYTHING = list(range(20))
CANCEL = ("stream", "reset", "config.yml", "--cancel")
WaitFor = Callable[[Callable[[], bool]], None]


@pytest.fixture
def endpoint(pipeline: "Pipeline") -> "Pipeline":
    """An incremental pipeline into a destination that only appends; one run has succeeded."""
    file = str(Path(__file__).with_name("append_only.py"))
    details = {"destination_file_path": file, "place": "taken.txt", "buffer_size": 0}
    pipeline.set("destination", {"name": "custom", "config": details})
    pipeline.source(sync_mode="incremental", paged_changes=True).run()
    return pipeline


def taken(pipeline: "Pipeline") -> list[int]:
    return [int(line.split()[0]) for line in (pipeline.folder / "taken.txt").read_text().splitlines()]


def change(pipeline: "Pipeline", *ids: int) -> None:
    with (pipeline.folder / "changes.txt").open("a") as changes:
        changes.writelines(f"{id_} {datetime.now(UTC).isoformat()}\n" for id_ in ids)


def is_reset_pending(pipeline: "Pipeline") -> bool:
    return json.loads(pipeline.bizon("status", "config.yml", "--json").stdout)["reset_pending"]


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_full_refresh_that_the_destination_refuses_leaves_the_pipeline_as_it_was(
    endpoint: "Pipeline", runner: str
) -> None:
    """It used to lock the pipeline: every later run was refused, too."""
    change(endpoint, 3)
    jobs = endpoint.jobs()
    refused = endpoint.run("--full-refresh", "--runner", runner, expect=1)
    assert "rows cannot be replaced" in refused.stderr
    assert "the full refresh is withdrawn: the next run continues as before" in refused.stderr
    assert "run again to resume" not in refused.stderr
    assert endpoint.jobs() == jobs
    endpoint.run("--runner", runner)
    assert taken(endpoint) == [*EVERYTHING, 3]
    assert "There was no reset" in endpoint.bizon(*CANCEL).stdout


def test_the_job_that_a_refused_full_refresh_would_have_replaced_is_resumed(endpoint: "Pipeline") -> None:
    change(endpoint, 3, 4)
    endpoint.source(fail_at=1).run(expect=1)
    endpoint.source(fail_at=None).run("--full-refresh", expect=1)
    assert "at iteration 1" in endpoint.run().stderr
    assert taken(endpoint) == [*EVERYTHING, 3, 4]


def test_a_fresh_start_of_a_new_pipeline_that_is_refused_leaves_nothing(endpoint: "Pipeline") -> None:
    endpoint.set("name", "another").destination(place="others.txt")
    before = endpoint.jobs()
    endpoint.run("--fresh", expect=1)
    assert endpoint.jobs() == before
    endpoint.run()
    assert len((endpoint.folder / "others.txt").read_text().splitlines()) == len(EVERYTHING)


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_reset_that_the_destination_refuses_stays_until_it_is_withdrawn(endpoint: "Pipeline", runner: str) -> None:
    change(endpoint, 3)
    endpoint.bizon("stream", "reset", "config.yml")
    for flags in ((), ("--fresh",), ()):
        refused = endpoint.run("--runner", runner, *flags, expect=1)
        assert "`bizon stream reset CONFIG --cancel` withdraws" in refused.stderr
    told = endpoint.bizon(*CANCEL).stdout
    assert "The reset of items.items is withdrawn, and job" in told
    assert endpoint.jobs()[-1] == ("cancelled", "its reset was withdrawn")
    endpoint.run("--runner", runner)
    assert taken(endpoint) == [*EVERYTHING, 3]


def test_a_run_that_is_killed_before_it_takes_its_reset_back_is_helped_by_cancel(
    endpoint: "Pipeline", wait_for: WaitFor
) -> None:
    change(endpoint, 3)
    with fault(hold={"remove_stream_job": 1}):
        child = endpoint.start("--full-refresh")
    wait_for(lambda: noted(endpoint, "remove_stream_job") != [])
    assert "is being run by process" in endpoint.bizon(*CANCEL, expect=3).stderr
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate(timeout=20)
    assert "--cancel` withdraws" in endpoint.run(expect=1).stderr
    endpoint.bizon(*CANCEL)
    endpoint.run()
    assert taken(endpoint) == [*EVERYTHING, 3]


def test_a_pending_reset_is_taken_back(pipeline: "Pipeline") -> None:
    pipeline.source(sync_mode="incremental").run()
    change(pipeline, 3)
    pipeline.bizon("stream", "reset", "config.yml")
    assert is_reset_pending(pipeline)
    assert "The reset of items.items is withdrawn." in pipeline.bizon(*CANCEL).stdout
    assert not is_reset_pending(pipeline)
    pipeline.run()
    assert pipeline.ids() == [*EVERYTHING, 3]


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_full_refresh_that_was_a_mistake_is_taken_back_half_way(pipeline: "Pipeline", runner: str) -> None:
    pipeline.source(sync_mode="incremental").destination(buffer_size=0).run()
    change(pipeline, 3)
    pipeline.source(fail_at=2).run("--full-refresh", "--runner", runner, expect=1)
    pipeline.bizon(*CANCEL)
    asked = len(pipeline.trace())
    pipeline.source(fail_at=None).run("--runner", runner)
    assert [line.split()[0] for line in pipeline.trace()[asked:]] == ["after"]
    assert pipeline.ids() == [*EVERYTHING, 3], "what the refresh had staged is discarded"


def test_a_full_refresh_that_may_be_published_is_finished_by_the_next_run(
    pipeline: "Pipeline", wait_for: WaitFor
) -> None:
    """Its rows would be appended again after the old watermark."""
    pipeline.source(sync_mode="incremental").run()
    change(pipeline, 3)
    pipeline.run()
    with fault(hold={"update_stream_job_status": 2}):  # first RUNNING, then SUCCEEDED
        child = pipeline.start("--full-refresh")
    wait_for(lambda: noted(pipeline, "update_stream_job_status") != [])
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate(timeout=20)
    assert pipeline.ids() == EVERYTHING, "it is published, and nobody has noted that"
    assert "may be published already" in pipeline.bizon(*CANCEL, expect=2).stderr
    pipeline.run()
    assert pipeline.ids() == EVERYTHING
    change(pipeline, 5)
    pipeline.run()
    assert pipeline.ids() == [*EVERYTHING, 5]


def test_in_full_refresh_a_withdrawn_reset_leaves_the_unfinished_job(pipeline: "Pipeline") -> None:
    pipeline.source(fail_at=2).destination(buffer_size=0).run(expect=1)
    pipeline.bizon("stream", "reset", "config.yml")
    assert "In sync_mode full_refresh every job fetches everything" in pipeline.bizon(*CANCEL).stdout
    assert "at iteration 2" in pipeline.source(fail_at=None).run().stderr
    assert pipeline.ids() == EVERYTHING
