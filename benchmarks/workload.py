"""The sizes of the work, the commands that do it, and the comparison of two sides."""

import gzip
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.claims import Claim, Sense
from benchmarks.environments import ROOT
from benchmarks.measure import TIMEOUT, Command, CommandFailed, Metric, Samples, interleaved

WORK = ROOT / "benchmarks" / "work"
_BIZON = Path(sys.executable).with_name("bizon")
BIZON: tuple[str, ...] = (str(_BIZON),) if _BIZON.exists() else (sys.executable, "-m", "bizon")
_SERVERS = ("BIZON_TEST_POSTGRES_URL",)
_GZIP = b"\x1f\x8b"

Side = Callable[[int], Command]
"""A side of a comparison: returns the command for this many records (or pages)."""


@dataclass(frozen=True)
class Size:
    """Records (or pages) per row. ``net``: also measure the start-up and subtract it, as it dominates short runs."""

    name: str
    records: int
    many: tuple[int, int]
    large: int
    http_pages: int
    ground: int
    commits: int
    warehouse: tuple[int, int]
    net: bool = False
    start: int = 1
    stream_pages: int = 50
    timeout: float = TIMEOUT


FULL = Size("full", 1_000_000, (1_000_000, 10_000_000), 3_000, 200, 100_000, 1_000, (50_000, 200_000))
QUICK = Size(
    "quick", 60_000, (100_000, 200_000), 200, 30, 10_000, 100, (10_000, 20_000), net=True, stream_pages=10, timeout=120
)
TINY = Size("tiny", 300, (100, 300), 2, 2, 20, 3, (10, 20), stream_pages=1, timeout=60)


@dataclass
class Bench:
    """The tools of a row: sizes, number of runs, a folder, and whether it may install packages."""

    size: Size
    runs: int
    folder: Path
    short_runs: int = 5
    may_install: bool = True
    failures: dict[str, str] = field(default_factory=dict)

    def repeat(self, sides: Mapping[str, Side], total: int, short: bool = False) -> dict[str, Samples]:
        """Run all sides, one after the other. A side that fails is absent; its reason is in ``failures``.

        ``short``: the commands consist of start-up alone, so they are warmed up and run more often, which costs little.
        """
        commands = {name: side(total) for name, side in sides.items()}
        runs = max(self.runs, self.short_runs) if short else self.runs
        warm_up = short and self.short_runs > 1
        found = interleaved(commands, runs, self.folder, self.failures, warm_up, self.size.timeout)
        return {name: Samples(usages) for name, usages in found.items()}

    def compare(self, sides: Mapping[str, Side], total: int) -> dict[str, Samples]:
        """As ``repeat``; with a ``net`` size, minus the same sides with almost no work."""
        found = self.repeat(sides, total)
        if not self.size.net:
            return found
        starts = self.repeat({name: sides[name] for name in found}, self.size.start)
        return {name: Samples(found[name].usages, start) for name, start in starts.items()}

    def peak(self, name: str, samples: Mapping[str, Samples], side: str, limit: float) -> Claim:
        """The claim that the median of a side's peak memory keeps a limit."""
        if side not in samples:
            return Claim(name, None, "at most", limit, "MB", reason=self.failures.get(side, "failed"))
        usages = samples[side].usages
        detail = {"metric": "peak_mb", "all": [round(usage.peak_mb, 1) for usage in usages]}
        return Claim(name, Samples(usages).median("peak_mb"), "at most", limit, "MB", detail=detail)

    def ratio(
        self,
        name: str,
        samples: Mapping[str, Samples],
        sides: tuple[str, str],
        metric: Metric,
        sense: Sense,
        limit: float,
    ) -> Claim:
        """The claim that the ratio of the first side to the second, both as medians, keeps a limit."""
        missing = [f"{side}: {self.failures.get(side, 'failed')}" for side in sides if side not in samples]
        if missing:
            return Claim(name, None, sense, limit, reason="; ".join(missing))
        first, second = (samples[side] if metric != "peak_mb" else Samples(samples[side].usages) for side in sides)
        divisor = second.median(metric)
        pairs = first.pairwise(second, metric)
        detail: dict[str, Any] = {
            side: round(of.median(metric), 4) for side, of in zip(sides, (first, second), strict=True)
        }
        detail |= {"metric": metric, "pairwise": [round(pair, 3) for pair in pairs]}
        return Claim(name, first.median(metric) / divisor if divisor > 0 else None, sense, limit, detail=detail)


def pipeline(
    total: int,
    file: str = "bench_source.py",
    keys: Mapping[str, Any] | None = None,
    source: Mapping[str, Any] | None = None,
    destination: Mapping[str, Any] | None = None,
    to: Mapping[str, Any] | None = None,
    arguments: tuple[str, ...] = (),
    bizon: tuple[str, ...] = (*BIZON, "run"),
    **top_level: Any,
) -> Command:
    """``bizon run`` into a file, with defaults for everything except the arguments.

    The source is the file of made-up records, with further ``keys``, or the whole block ``source``; ``total`` records
    must arrive. ``to``: the whole block of another destination, whose output is not checked.
    """
    made_up = {"name": "bench", "stream": "records", "source_file_path": str(WORK / file), "total": total}
    config = {
        "name": "bench",
        "source": source or {**made_up, **(keys or {})},
        "destination": to or {"name": "file", "config": {"destination_id": "out", **(destination or {})}},
        **top_level,
    }
    is_json = (destination or {}).get("format", "json") == "json"
    output = lines_are("out.json", total) if is_json else file_exists("out.parquet")
    return Command(
        (*bizon, "pipeline.yml", *arguments),
        files={"pipeline.yml": json.dumps(config, indent=1)},
        environment={"PYTHONPATH": str(WORK)},
        check=output if to is None else None,
    )


def script(name: str, *arguments: object, python: str = sys.executable, **named: Any) -> Command:
    """A script of the folder ``work``. It finds the server of this process."""
    words = (python, str(WORK / name), *map(str, arguments))
    server = {name: os.environ[name] for name in _SERVERS if name in os.environ}
    return Command(words, environment={"PYTHONPATH": str(WORK), **server}, **named)


def python(code: str) -> Command:
    """``python -c``."""
    return Command((sys.executable, "-c", code))


def lines_are(pattern: str, wanted: int) -> Callable[[Path], None]:
    """Checks that the files of a pattern, compressed or not, have this many lines: none is lost, none repeated."""

    def check(folder: Path) -> None:
        found = sum(_lines(file) for file in folder.glob(pattern))
        if found != wanted:
            raise CommandFailed(f"{pattern} has {found} lines instead of {wanted}")

    return check


def file_exists(name: str) -> Callable[[Path], None]:
    """Checks that the output exists."""

    def check(folder: Path) -> None:
        if not (folder / name).exists():
            raise CommandFailed(f"there is no {name}")

    return check


def _lines(file: Path) -> int:
    with file.open("rb") as plain:
        is_gzip = plain.read(2) == _GZIP
    with gzip.open(file) if is_gzip else file.open("rb") as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))
