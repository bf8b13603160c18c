"""Claims about tables with typed columns."""

from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from benchmarks.claims import Claim
from benchmarks.environments import DLT_DUCKDB, DLT_POSTGRES, CannotInstallError, Environment
from benchmarks.measure import Command
from benchmarks.work import postgres
from benchmarks.workload import Bench, Side, pipeline, script

_AS_MANY_AS = 300_000
_OF_THEM_MERGED = 10


def typed_frames(bench: Bench) -> list[Claim]:
    """The time is the processor's."""
    return [
        _paired(bench, "CPU / read_ndjson", "cpu", 2.5, ("typed", "read_ndjson"), "typed_frames.py", _records(bench))
    ]


def postgres_copy(bench: Bench) -> list[Claim]:
    total = min(_records(bench), _AS_MANY_AS)
    return [_paired(bench, "wall / COPY", "wall", 1.5, ("bizon", "COPY"), "postgres_copy.py", total)]


def merges(bench: Bench) -> list[Claim]:
    total = _records(bench) // _OF_THEM_MERGED
    return [
        _paired(bench, f"wall / {name}", "wall", limit, ("bizon", "bare"), "merge_tables.py", engine, total)
        for engine, name, limit in (
            ("postgres", "bare Postgres", 1.3),
            ("duckdb", "bare DuckDB", 1.3),
            ("duckdb_swap", "DELETE and INSERT in DuckDB", 1.5),
        )
    ]


def into_postgres(bench: Bench) -> list[Claim]:
    try:
        DLT_POSTGRES.prepare(bench.may_install)
    except CannotInstallError as error:
        return [Claim("CPU / dlt", None, "at most", 0.3, reason=str(error))]
    dlt = partial(_dlt, DLT_POSTGRES, "postgres", postgres.url())
    config = {**postgres.place(), "schema": "bizon_bench_run", "destination_id": "records"}
    return _against_dlt(bench, {"name": "postgres", "config": config}, dlt, "csv", (0.3, 0.3))


def into_duckdb(bench: Bench) -> list[Claim]:
    try:
        DLT_DUCKDB.prepare(bench.may_install)
    except CannotInstallError as error:
        return [Claim("CPU / dlt", None, "at most", 1 / 3, reason=str(error))]
    config = {"database": "bizon.duckdb", "destination_id": "records"}
    dlt = partial(_dlt, DLT_DUCKDB, "duckdb", "dlt.duckdb")
    return _against_dlt(bench, {"name": "duckdb", "config": config}, dlt, "parquet", (1 / 3, 1 / 8))


def memory(bench: Bench) -> list[Claim]:
    """A table of three times the records takes no more memory: the buffer bounds it."""
    few = min(_records(bench), _AS_MANY_AS)
    targets: dict[str, dict[str, Any]] = {
        "duckdb": {"database": "bizon.duckdb", "destination_id": "records"},
        "postgres": {**postgres.place(), "schema": "bizon_bench_memory", "destination_id": "records"},
    }
    claims = []
    for name, config in targets.items():
        to = {"name": name, "config": config}
        sides = {
            "more": lambda total, to=to: pipeline(3 * total, to=to),
            "fewer": lambda total, to=to: pipeline(total, to=to),
        }
        samples, sizes = bench.repeat(sides, few), ("more", "fewer")
        claims.append(bench.ratio(f"peak RSS / with fewer records, {name}", samples, sizes, "peak_mb", "at most", 1.15))
    return claims


def verify(bench: Bench) -> list[Claim]:
    """Every staged value is read back and compared with a digest; counts alone are the default."""
    config = {"database": "bizon.duckdb", "destination_id": "records"}
    sides = {
        each: partial(pipeline, to={"name": "duckdb", "config": {**config, "verify": each}})
        for each in ("values", "counts", "none")
    }
    samples = bench.repeat(sides, min(_records(bench), _AS_MANY_AS))
    return [
        bench.ratio("CPU of values / none", samples, ("values", "none"), "cpu", "at most", 1.15),
        bench.ratio("CPU of counts / none", samples, ("counts", "none"), "cpu", "at most", 1.02),
    ]


def _against_dlt(
    bench: Bench, to: dict[str, Any], dlt: Callable[..., Command], fastest: str, limits: tuple[float, float]
) -> list[Claim]:
    """``fastest``: the format of files that dlt loads fastest."""
    sides: dict[str, Side] = {
        "bizon": partial(pipeline, to=to),
        "dlt": lambda total: dlt(total, fastest),
        "dlt, defaults": lambda total: dlt(total),
    }
    samples = bench.repeat(sides, min(_records(bench), _AS_MANY_AS))
    return [
        bench.ratio(f"CPU / {side}", samples, ("bizon", side), "cpu", "at most", limit)
        for side, limit in zip(("dlt", "dlt, defaults"), limits, strict=True)
    ]


def _dlt(environment: Environment, destination: str, url: str, total: int, *formats: str) -> Command:
    return script("dlt_tables.py", total, destination, url, *formats, python=environment.python)


def _records(bench: Bench) -> int:
    return bench.size.records


def _paired(
    bench: Bench, name: str, metric: str, limit: float, sides: tuple[str, str], file: str, *words: object
) -> Claim:
    """The median of the ratios of the runs: each run does both kinds of work, one right after the other, and prints the
    seconds of both."""
    samples = bench.repeat({file: lambda _: script(file, *words)}, bench.size.records)
    if not samples:
        return Claim(name, None, "at most", limit, reason=bench.failures[file])
    runs = [tuple(map(float, usage.printed.split())) for usage in samples[file].usages]
    pairs = [ours / bare for ours, bare in runs]
    detail = {
        sides[0]: round(median(ours for ours, _ in runs), 4),
        sides[1]: round(median(bare for _, bare in runs), 4),
        "metric": metric,
        "pairwise": [round(pair, 3) for pair in pairs],
    }
    return Claim(name, median(pairs), "at most", limit, detail=detail)
