"""``on_error``: a record that cannot be delivered ends the run, is skipped, or becomes one dead letter."""

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import commands
import polars as pl
import pytest

if TYPE_CHECKING:
    from conftest import Pipeline

pytestmark = pytest.mark.matrix(share=4, pool="on error")

RUNNERS = ["thread", "process", "stream"]
SEVENTHS = [0, 7, 14]
OTHERS = [id_ for id_ in range(20) if id_ % 7]
REFUSE_SEVENTHS = [{"label": "check", "python": "if data['n'] % 7 == 0: raise ValueError('seven ' + data['t'])"}]
LETTERS = "out.dead_letters.json"
SOURCE = """
import sys
sys.path.append({folder!r})
from items_source import ItemsConfig, ItemsSource


class NumberedSource(ItemsSource):
    def _page(self, number):
        page = super()._page(number)
        for record in page.records:
            record.data["n"] = int(record.id)
            if self.config.trace == "broken.txt" and int(record.id) % 7 == 0:
                record.data["thing"] = object()
        return page
""".replace("{folder!r}", repr(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def numbered(pipeline: "Pipeline") -> "Pipeline":
    """Every seventh record fails in the transform."""
    (pipeline.folder / "numbered.py").write_text(SOURCE)
    pipeline.config["transforms"] = REFUSE_SEVENTHS
    return pipeline.source(source_file_path="numbered.py")


def result(pipeline: "Pipeline") -> dict[str, Any]:
    return json.loads((pipeline.folder / "result.json").read_text())


@pytest.mark.parametrize("runner", RUNNERS)
def test_by_default_the_run_fails_and_names_the_record(numbered: "Pipeline", runner: str) -> None:
    failed = numbered.run("--runner", runner, expect=1)
    assert "transform 'check' failed on record '0': ValueError: seven" in failed.stderr
    assert not (numbered.folder / "out.json").exists()
    assert not (numbered.folder / LETTERS).exists()


@pytest.mark.parametrize("runner", RUNNERS)
def test_skipped_records_are_counted_and_the_others_delivered(numbered: "Pipeline", runner: str) -> None:
    done = numbered.set("on_error", "skip").run("--runner", runner, "--result-json", "result.json")
    assert numbered.ids() == OTHERS
    assert "Skipped: 3 records" in done.stdout
    assert "3 records skipped, the first: transform 'check' failed on record '0'" in done.stderr
    found = result(numbered)
    assert (found["records_written"], found["records_rejected"], found["dead_letters"]) == (17, 3, None)
    assert not (numbered.folder / LETTERS).exists()


@pytest.mark.parametrize("runner", RUNNERS)
def test_dead_letters_are_next_to_the_output_with_the_reason(numbered: "Pipeline", runner: str) -> None:
    done = numbered.set("on_error", "dead_letter").run("--runner", runner, "--result-json", "result.json")
    assert numbered.ids() == OTHERS
    assert numbered.ids(LETTERS) == SEVENTHS
    letter = numbered.lines(LETTERS)[1]
    assert (letter["stage"], letter["source_record_id"]) == ("transform", "7")
    assert letter["reason"].startswith("transform 'check' failed on record '7': ValueError: seven xxx")
    assert json.loads(letter["source_data"])["n"] == 7
    place = str(numbered.folder / LETTERS)
    assert f"Dead letters: 3 records in {place}" in done.stdout
    found = result(numbered)
    assert (found["records_written"], found["records_rejected"], found["dead_letters"]) == (17, 3, place)


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_record_that_is_not_json_is_a_dead_letter_too(numbered: "Pipeline", runner: str) -> None:
    numbered.config["transforms"] = []
    numbered.set("on_error", "dead_letter").source(trace="broken.txt").run("--runner", runner)
    assert numbered.ids() == OTHERS
    assert numbered.ids(LETTERS) == SEVENTHS
    letter = numbered.lines(LETTERS)[0]
    assert letter["stage"] == "source"
    assert letter["reason"].startswith("record '0': data.thing: ")
    assert json.loads(letter["source_data"])["thing"].startswith("<object object")


def test_a_value_that_does_not_fit_its_column_is_a_dead_letter_too(numbered: "Pipeline") -> None:
    numbered.config["transforms"] = [{"label": "misfit", "python": "if data['n'] % 7 == 0: data['n'] = 'x'"}]
    schema = {"destination_id": "out", "record_schema": [{"name": "n", "type": "integer"}]}
    numbered.destination(unnest=True, record_schemas=[schema], format="parquet")
    assert "column 'n' of 'out' is integer, record '0' has a string" in numbered.run(expect=1).stderr
    numbered.set("on_error", "dead_letter").run("--fresh")
    assert pl.read_parquet(numbered.folder / "out.parquet")["n"].to_list() == OTHERS
    assert numbered.ids(LETTERS) == SEVENTHS
    assert {letter["stage"] for letter in numbered.lines(LETTERS)} == {"destination"}


def test_each_full_refresh_replaces_the_dead_letters(numbered: "Pipeline") -> None:
    numbered.set("on_error", "dead_letter").run()
    numbered.run()
    assert numbered.ids(LETTERS) == SEVENTHS
    numbered.config["transforms"] = []
    numbered.run()
    assert numbered.ids(LETTERS) == []
    assert numbered.ids() == list(range(20))


def test_an_incremental_run_appends_its_dead_letters(numbered: "Pipeline") -> None:
    numbered.set("on_error", "dead_letter").source(sync_mode="incremental").run()
    (numbered.folder / "changes.txt").write_text("7 2999-01-01T00:00:00+00:00\n8 2999-01-01T00:00:00+00:00\n")
    numbered.config["transforms"] = [{"label": "check", "python": "data['missing']"}]
    numbered.run()
    assert numbered.ids(LETTERS) == [*SEVENTHS, 7, 8]
    assert numbered.ids() == OTHERS


def test_a_stream_writes_its_dead_letters_at_once(numbered: "Pipeline") -> None:
    numbered.set("on_error", "dead_letter").source(sync_mode="stream", max_iterations=4).run()
    assert numbered.ids() == OTHERS
    assert numbered.ids(LETTERS) == SEVENTHS
    assert [line for line in numbered.trace() if line == "commit"] == ["commit"] * 4


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental"])
def test_a_run_that_is_killed_and_resumed_has_each_dead_letter_once(
    numbered: "Pipeline", runner: str, sync_mode: str
) -> None:
    numbered.set("on_error", "dead_letter").source(sync_mode=sync_mode, kill_at=3, delay=0.1)
    numbered.destination(buffer_size=0)
    assert numbered.run("--runner", runner, expect=None).returncode in (-signal.SIGKILL, 1)
    assert not (numbered.folder / LETTERS).exists()
    numbered.source(kill_at=None).run("--runner", runner, "--result-json", "result.json")
    assert numbered.ids() == OTHERS
    assert numbered.ids(LETTERS) == SEVENTHS
    assert result(numbered)["published"]


@pytest.mark.parametrize("then", ["skip", "fail"])
def test_dead_letters_from_before_on_error_was_changed_are_published(numbered: "Pipeline", then: str) -> None:
    numbered.set("on_error", "dead_letter").source(fail_at=3).destination(buffer_size=0).run(expect=1)
    numbered.config["transforms"] = []
    numbered.set("on_error", then).source(fail_at=None).run()
    assert numbered.ids(LETTERS) == SEVENTHS
    assert numbered.ids() == OTHERS


def test_the_status_counts_dead_letters(numbered: "Pipeline") -> None:
    numbered.set("on_error", "dead_letter").run()
    done = commands.run(
        [*commands.BIZON, "status", "config.yml"],
        cwd=numbered.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Records: 17 of 20 committed" in done.stdout
    assert "Dead letters: 3 committed" in done.stdout


def test_the_path_of_the_dead_letters_can_be_chosen(numbered: "Pipeline") -> None:
    numbered.set("on_error", "dead_letter").set("dead_letter_path", "rejects/items").run()
    assert numbered.ids("rejects/items.json") == SEVENTHS


def test_a_destination_without_files_has_its_dead_letters_in_the_working_directory(numbered: "Pipeline") -> None:
    numbered.set("on_error", "dead_letter").set("destination", {"name": "logger", "config": {}}).run()
    assert numbered.ids("items_items.dead_letters.json") == SEVENTHS


def test_dead_letters_that_cannot_be_written_stop_the_run_before_anything_is_fetched(numbered: "Pipeline") -> None:
    (numbered.folder / LETTERS).mkdir()
    failed = numbered.set("on_error", "dead_letter").run(expect=1)
    assert LETTERS in failed.stderr
    assert "Traceback" not in failed.stderr
    assert numbered.trace() == []


def test_a_secret_in_a_reason_is_masked(numbered: "Pipeline") -> None:
    numbered.source(authentication={"type": "api_key", "params": {"token": "s3cr3t-token"}})
    numbered.config["transforms"] = [{"label": "t", "python": "raise ValueError('refused s3cr3t-token')"}]
    done = numbered.set("on_error", "dead_letter").run()
    assert "s3cr3t" not in done.stdout + done.stderr + (numbered.folder / LETTERS).read_text()
    assert numbered.lines(LETTERS)[0]["reason"].endswith("refused **********")


def test_a_wrong_value_names_the_three(numbered: "Pipeline") -> None:
    refused = numbered.set("on_error", "ignore").run(expect=2)
    for text in ("on_error", "fail", "skip", "dead_letter"):
        assert text in refused.stderr
