"""The measurements as a JSON file, a Markdown table, a chart, and a page of the documentation."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import stages
from benchmarks.claim_table import TABLE, TableRow
from benchmarks.claims import Claim, worst
from benchmarks.environments import DLT, PUBLIC_BIZON, ROOT, SLING

PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance.png"
COMMITTED = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
_PACKAGES = ("orjson", "polars", "protobuf", "pydantic", "requests", "sqlalchemy", "typer")
Results = dict[str, Any]


def results(measured: Sequence[tuple[TableRow, list[Claim]]], size: str, runs: int) -> Results:
    """Everything about one benchmark, as JSON."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "size": size,
        "runs": runs,
        "machine": _machine(),
        "versions": _versions(),
        "rows": {row.name: [claim.to_json() for claim in claims] for row, claims in measured},
    }


def _machine() -> dict[str, Any]:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(pages / 1e9),
        "system": f"{platform.system()} {platform.release()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
    if PUBLIC_BIZON.is_ready:
        found["public bizon"] = PUBLIC_BIZON.packages()["bizon"]
    if DLT.is_ready:
        found["dlt"] = DLT.packages()["dlt"]
    if SLING.is_ready:
        found["Sling"] = SLING.packages()["sling"]
    return found


def write_results(found: Results, folder: Path) -> Path:
    """Write a file named after size and time."""
    stamp = "".join(sign for sign in found["measured_at"][:19] if sign.isalnum())
    file = folder / f"{found['size']}-{stamp}.json"
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return file


def read_results(files: Sequence[Path]) -> list[Results]:
    """Result files, oldest first; all must have the same size.

    Raises:
        ValueError: there are no files, or quick and full results are mixed.
    """
    found = sorted((json.loads(file.read_text(encoding="utf-8")) for file in files), key=lambda one: one["measured_at"])
    sizes = {one["size"] for one in found}
    if len(sizes) != 1:
        raise ValueError(f"all results must have one size; found: {sorted(sizes) or 'none'}")
    return found


def merged(found: Sequence[Results]) -> list[tuple[TableRow, list[Claim]]]:
    """The worst result of every claim, row by row, without rows that have no result."""
    table = []
    for row in TABLE:
        claims: dict[str, list[Claim]] = {}
        for one in found:
            for claim in (Claim(**fields) for fields in one["rows"].get(row.name, [])):
                claims.setdefault(claim.name, []).append(claim)
        if claims:
            table.append((row, [worst(same) for same in claims.values()]))
    return table


def render(found: Sequence[Results]) -> str:
    """The Markdown between the markers of the page."""
    lines = [
        *_measured(found),
        "",
        "| row | work | figure | measured | target | |",
        "|---|---|---|---|---|---|",
    ]
    for row, claims in merged(found):
        for number, claim in enumerate(claims):
            first = (f"`{row.name}`", row.work) if number == 0 else ("", "")
            verdict = claim.verdict if not claim.reason else f"{claim.verdict}: {_cell(claim.reason)}"
            lines.append(f"| {' | '.join((*first, claim.name, claim.measured, claim.target, verdict))} |")
    versions = {name: number for one in found for name, number in one["versions"].items()}
    named = ", ".join(f"{name} {number}" for name, number in versions.items())
    return "\n".join([*lines, "", f"Versions: {named}."])


def _measured(found: Sequence[Results]) -> list[str]:
    """Time and machine of the measurements: one line per set of rows, the largest set first."""
    groups: dict[tuple[str, ...], list[Results]] = {}
    for one in found:
        groups.setdefault(tuple(sorted(one["rows"])), []).append(one)
    usual, *others = sorted(groups, key=len, reverse=True)
    lines = [_how(groups[usual])]
    for rows in others:
        lines += ["", f"{', '.join(f'`{name}`' for name in rows)}: {_how(groups[rows])}"]
    return lines


def _how(found: Sequence[Results]) -> str:
    newest = found[-1]
    machine, how = newest["machine"], f"medians of {newest['runs']} runs"
    if len(found) > 1:
        how += f", of {len(found)} benchmarks the worst figure each"
    size = (
        "Full size"
        if newest["size"] == "full"
        else "Small sizes, start-up taken off (`make bench-quick`): an impression, no verdict"
    )
    return (
        f"{size}; {how}; {newest['measured_at'][:10]}, {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gb']} GB, {machine['system']}."
    )


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def write_table_and_chart(found: Sequence[Results], folder: Path, chart_python: str | None) -> None:
    """Write ``table.md`` and, if a Python interpreter can draw, ``chart.png``."""
    (folder / "table.md").write_text(render(found) + "\n", encoding="utf-8")
    if chart_python is not None:
        draw(found, folder / "chart.png", chart_python)


def draw(found: Sequence[Results], picture: Path, chart_python: str) -> None:
    """Draw the chart in a Python interpreter that has matplotlib."""
    bars = [
        {"label": f"{row.name}: {claim.name}", "figure": claim.figure, "limit": claim.limit, "sense": claim.sense,
         "text": f"{claim.measured} (target {claim.target})"}
        for row, claims in merged(found)
        for claim in claims
        if claim.verdict != "not run"
    ]  # fmt: skip
    script = Path(__file__).with_name("chart.py")
    subprocess.run(
        [chart_python, str(script), str(picture)], input=json.dumps(bars), text=True, check=True, timeout=120
    )


def page_with(found: Sequence[Results], page: str) -> str:
    """The page with its table replaced."""
    return _between(BEGIN, render(found), END, page)


def page_with_stages(found: Results, page: str) -> str:
    """The page with its table of stages replaced."""
    return _between(stages.BEGIN, stages.render(found), stages.END, page)


def _between(begin: str, text: str, end: str, page: str) -> str:
    before, rest = page.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def write_stages(rows: Results) -> None:
    """Store the stages together with the harness, and write them into the page."""
    found = {"measured_at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": _machine(), "rows": rows}
    stages.FILE.parent.mkdir(exist_ok=True)
    stages.FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page_with_stages(found, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def write_page(files: Sequence[Path], chart_python: str | None) -> None:
    """Store result files together with the harness, and write the page and its chart."""
    found = read_results(files)
    COMMITTED.mkdir(exist_ok=True)
    for old in COMMITTED.glob("*.json"):
        old.unlink()
    for one in found:
        write_results(one, COMMITTED)
    PAGE.write_text(page_with(found, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    if chart_python is not None:
        draw(found, PICTURE, chart_python)
