"""Figures become verdicts, a table and a page."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.claim_table import TABLE
from benchmarks.claims import Claim, worst
from benchmarks.report import BEGIN, END, merged, page_with, read_results, render, results, write_results

FAST = Claim("wall / bare loop", 1.25, "at most", 1.3)
STRONG = Claim("throughput / dlt", 3.9, "at least", 4.0)


def found(*claims: Claim, size: str = "full", at: str = "2024-05-01T10:00:00+00:00") -> dict:
    return {**results([(TABLE[0], list(claims))], size, 5), "measured_at": at}


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        (FAST, "ok"),
        (replace(FAST, figure=1.3), "ok"),
        (replace(FAST, figure=1.31), "MISS"),
        (STRONG, "MISS"),
        (replace(STRONG, figure=4.0), "ok"),
        (replace(FAST, figure=None), "not run"),
        (replace(FAST, figure=float("nan")), "not run"),
    ],
)
def test_a_figure_is_judged_by_its_limit(claim: Claim, verdict: str) -> None:
    assert claim.verdict == verdict


def test_a_line_has_name_figure_target_and_verdict() -> None:
    assert FAST.line().split() == ["wall", "/", "bare", "loop", "1.25", "x", "<=", "1.30", "x", "ok"]
    assert "not run: no network" in replace(FAST, figure=None, reason="no network").line()


def test_the_worst_of_several_figures_depends_on_the_direction() -> None:
    assert worst([FAST, replace(FAST, figure=1.4), replace(FAST, figure=1.1)]).figure == 1.4
    assert worst([STRONG, replace(STRONG, figure=9.0)]).figure == 3.9
    assert worst([replace(FAST, figure=None), FAST]) == FAST


def test_results_are_read_back_oldest_first(tmp_path: Path) -> None:
    files = [write_results(found(FAST, at=f"2024-05-0{day}T10:00:00+00:00"), tmp_path) for day in (2, 1)]
    assert [one["measured_at"][:10] for one in read_results(files)] == ["2024-05-01", "2024-05-02"]
    assert merged(read_results(files)) == [(TABLE[0], [FAST])]


def test_quick_results_are_not_mixed_with_full_ones(tmp_path: Path) -> None:
    files = [write_results(found(FAST, size=size), tmp_path) for size in ("quick", "full")]
    with pytest.raises(ValueError, match="one size"):
        read_results(files)
    with pytest.raises(ValueError, match="none"):
        read_results([])


def test_the_table_shows_the_worst_figure_of_each_claim() -> None:
    table = render([found(FAST, STRONG), found(replace(FAST, figure=1.5), STRONG)])
    assert "| wall / bare loop | 1.50 x | <= 1.30 x | MISS |" in table
    assert "|  |  | throughput / dlt | 3.90 x | >= 4.00 x | MISS |" in table
    assert "of 2 benchmarks the worst figure each" in table


def test_rows_measured_separately_say_when_and_where() -> None:
    apart = results([(TABLE[2], [FAST])], "full", 3) | {"measured_at": "2024-06-07T10:00:00+00:00"}
    both = results([(TABLE[0], [FAST]), (TABLE[1], [FAST])], "full", 5)
    lines = render([apart, both, both]).splitlines()
    assert lines[0].startswith("Full size; medians of 5 runs, of 2 benchmarks the worst figure each; ")
    assert lines[2].startswith(f"`{TABLE[2].name}`: Full size; medians of 3 runs; 2024-06-07")


def test_a_missing_measurement_says_why_in_one_cell() -> None:
    table = render([found(replace(FAST, figure=None, reason="a | b\nc"))])
    assert "| - | <= 1.30 x | not run: a \\| b c |" in table


def test_only_the_text_between_the_markers_of_a_page_changes() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    changed = page_with([found(FAST)], page)
    assert changed.startswith("before\n")
    assert changed.endswith(f"{END}\nafter\n")
    assert "old" not in changed
    assert page_with([found(FAST)], changed) == changed


def test_results_hold_machine_and_versions() -> None:
    one = json.loads(json.dumps(found(FAST)))
    assert one["machine"]["cores"] >= 1
    assert {"Python", "polars", "orjson"} <= set(one["versions"])
