"""The page about performance shows the committed results, all of them, and nothing else."""

import json
from pathlib import Path

from benchmarks import stages
from benchmarks.claim_table import TABLE
from benchmarks.report import BEGIN, COMMITTED, END, PAGE, PICTURE, page_with, page_with_stages, read_results, render


def results() -> list[dict]:
    return read_results(sorted(COMMITTED.glob("*.json")))


def test_the_table_matches_the_committed_results() -> None:
    """Remedy: python -m benchmarks.bench --write-docs benchmarks/results/*.json"""
    page = PAGE.read_text(encoding="utf-8")
    assert render(results()) in page
    assert page_with(results(), page) == page


def test_every_row_of_the_harness_is_in_the_table() -> None:
    table = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert [row.name for row in TABLE if f"| `{row.name}` | {row.work} |" not in table] == []


def test_the_stages_match_the_measurement() -> None:
    """Remedy: python -m benchmarks.bench --stages"""
    page = PAGE.read_text(encoding="utf-8")
    assert page_with_stages(json.loads(stages.FILE.read_text(encoding="utf-8")), page) == page


def test_the_chart_is_a_picture_that_the_page_shows() -> None:
    assert PICTURE.read_bytes().startswith(b"\x89PNG")
    assert f"]({PICTURE.name})" in PAGE.read_text(encoding="utf-8")


def test_results_name_no_folder_of_the_machine_they_come_from() -> None:
    for file in COMMITTED.glob("*.json"):
        text = file.read_text(encoding="utf-8")
        assert str(Path.home()) not in text
        assert "/tmp/" not in text
