"""Claims about tables with typed columns."""

from functools import partial
from statistics import median
from urllib.parse import quote

from benchmarks.claims import Claim
from benchmarks.environments import DLT_POSTGRES, CannotInstallError
from benchmarks.measure import Command
from benchmarks.work import postgres
from benchmarks.workload import Bench, pipeline, script

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
        _paired(bench, f"wall / bare {name}", "wall", 1.3, ("bizon", "bare"), "merge_tables.py", engine, total)
        for engine, name in (("postgres", "Postgres"), ("duckdb", "DuckDB"))
    ]


def into_postgres(bench: Bench) -> list[Claim]:
    name, total = "CPU / dlt", min(_records(bench), _AS_MANY_AS)
    try:
        DLT_POSTGRES.prepare(bench.may_install)
    except CannotInstallError as error:
        return [Claim(name, None, "at most", 0.3, reason=str(error))]
    at = postgres.place()
    config = {**at, "schema": "bizon_bench_run", "destination_id": "records"}
    sides = {
        "bizon": partial(pipeline, to={"name": "postgres", "config": config}),
        "dlt": partial(_dlt, at, "csv"),
        "dlt, defaults": partial(_dlt, at),
    }
    samples = bench.repeat(sides, total)
    return [
        bench.ratio(name, samples, ("bizon", "dlt"), "cpu", "at most", 0.3),
        bench.ratio(f"{name}, defaults", samples, ("bizon", "dlt, defaults"), "cpu", "at most", 0.3),
    ]


def _dlt(at: dict[str, str | int], *words: "str | int") -> Command:
    *formats, total = words
    user, password = quote(str(at["username"])), quote(str(at["password"]), safe="")
    url = f"postgresql://{user}:{password}@{at['host']}:{at['port']}/{at['database']}"
    return script("dlt_postgres.py", total, url, *formats, python=DLT_POSTGRES.python)


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
