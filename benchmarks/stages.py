"""The time that each stage of a run takes: one run of some rows, with a stopwatch around each stage."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.brokers import tansu
from benchmarks.claims_brokers import from_topic, topic_of
from benchmarks.claims_engine import LATENCY, PER_PAGE, from_server
from benchmarks.latency_server import serving
from benchmarks.measure import Command, fresh_folder, run
from benchmarks.workload import WORK, Size, pipeline, script

FILE = Path(__file__).parent / "profile" / "stages.json"
BEGIN, END = "<!-- stages: begin -->", "<!-- stages: end -->"
_STAGED = (sys.executable, str(WORK / "staged_run.py"))
_SHOWN = {
    "fetch": "the source makes or fetches a page",
    "to columns": "its records become columns",
    "put": "it waits for room in queue and buffer",
    "to rows": "rows of the destination are made of pages",
    "write": "they are rendered, written and flushed to disk",
    "checkpoint": "the checkpoint is recorded",
    "publish": "the output is published",
}

Opened = AbstractContextManager[Command]


def measure(size: Size, folder: Path) -> dict[str, Any]:
    """One run of each row; seconds of wall and processor time by stage."""
    staged = partial(pipeline, bizon=_STAGED)
    runs: Mapping[str, Callable[[], Opened]] = {
        "records": lambda: nullcontext(staged(size.records)),
        "pages": lambda: nullcontext(staged(size.records, file="bench_lines_source.py")),
        "latency": lambda: _from_server(size),
        "checkpoints": lambda: nullcontext(
            staged(size.records, keys={"page": size.records // size.commits}, destination={"buffer_size": 0})
        ),
        "kafka-source": lambda: _from_broker(size, folder),
    }
    found = {}
    for name, opened in runs.items():
        with opened() as command, fresh_folder(folder) as place:
            found[name] = json.loads(run(command, place).printed.splitlines()[-1])
    return found


@contextmanager
def _from_server(size: Size) -> Iterator[Command]:
    with serving(size.http_pages, LATENCY, PER_PAGE) as url:
        yield from_server(size.http_pages, url, bizon=_STAGED)


@contextmanager
def _from_broker(size: Size, folder: Path) -> Iterator[Command]:
    with tansu() as address:
        with fresh_folder(folder) as place:
            run(script("produce_messages.py", address, size.records, topic_of(size.records)), place)
        yield from_topic(size.records, address, bizon=_STAGED)


def render(found: Mapping[str, Any]) -> str:
    """The Markdown between the markers of the page: a line per stage, a column per row, wall / processor seconds."""
    rows = found["rows"]
    lines = [
        f"One run each, {found['measured_at'][:10]}; seconds of wall time / of processor time of the thread.",
        "",
        f"| stage | {' | '.join(f'`{name}`' for name in rows)} |",
        f"|---|{'---|' * len(rows)}",
    ]
    for stage, text in _SHOWN.items():
        lines.append(_line(text, [_pair(*run["stages"][stage]) for run in rows.values()]))
    lines.append(_line("before and after: imports, job, exit", [f"{_outside(run):.2f} / -" for run in rows.values()]))
    lines.append(_line("Polars' and the system's own threads, processor time", [_others(run) for run in rows.values()]))
    lines.append(_line("**the run**", [_pair(run["wall"], run["cpu"]) for run in rows.values()]))
    return "\n".join(lines)


def _line(text: str, cells: list[str]) -> str:
    return f"| {text} | {' | '.join(cells)} |"


def _pair(wall: float, cpu: float) -> str:
    return f"{wall:.2f} / {cpu:.2f}"


def _outside(run: Mapping[str, Any]) -> float:
    """Seconds in which neither the producer nor the consumer runs."""
    return float(run["wall"] - max(run["stages"][role][0] for role in ("producer", "consumer")))


def _others(run: Mapping[str, Any]) -> str:
    both = run["stages"]["producer"][1] + run["stages"]["consumer"][1]
    return f"- / {max(0.0, run['cpu'] - _outside(run) - both):.2f}"
