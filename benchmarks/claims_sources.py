"""Claims about the sources ``sql`` and ``files``."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks.claims import Claim
from benchmarks.environments import DLT_SQL, CannotInstallError
from benchmarks.measure import Command, run
from benchmarks.work import postgres
from benchmarks.workload import Bench, Side, file_exists, pipeline, script

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
    with with_tables(bench, total):
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
    with with_lines(bench, total):
        samples = bench.compare(sides, total)
    return [
        bench.ratio("wall / scan_ndjson", samples, ("bizon", "scan_ndjson"), "wall", "at most", 2.0),
        bench.peak("peak RSS", samples, "bizon", 300),
    ]


@contextmanager
def with_tables(bench: Bench, total: int) -> Iterator[None]:
    """Within: a table of all rows, and one for the start-up."""
    run(script("orders_table.py", "fill", *{total, bench.size.start}), bench.folder)
    try:
        yield
    finally:
        run(script("orders_table.py", "drop"), bench.folder)
        remove_output(bench)


@contextmanager
def with_lines(bench: Bench, total: int) -> Iterator[None]:
    """Within: a file of all records, and one for the start-up."""
    counts = {total, bench.size.start}
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
