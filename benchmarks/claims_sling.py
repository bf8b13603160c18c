"""Claims about Sling: what its binary does without a download. For Parquet and DuckDB it fetches a binary of DuckDB."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.claims import Claim
from benchmarks.claims_sources import from_lines, from_table, remove_output, with_lines, with_tables
from benchmarks.environments import SLING, CannotInstallError
from benchmarks.measure import Command, CommandFailed, run
from benchmarks.work import postgres
from benchmarks.workload import Bench, Side, lines_are, pipeline, script

_AS_MANY_AS = 300_000
_SCHEMAS = ("bizon_bench_sling", "bizon_bench_lines")
_NOWHERE = "http://127.0.0.1:9"
"""Downloads and telemetry fail: nothing listens there."""


def sling(bench: Bench) -> list[Claim]:
    names = ("wall / Sling, NDJSON into Postgres", "wall / Sling, Postgres into CSV")
    try:
        SLING.prepare(bench.may_install)
    except CannotInstallError as error:
        return [Claim(name, None, "at most", 1.0, reason=str(error)) for name in names]
    return [_into_postgres(bench, names[0]), _into_csv(bench, names[1])]


def _into_postgres(bench: Bench, name: str) -> Claim:
    total = min(bench.size.records, _AS_MANY_AS)
    sides: dict[str, Side] = {"bizon": partial(_loaded, bench), "Sling": partial(_loaded_by_sling, bench)}
    try:
        with with_lines(bench, total, bench.size.start):
            samples = bench.compare(sides, total)
    finally:
        run(script("drop_schemas.py", *_SCHEMAS), bench.folder)
        remove_output(bench)
    return bench.ratio(name, samples, ("bizon", "Sling"), "wall", "at most", 1.0)


def _into_csv(bench: Bench, name: str) -> Claim:
    total = bench.size.records
    with with_tables(bench, total, bench.size.start):
        samples = bench.compare({"bizon": _unloaded, "Sling": _unloaded_by_sling}, total)
    return bench.ratio(name, samples, ("bizon", "Sling"), "wall", "at most", 1.0)


def _loaded(bench: Bench, total: int) -> Command:
    config = {**postgres.place(), "schema": _SCHEMAS[1], "destination_id": "records"}
    return pipeline(total, source=from_lines(bench, total), to={"name": "postgres", "config": config})


def _loaded_by_sling(bench: Bench, total: int) -> Command:
    lines = f"file://{from_lines(bench, total)['path']}"
    options = json.dumps({"flatten": 1})  # a column for each key; objects and lists stay JSON
    target = ("--tgt-conn", "PG", "--tgt-object", f"{_SCHEMAS[0]}.records", "--mode", "full-refresh")
    return _run("--src-stream", lines, "--src-options", options, *target, said=f"inserted {total} rows")


def _unloaded(total: int) -> Command:
    csv = {"format": "csv", "unnest": True}
    return replace(pipeline(total, source=from_table(total), destination=csv), check=lines_are("out.csv", total + 1))


def _unloaded_by_sling(total: int) -> Command:
    stream = from_table(total)["stream"]
    command = _run("--src-conn", "PG", "--src-stream", stream, "--tgt-object", "file://out.csv")
    return replace(command, check=lines_are("out.csv", total + 1))


def _run(*words: str, said: str = "") -> Command:
    """``sling run``; the output of the run must say ``said``."""
    (binary,) = SLING.folder.glob("lib/python*/site-packages/sling_linux_amd64/bin/sling-linux-amd64")

    def check(folder: Path) -> None:
        if said not in "".join((folder / name).read_text(errors="replace") for name in ("stdout", "stderr")):
            raise CommandFailed(f"Sling did not say: {said}")

    private = {"HOME": ".", "SLING_DISABLE_TELEMETRY": "true", "HTTP_PROXY": _NOWHERE, "HTTPS_PROXY": _NOWHERE}
    return Command(
        (str(binary), "run", *words),
        environment={"PG": f"{postgres.url()}?sslmode=disable", **private},
        check=check,
    )
