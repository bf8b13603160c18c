"""Claims about the throughput of records, and about the memory of a run."""

from dataclasses import replace
from functools import partial

from benchmarks.claims import Claim
from benchmarks.environments import DLT, PUBLIC_BIZON, CannotInstallError
from benchmarks.measure import Command
from benchmarks.workload import Bench, Side, lines_are, pipeline, script


def bare_loop(total: int) -> Command:
    return script("bare_loop.py", total, check=lines_are("out.json", total))


def records(bench: Bench) -> list[Claim]:
    return _against_the_bare_loop(bench, pipeline)


def one_by_one(bench: Bench) -> list[Claim]:
    return _against_the_bare_loop(bench, partial(pipeline, keys={"one_by_one": True}))


def _against_the_bare_loop(bench: Bench, bizon: Side) -> list[Claim]:
    samples = bench.compare({"bizon": bizon, "bare loop": bare_loop}, bench.size.records)
    sides = ("bizon", "bare loop")
    return [
        bench.ratio("CPU / bare loop", samples, sides, "cpu", "at most", 2.0),
        bench.ratio("wall / bare loop", samples, sides, "wall", "at most", 1.8),
    ]


def peers(bench: Bench) -> list[Claim]:
    sides: dict[str, Side] = {"bizon": pipeline}
    public = (PUBLIC_BIZON.command("bizon"), "run")
    state = {"backend": {"type": "sqlite", "config": {"database": "bizon", "schema": "public"}}}
    candidates: list[tuple[str, Side]] = [
        ("public bizon", partial(pipeline, bizon=public, destination={"format": "json"}, engine=state)),
        ("dlt", _dlt),
    ]
    for name, side in candidates:
        try:
            (PUBLIC_BIZON if name == "public bizon" else DLT).prepare(bench.may_install)
        except CannotInstallError as error:
            bench.failures[name] = str(error)
        else:
            sides[name] = side
    samples = bench.repeat(sides, bench.size.records) if len(sides) > 1 else {}
    return [
        bench.ratio(f"throughput / {name}", samples, (name, "bizon"), "wall", "at least", 4.0) for name, _ in candidates
    ]


def _dlt(total: int) -> Command:
    return script("dlt_load.py", total, python=DLT.python, check=lines_are("out/bench/records/*", total))


def pages(bench: Bench) -> list[Claim]:
    whole = partial(pipeline, file="bench_lines_source.py")
    samples = bench.compare({"bizon": whole, "bare loop": bare_loop}, bench.size.records)
    return [bench.ratio("wall / bare loop", samples, ("bizon", "bare loop"), "wall", "at most", 1.3)]


def parquet(bench: Bench) -> list[Claim]:
    columns = partial(pipeline, destination={"format": "parquet"})
    samples = bench.compare({"bizon": columns, "bare loop": bare_loop}, bench.size.records)
    return [bench.ratio("wall / bare loop", samples, ("bizon", "bare loop"), "wall", "at most", 1.8)]


def memory(bench: Bench) -> list[Claim]:
    few, many = bench.size.many
    sides: dict[str, Side] = {"few": pipeline, "many": lambda total: pipeline(total * many // few)}
    samples = bench.compare(sides, few)
    slope = bench.ratio("wall per record / with fewer records", samples, ("many", "few"), "wall", "at most", 1.1)
    return [
        bench.peak("peak RSS", samples, "many", 300.0),
        bench.ratio("peak RSS / with fewer records", samples, ("many", "few"), "peak_mb", "at most", 1.15),
        replace(slope, figure=None if slope.figure is None else slope.figure * few / many),
    ]


def large_records(bench: Bench) -> list[Claim]:
    big = partial(pipeline, keys={"kilobytes": 200, "page": 10})
    samples = bench.compare({"bizon": big}, bench.size.large)
    return [bench.peak("peak RSS", samples, "bizon", 400.0)]
