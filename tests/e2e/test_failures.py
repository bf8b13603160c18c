"""A side that fails: nothing is published, nothing is lost, nothing hangs, and the next run resumes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Pipeline

pytestmark = pytest.mark.matrix(share=4, pool="failures")

RUNNERS = ["thread", "process", "stream"]
EVERYTHING = list(range(20))
WaitFor = Callable[[Callable[[], bool]], None]


@pytest.mark.lesson("F-01")
@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("buffer_size", [0, 1])
def test_an_empty_buffer_at_the_end_still_publishes(pipeline: "Pipeline", runner: str, buffer_size: int) -> None:
    """Used to leave everything in staging forever and exit 0."""
    pipeline.destination(buffer_size=buffer_size).source(item_bytes=300_000)
    pipeline.run("--runner", runner)
    assert pipeline.ids() == EVERYTHING
    assert pipeline.jobs() == [("succeeded", None)]


@pytest.mark.lesson("F-01")
def test_a_source_that_became_empty_empties_the_output(pipeline: "Pipeline") -> None:
    """Used to keep the stale rows."""
    pipeline.run()
    pipeline.source(pages=1, page_size=0)
    pipeline.run()
    assert pipeline.ids() == []


@pytest.mark.lesson("F-02", "F-13")
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_source_that_fails_publishes_nothing_and_the_next_run_resumes(pipeline: "Pipeline", runner: str) -> None:
    """Used to publish the partial data as a success; later versions used to hang."""
    pipeline.run("--runner", runner)
    before = (pipeline.folder / "out.json").read_bytes()
    pipeline.source(fail_at=2)
    failed = pipeline.run("--runner", runner, expect=1)
    assert (pipeline.folder / "out.json").read_bytes() == before
    assert "Pipeline finished with status Failure" in failed.stderr
    assert "RuntimeError: the API is down" in failed.stderr
    assert pipeline.jobs()[-1] == ("failed", "stream 'items.items', iteration 2: RuntimeError: the API is down")
    asked = len(pipeline.trace())
    pipeline.source(fail_at=None)
    resumed = pipeline.run("--runner", runner)
    assert "at iteration 2" in resumed.stderr
    assert pipeline.trace()[asked:] == ["page 2", "page 3"]
    assert pipeline.ids() == EVERYTHING
    assert pipeline.jobs()[-1] == ("succeeded", None)


@pytest.mark.lesson("F-13")
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_constructor_that_raises_ends_the_run(pipeline: "Pipeline", runner: str) -> None:
    """Used to hang: the consumer waited for a producer that was gone."""
    failed = pipeline.source(die_in_constructor=True).run("--runner", runner, expect=1)
    assert "the constructor failed" in failed.stderr
    assert "source_error" in failed.stderr


@pytest.mark.lesson("F-14")
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_consumer_that_fails_ends_a_producer_that_waits_for_room(pipeline: "Pipeline", runner: str) -> None:
    """Used to keep waiting until the recursion limit, about eight minutes."""
    pipeline.source(pages=200, item_bytes=100_000)
    pipeline.set("engine.queue", {"type": "python_queue", "config": {"queue": {"max_size": 1}}})
    pipeline.config["transforms"] = [{"label": "bad", "python": "data['missing']"}]
    failed = pipeline.run("--runner", runner, expect=1)
    assert "transform 'bad' failed on record '0': KeyError: 'missing'" in failed.stderr
    assert "transform_error" in failed.stderr
    assert len(pipeline.trace()) < 150


@pytest.mark.lesson("F-03")
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_write_that_fails_ends_the_run_and_loses_nothing(pipeline: "Pipeline", runner: str) -> None:
    """Used to be swallowed, with exit 0 and a hole in the output."""
    pipeline.run("--runner", runner)
    (pipeline.folder / "blocked").write_text("a file where a folder is needed")
    pipeline.destination(destination_id="blocked/out")
    failed = pipeline.run("--runner", runner, expect=1)
    assert "destination_error" in failed.stderr
    assert pipeline.jobs()[-1][0] == "failed"
    (pipeline.folder / "blocked").unlink()
    pipeline.run("--runner", runner)
    assert pipeline.ids("blocked/out.json") == EVERYTHING


@pytest.mark.lesson("F-24")
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_capped_run_fetches_exactly_that_many_pages_and_publishes_nothing(pipeline: "Pipeline", runner: str) -> None:
    """Used to fetch one page more and to replace the table with the truncation."""
    pipeline.run("--runner", runner)
    asked = len(pipeline.trace())
    before = (pipeline.folder / "out.json").read_bytes()
    pipeline.source(max_iterations=3)
    capped = pipeline.run("--runner", runner)
    assert "max_iterations" in capped.stdout
    assert pipeline.trace()[asked:] == ["page 0", "page 1", "page 2"]
    assert (pipeline.folder / "out.json").read_bytes() == before
    pipeline.run("--runner", runner)
    assert pipeline.trace()[asked:] == ["page 0", "page 1", "page 2", "page 3"]
    assert pipeline.ids() == EVERYTHING


@pytest.mark.lesson("F-15")
@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_page_and_the_next_run_resumes(
    pipeline: "Pipeline", runner: str, how: signal.Signals, wait_for: WaitFor
) -> None:
    """SIGINT used to run on to the end and publish; SIGTERM used to be instant death."""
    pipeline.source(delay=0.1, pages=60)
    child = pipeline.start("--runner", runner)
    wait_for(lambda: len(pipeline.trace()) >= 3)
    os.killpg(child.pid, how)
    output, _ = child.communicate(timeout=30)
    assert child.returncode == 130, output
    assert not (pipeline.folder / "out.json").exists()
    asked = len(pipeline.trace())
    assert asked < 30
    pipeline.source(delay=None, pages=60)
    pipeline.run("--runner", runner)
    assert pipeline.trace()[asked] == f"page {asked}", "no page is fetched twice, none is left out"
    assert pipeline.ids() == list(range(300))


@pytest.mark.lesson("F-15")
def test_a_second_signal_ends_at_once_and_safely(pipeline: "Pipeline", wait_for: WaitFor) -> None:
    pipeline.source(delay=30)
    child = pipeline.start()
    wait_for(lambda: len(pipeline.trace()) >= 1)
    output: list[str] = []
    assert child.stdout is not None
    os.kill(child.pid, signal.SIGTERM)
    while "again" not in "".join(output[-1:]):
        output.append(child.stdout.readline())
        assert output[-1], output
    os.kill(child.pid, signal.SIGTERM)
    child.communicate(timeout=10)
    assert child.returncode == 130
    pipeline.source(delay=None)
    pipeline.run()
    assert pipeline.ids() == EVERYTHING


@pytest.mark.lesson("F-13")
@pytest.mark.parametrize("runner", ["process"])
def test_a_role_that_is_killed_ends_the_run_and_the_next_one_resumes(pipeline: "Pipeline", runner: str) -> None:
    pipeline.destination(buffer_size=0).source(kill_at=2)
    failed = pipeline.run("--runner", runner, expect=1)
    assert "the producer process was killed by signal SIGKILL" in failed.stderr
    asked = len(pipeline.trace())
    pipeline.source(kill_at=None)
    pipeline.run("--runner", runner)
    assert pipeline.trace()[asked:] == ["page 2", "page 3"]
    assert pipeline.ids() == EVERYTHING


@pytest.mark.parametrize("runner", ["thread", "stream"])
def test_a_run_that_is_killed_resumes(pipeline: "Pipeline", runner: str) -> None:
    pipeline.destination(buffer_size=0).source(kill_at=3, delay=0.2)
    assert pipeline.run("--runner", runner, expect=None).returncode == -signal.SIGKILL
    asked = len(pipeline.trace())
    pipeline.source(kill_at=None, delay=None)
    pipeline.run("--runner", runner)
    assert pipeline.trace()[asked:] == ["page 3"]
    assert pipeline.ids() == EVERYTHING


def test_orphans_of_a_killed_process_runner_end_themselves(pipeline: "Pipeline", wait_for: WaitFor) -> None:
    pipeline.source(delay=0.1, pages=600)
    child = pipeline.start("--runner", "process")
    wait_for(lambda: len(pipeline.trace()) >= 2)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate(timeout=20)

    def group_is_gone() -> bool:
        return (
            subprocess.run(["ps", "-o", "pid=", "-g", str(child.pid)], capture_output=True, check=False).stdout == b""
        )

    wait_for(group_is_gone)


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental"])
def test_a_killed_run_refetches_little(pipeline: "Pipeline", runner: str, sync_mode: str, wait_for: WaitFor) -> None:
    """At default settings: the page in flight and what was fetched in the last two seconds, not the whole buffer."""
    pipeline.source(sync_mode=sync_mode, delay=0.1, pages=60)
    child = pipeline.start("--runner", runner)
    wait_for(lambda: len(pipeline.trace()) >= 40)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate(timeout=20)
    asked = pipeline.trace()
    pipeline.source(delay=None).run("--runner", runner)
    fetched_twice = len(pipeline.trace()) - 60
    assert 0 <= fetched_twice <= 30, f"{fetched_twice} of {len(asked)} pages; without a spool it would be all of them"
    assert pipeline.ids() == list(range(300))
    assert not list((pipeline.folder / "state.spool").rglob("*.spool"))


@pytest.mark.lesson("F-17")
def test_a_total_of_zero_records_is_a_total(pipeline: "Pipeline") -> None:
    """Used to be a ZeroDivisionError."""
    pipeline.source(pages=1, page_size=0).run()
    assert pipeline.jobs() == [("succeeded", None)]


@pytest.mark.lesson("F-22")
@pytest.mark.parametrize("runner", ["thread", "stream"])
def test_state_in_memory_runs_a_pipeline(pipeline: "Pipeline", runner: str) -> None:
    """Used to fail: each thread opened an empty database of its own."""
    pipeline.set("engine.backend", {"type": "sqlite_in_memory", "config": {"database": "x", "schema": "y"}})
    pipeline.run("--runner", runner)
    assert pipeline.ids() == EVERYTHING


@pytest.mark.lesson("F-22")
def test_state_in_memory_is_refused_for_two_processes(pipeline: "Pipeline") -> None:
    pipeline.set("engine.backend", {"type": "sqlite_in_memory", "config": {"database": "x"}})
    refused = pipeline.run("--runner", "process", expect=2)
    assert "sqlite_in_memory" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.lesson("F-16")
def test_small_oversized_and_small_pages_pass(pipeline: "Pipeline") -> None:
    """Used to crash with `max() arg is an empty sequence`."""
    pipeline.destination(buffer_size=1).source(pages=3, page_size=3, item_bytes=10)
    pipeline.config["transforms"] = [
        {"label": "grow page 1", "python": "if data['page'] == 1: data['t'] = 'x' * 1_000_000"}
    ]
    pipeline.run()
    assert pipeline.ids() == list(range(9))


@pytest.mark.lesson("F-18")
def test_a_part_filled_buffer_is_written_while_the_source_is_silent(pipeline: "Pipeline", wait_for: WaitFor) -> None:
    """Used to be written only when the next page arrived."""
    pipeline.destination(buffer_flush_timeout=1).source(pages=2)
    pipeline.set("engine.queue", {"type": "python_queue", "config": {"consumer": {"poll_interval": 3600}}})
    (pipeline.folder / "silent_source.py").write_text(ITEMS_WITH_A_SILENCE)
    pipeline.source(source_file_path="silent_source.py")
    child = pipeline.start()
    try:
        wait_for(lambda: list((pipeline.folder / ".bizon").rglob("000001.json")) != [])
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate(timeout=20)


ITEMS_WITH_A_SILENCE = """
import sys, time
from pathlib import Path
sys.path.append({folder!r})
from items_source import ItemsConfig, ItemsSource


