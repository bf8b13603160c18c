"""The harness behind every claim about speed, memory and size. ``python -m benchmarks.bench --help``."""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import report, stages
from benchmarks.claim_table import TABLE, TableRow
from benchmarks.claims import Claim
from benchmarks.environments import CHART, ROOT, CannotInstallError
from benchmarks.workload import FULL, QUICK, Bench, Size


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 when a figure misses its target."""
    options = _options(arguments)
    if options.write_docs:
        report.write_page([Path(file) for file in options.write_docs], _chart(may_install=True))
        return 0
    size = QUICK if options.quick else FULL
    scratch = ROOT / "benchmarks" / ".work"
    scratch.mkdir(exist_ok=True)
    if options.stages:
        with tempfile.TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True) as folder:
            report.write_stages(stages.measure(size, Path(folder)))
        return 0
    runs = options.runs or (2 if options.quick else 5)
    rows = [row for row in TABLE if not options.only or row.name in options.only]
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    measured: list[tuple[TableRow, list[Claim]]] = []
    for row in rows:
        with tempfile.TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True) as folder:
            measured.append((row, _measure(row, size, runs, Path(folder))))
    results = report.results(measured, size.name, runs)
    file = report.write_results(results, out)
    chart = _chart(may_install=not options.quick)
    report.write_table_and_chart([results], out, chart)
    missed = [claim for _, claims in measured for claim in claims if claim.verdict == "MISS"]
    print(f"\n{file}\n{len(missed)} missed")
    return 1 if missed else 0


def _measure(row: TableRow, size: Size, runs: int, folder: Path) -> list[Claim]:
    print(f"\n{row.name}", flush=True)
    is_full = size is FULL
    bench = Bench(size, runs, folder, may_install=is_full, short_runs=5 if is_full else 3)
    claims = row.measure(bench)
    for claim in claims:
        print(f"  {claim.line()}", flush=True)
    return claims


def _chart(may_install: bool) -> str | None:
    """The Python interpreter that draws the chart, or None."""
    try:
        CHART.prepare(may_install)
    except CannotInstallError as error:
        print(f"no chart: {error}", file=sys.stderr)
        return None
    return CHART.python


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--full", action="store_true", help="the sizes of the table (default)")
    size.add_argument("--quick", action="store_true", help="small sizes, without their start-up; installs nothing")
    names = [row.name for row in TABLE]
    parser.add_argument("--only", nargs="+", metavar="ROW", choices=names, help=f"some rows: {', '.join(names)}")
    parser.add_argument("--runs", type=int, metavar="N", help="runs of each side, after one to warm up (5; quick: 2)")
    parser.add_argument(
        "--out", metavar="FOLDER", default=str(ROOT / "benchmarks" / "out"), help="where the results go"
    )
    parser.add_argument(
        "--stages",
        action="store_true",
        help="one run of some rows with a stopwatch; write the result into docs/performance.md",
    )
    parser.add_argument(
        "--write-docs",
        nargs="+",
        metavar="RESULTS",
        help="measure nothing; write docs/performance.md from result files, with the worst of each figure",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
