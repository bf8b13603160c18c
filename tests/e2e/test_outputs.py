"""A watermark belongs to one output: an incremental run into another one stops before it fetches."""

import re
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from e2e.faults import fault

if TYPE_CHECKING:
    from conftest import Pipeline

pytestmark = pytest.mark.matrix(share=6, pool="outputs")

RUNNERS = ["thread", "process", "stream"]
EVERYTHING = list(range(20))


def change(pipeline: "Pipeline", *ids: int) -> None:
    with (pipeline.folder / "changes.txt").open("a") as changes:
        changes.writelines(f"{id_} {datetime.now(UTC).isoformat()}\n" for id_ in ids)


def to_another_file(pipeline: "Pipeline") -> str:
    pipeline.destination(destination_id="elsewhere")
    return "elsewhere.json"


def to_another_format(pipeline: "Pipeline") -> str:
    pipeline.destination(format="parquet")
    return "out.parquet"


def to_a_deleted_file(pipeline: "Pipeline") -> str:
    (pipeline.folder / "out.json").unlink()
    return "out.json"


def to_an_emptied_file(pipeline: "Pipeline") -> str:
    (pipeline.folder / "out.json").write_text("")
    return "out.json"


EACH = pytest.mark.parametrize("lead", [to_another_file, to_another_format, to_a_deleted_file])


def loaded(pipeline: "Pipeline", runner: str = "thread") -> None:
    """A first run, and changes since."""
    pipeline.source(sync_mode="incremental", cursor_field="changed").set("engine.runner.type", runner).run()
    assert pipeline.ids() == EVERYTHING
    change(pipeline, 3)


def refused(pipeline: "Pipeline") -> str:
    asked = pipeline.trace()
    done = pipeline.run(expect=1)
    assert "Traceback" not in done.stderr
    for choice in ("--fresh", "--adopt", "`id:`"):
        assert choice in done.stderr
    assert [line for line in pipeline.trace() if line not in asked] == [], "nothing was fetched"
    return done.stderr


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("lead", [to_another_file, to_another_format, to_a_deleted_file, to_an_emptied_file])
def test_a_run_into_another_output_stops_and_names_the_choices(
    pipeline: "Pipeline", lead: Callable[["Pipeline"], str], runner: str
) -> None:
    """Used to load nothing and report success."""
    loaded(pipeline, runner)
    name = lead(pipeline)
    for _ in range(2):
        text = refused(pipeline)
        assert (
            "gone or empty" in text if name == "out.json" else re.search(r"last run published to file .*this one", text)
        )
        assert not (pipeline.folder / name).exists() or pipeline.ids(name) == []


@pytest.mark.parametrize("runner", RUNNERS)
@EACH
def test_a_fresh_run_loads_everything_and_the_next_one_what_changed(
    pipeline: "Pipeline", lead: Callable[["Pipeline"], str], runner: str
) -> None:
    loaded(pipeline, runner)
    name = lead(pipeline)
    refused(pipeline)
    pipeline.run("--fresh")
    assert pipeline.ids(name) == EVERYTHING
    change(pipeline, 7)
    pipeline.run()
    assert pipeline.ids(name) == [*EVERYTHING, 7]


@pytest.mark.parametrize("runner", RUNNERS)
@EACH
def test_an_adopting_run_continues_from_the_watermark(
    pipeline: "Pipeline", lead: Callable[["Pipeline"], str], runner: str
) -> None:
    loaded(pipeline, runner)
    name = lead(pipeline)
    pipeline.run("--adopt")
    assert pipeline.ids(name) == [3]
    change(pipeline, 7)
    pipeline.run()
    assert pipeline.ids(name) == [3, 7], "the output is its own from now on"


@pytest.mark.parametrize("at", ["write", "finalize"])
def test_an_adopting_run_that_is_killed_is_resumed_as_one(pipeline: "Pipeline", at: str) -> None:
    loaded(pipeline)
    to_another_file(pipeline)
    with fault(**{at: ["die"]}):
        assert pipeline.run("--adopt", expect=None).returncode == -signal.SIGKILL
    pipeline.run()
    assert pipeline.ids("elsewhere.json") == [3]


@EACH
def test_a_pipeline_with_an_id_of_its_own_has_a_history_of_its_own(
    pipeline: "Pipeline", lead: Callable[["Pipeline"], str]
) -> None:
    loaded(pipeline)
    name = lead(pipeline)
    refused(pipeline)
    pipeline.set("id", "own").run()
    assert pipeline.ids(name) == EVERYTHING
    change(pipeline, 7)
    pipeline.run()
    assert pipeline.ids(name) == [*EVERYTHING, 7]


def test_a_copy_that_was_refused_does_not_disturb_the_original(pipeline: "Pipeline") -> None:
    loaded(pipeline)
    to_another_file(pipeline)
    refused(pipeline)
    pipeline.destination(destination_id="out").run()
    assert pipeline.ids() == [*EVERYTHING, 3]


def test_an_output_that_was_moved_with_its_hidden_folder_is_the_same(pipeline: "Pipeline") -> None:
    loaded(pipeline)
    moved = pipeline.folder / "moved"
    moved.mkdir()
    for name in ("out.json", ".bizon"):
        (pipeline.folder / name).rename(moved / name)
    pipeline.destination(destination_id="moved/out").run()
    assert pipeline.ids("moved/out.json") == [*EVERYTHING, 3]


def test_an_output_that_was_empty_from_the_beginning_may_be(pipeline: "Pipeline") -> None:
    pipeline.source(sync_mode="incremental", cursor_field="changed", pages=0).run()
    assert pipeline.ids() == []
    pipeline.run()
    change(pipeline, 3)
    pipeline.run()
    assert pipeline.ids() == [3]


def test_a_file_that_bizon_did_not_write_is_refused_before_anything_is_fetched(pipeline: "Pipeline") -> None:
    (pipeline.folder / "out.json").write_text('{"source_record_id": "99"}\n')
    for sync_mode in ("full_refresh", "incremental", "stream"):
        pipeline.source(sync_mode=sync_mode, max_iterations=1)
        done = pipeline.run(expect=1)
        assert "bizon did not write it" in done.stderr
        assert pipeline.ids() == [99]
        assert pipeline.trace() == []