class SilentSource(ItemsSource):
    def get(self, pagination=None):
        if pagination:
            time.sleep(60)
        return super().get(pagination)
""".replace("{folder!r}", repr(os.path.dirname(os.path.abspath(__file__))))


@pytest.mark.lesson("F-07")
def test_pipelines_without_a_destination_id_do_not_share_a_file(pipeline: "Pipeline") -> None:
    """Used to write None.json, both of them."""
    del pipeline.config["destination"]["config"]["destination_id"]
    pipeline.run()
    pipeline.set("name", "other").source(stream="others", pages=1)
    pipeline.run()
    assert pipeline.ids("items_items.json") == EVERYTHING
    assert pipeline.ids("items_others.json") == EVERYTHING[:5]
    assert not (pipeline.folder / "None.json").exists()


@pytest.mark.lesson("F-04", "F-05")
def test_an_output_that_could_not_be_published_is_published_by_the_next_run(pipeline: "Pipeline") -> None:
    """Success used to be stored before publishing: the rows stayed in staging and the watermark moved on."""
    pipeline.source(sync_mode="incremental")
    pipeline.run()
    (pipeline.folder / "out.json").rename(pipeline.folder / "kept.json")
    (pipeline.folder / "out.json").mkdir()
    (pipeline.folder / "out.json" / "in the way").write_text("")
    failed = pipeline.run(expect=1)
    assert pipeline.jobs()[-1][0] == "failed"
    assert "Traceback" not in failed.stderr
    (pipeline.folder / "out.json" / "in the way").unlink()
    (pipeline.folder / "out.json").rmdir()
    (pipeline.folder / "kept.json").rename(pipeline.folder / "out.json")
    pipeline.run()
    assert pipeline.ids() == EVERYTHING
    assert [status for status, _ in pipeline.jobs()] == ["succeeded", "succeeded"]


@pytest.mark.matrix(share=10, pool="memory")
@pytest.mark.lesson("F-30")
def test_large_records_do_not_fill_the_memory(pipeline: "Pipeline") -> None:
    """600 MB of records used to be held in memory at once; the queue and the buffer are bounded by bytes."""
    pipeline.source(pages=300, page_size=10, item_bytes=200_000)
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    command = [sys.executable, "-c", code, *pipeline.command, "--log-level", "ERROR"]
    # Linux counts the memory of who starts a process towards its peak: this one is large, the one between is small
    done = subprocess.run(command, cwd=pipeline.folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert len(pipeline.ids()) == 3000
    peak = int(done.stdout.splitlines()[-1])
    assert peak < 450_000, "KB; 600 MB of records passed through"


@pytest.mark.lesson("F-08")
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_second_run_at_the_same_time_is_refused(pipeline: "Pipeline", runner: str, wait_for: WaitFor) -> None:
    """Two overlapping runs used to mix their rows and both report success."""
    child = pipeline.source(delay=0.2, pages=20).start("--runner", runner)
    wait_for(lambda: len(pipeline.trace()) >= 1)
    refused = pipeline.run("--runner", runner, expect=3)
    assert f"is being run by process {child.pid} on host" in refused.stderr
    assert "Traceback" not in refused.stderr
    child.communicate(timeout=60)
    assert child.returncode == 0
    assert pipeline.ids() == list(range(100))


@pytest.mark.lesson("F-08")
def test_a_run_whose_predecessor_was_killed_starts_at_once(pipeline: "Pipeline", wait_for: WaitFor) -> None:
    child = pipeline.source(delay=30).start()
    wait_for(lambda: len(pipeline.trace()) >= 1)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate(timeout=20)
    pipeline.source(delay=None).run()
    assert pipeline.ids() == EVERYTHING
