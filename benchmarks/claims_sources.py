"""Claims about the sources ``sql`` and ``files``, and about the memory of these and of ``rest``."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks.claims import Claim
from benchmarks.claims_rest import PER_PAGE, described_at
from benchmarks.environments import DLT_SQL, CannotInstallError
from benchmarks.measure import Command, run
from benchmarks.work import postgres
from benchmarks.workload import WORK, Bench, Side, file_exists, pipeline, script

_LINES_PER_RECORD = 2.135  # of the other rows: 1 GB in all
_DLT = {"sqlalchemy": ("dlt, defaults", 3.0), "pyarrow": ("dlt, pyarrow", 1.0), "connectorx": ("dlt, connectorx", 1.0)}


def sql(bench: Bench) -> list[Claim]:
    """Throughput of dlt is not measured where its packages are not installed."""
    total = bench.size.records
    sides: dict[str, Side] = {"bizon": _from_table, "COPY": _copied}
    try:
        DLT_SQL.prepare(bench.may_install)
        sides |= {name: partial(_dlt, backend) for backend, (name, _) in _DLT.items()}
    except CannotInstallError as error:
        bench.failures |= {name: str(error) for name, _ in _DLT.values()}
    with with_tables(bench, total, bench.size.start):
        samples = bench.compare(sides, total)
    claims = [
        bench.ratio("wall / COPY", samples, ("bizon", "COPY"), "wall", "at most", 1.6),
        bench.peak("peak RSS", samples, "bizon", 300),
    ]
    if DLT_SQL.is_ready:
        claims += [
            bench.ratio(f"throughput / {name}", samples, (name, "bizon"), "wall", "at least", limit)
            for name, limit in _DLT.values()
        ]
    return claims


def files(bench: Bench) -> list[Claim]:
    total = int(bench.size.records * _LINES_PER_RECORD)
    sides: dict[str, Side] = {"bizon": partial(_from_lines, bench), "scan_ndjson": partial(_scanned, bench)}
    with with_lines(bench, total, bench.size.start):
        samples = bench.compare(sides, total)
    return [
        bench.ratio("wall / scan_ndjson", samples, ("bizon", "scan_ndjson"), "wall", "at most", 2.0),
        bench.peak("peak RSS", samples, "bizon", 300),
    ]


def memory(bench: Bench) -> list[Claim]:
    """Ten times the records take no more memory: a page, the queue and the buffer bound it."""
    few, many = (3 * count // 10 for count in bench.size.many)
    per_page = min(few, PER_PAGE)
    claims: list[Claim] = []
    with _served(per_page) as url:
        claims += _flat(bench, "rest", (few, many), lambda total: described_at(f"{url}/{total // per_page}"))
    with with_tables(bench, few, many):
        claims += _flat(bench, "sql", (few, many), from_table)
    with with_lines(bench, few, many):
        claims += _flat(bench, "files", (few, many), partial(from_lines, bench))
    return claims


def _flat(bench: Bench, name: str, totals: tuple[int, int], source: Callable[[int], dict[str, Any]]) -> Iterator[Claim]:
    """The peak with many records, and its ratio to the one with few. ``source``: the block for a number of records."""
    few, many = totals
    sides: dict[str, Side] = {
        "fewer": lambda total: pipeline(total, source=source(total)),
        "more": lambda _: pipeline(many, source=source(many)),
    }
    samples = bench.repeat(sides, few)
    yield bench.peak(f"peak RSS, {name}", samples, "more", 300)
    ratio = f"peak RSS / with fewer records, {name}"
    yield bench.ratio(ratio, samples, ("more", "fewer"), "peak_mb", "at most", 1.15)


@contextmanager
def _served(per_page: int) -> Iterator[str]:
    """Within: a server of records, in a process of its own."""
    command = [sys.executable, str(WORK / "records_server.py"), str(per_page)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


@contextmanager
def with_tables(bench: Bench, *totals: int) -> Iterator[None]:
    """Within: a table of each number of rows."""
    run(script("orders_table.py", "fill", *{*totals}), bench.folder)
    try:
        yield
    finally:
        run(script("orders_table.py", "drop"), bench.folder)
        remove_output(bench)


@contextmanager
def with_lines(bench: Bench, *totals: int) -> Iterator[None]:
    """Within: a file of each number of lines."""
    counts = {*totals}
    run(script("lines_file.py", *counts), bench.folder)
    try:
        yield
    finally:
        for count in counts:
            (bench.folder / f"lines_{count}.jsonl").unlink()
        remove_output(bench)


def remove_output(bench: Bench) -> None:
    """Remove the output of the last ``run`` in the folder of the bench."""
    for name in ("stdout", "stderr"):
        (bench.folder / name).unlink()


def from_table(total: int) -> dict[str, str]:
    """The ``source`` block that reads such a table."""
    return {"name": "sql", "stream": f"bizon_bench_sql.orders_{total}", "url": postgres.url()}


def from_lines(bench: Bench, total: int) -> dict[str, str]:
    """The ``source`` block that reads such a file."""
    return {"name": "files", "stream": "lines", "path": str(bench.folder / f"lines_{total}.jsonl")}


def _from_table(total: int) -> Command:
    return pipeline(total, source=from_table(total), destination={"format": "parquet"})


def _copied(total: int) -> Command:
    return script("copy_orders.py", total, check=file_exists("out.parquet"))


def _dlt(backend: str, total: int) -> Command:
    return script("dlt_sql.py", total, backend, postgres.url(), python=DLT_SQL.python)


def _from_lines(bench: Bench, total: int) -> Command:
    return pipeline(total, source=from_lines(bench, total), destination={"format": "parquet"})


def _scanned(bench: Bench, total: int) -> Command:
    return script("scan_lines.py", bench.folder / f"lines_{total}.jsonl", check=file_exists("out.parquet"))
