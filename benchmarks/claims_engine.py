"""Claims about the engine: latency, a second processor, transforms, checkpoints."""

import json
import sqlite3
import sys
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from benchmarks.claims import Claim
from benchmarks.latency_server import serving
from benchmarks.measure import Command, Samples, fresh_folder
from benchmarks.work import postgres
from benchmarks.workload import WORK, Bench, Side, lines_are, pipeline, script

LATENCY = 0.05  # seconds per answer
PER_PAGE = 100
STREAMS, AT_ONCE = 20, 8
MANY_PARTS, PER_PART = 100, 10
PER_PARTITION = "a partition more"
HOST_PARTS, HOST_SHARE = 64, 0.5  # partitions of the table; processors per host
ROUNDS = 400  # steps of processor work per record, in the source and again in the transform
GRIND = f"""\
n = data["id"]
for _ in range({ROUNDS}):
    n = (n * 1103515245 + 12345) % 2147483648
data["ground"] = n
"""
FOUR_LINES = """\
data["name"] = data["name"].upper()
data["score"] = round(data["score"], 2)
if data["active"]:
    data["city"] = data["address"].pop("city")
"""


def latency(bench: Bench) -> list[Claim]:
    with serving(bench.size.http_pages, LATENCY, PER_PAGE) as url, serving(1, LATENCY, PER_PAGE) as single:

        def address(pages: int) -> str:
            return url if pages == bench.size.http_pages else single

        def bizon(pages: int) -> Command:
            return from_server(pages, address(pages))

        def bare(pages: int) -> Command:
            return script("bare_fetch.py", address(pages))

        samples = bench.compare({"bizon": bizon, "bare fetch loop": bare}, bench.size.http_pages)
    return [bench.ratio("wall / bare fetch loop", samples, ("bizon", "bare fetch loop"), "wall", "at most", 1.05)]


def streams(bench: Bench) -> list[Claim]:
    """Both sides do 20 streams, 8 at a time: three rounds, of which the last one leaves half of the places empty."""
    pages = bench.size.stream_pages
    with serving(pages, LATENCY, PER_PAGE) as url, serving(1, LATENCY, PER_PAGE) as single:

        def bizon(count: int) -> Command:
            address = url if count == pages else single
            runner = {"runner": {"config": {"max_parallel_streams": AT_ONCE}}}
            source = {"name": "bench", "source_file_path": str(WORK / "bench_http_source.py"), "url": address}
            names = [f"stream_{number}" for number in range(STREAMS)]
            to = {"destination_id": "out_{stream}"}
            total = count * PER_PAGE * STREAMS
            command = pipeline(total, source=source, destination=to, streams=names, engine=runner)
            return replace(command, check=lines_are("out_*.json", total))

        def bare(count: int) -> Command:
            return script("bare_streams.py", url if count == pages else single, STREAMS, AT_ONCE)

        samples = bench.compare({"bizon": bizon, "bare fetch loops": bare}, pages)
    return [
        bench.ratio(
            "wall / bare fetch loops, 8 at a time", samples, ("bizon", "bare fetch loops"), "wall", "at most", 1.15
        )
    ]


def from_server(pages: int, url: str, per_page: int = PER_PAGE, **how: Any) -> Command:
    """A run over all pages of the slow server; ``how`` goes to ``pipeline``."""
    file = str(WORK / "bench_http_source.py")
    source = {"name": "bench", "stream": "records", "source_file_path": file, "url": url}
    return pipeline(pages * per_page, source=source, **how)


def processes(bench: Bench) -> list[Claim]:
    heavy = partial(pipeline, keys={"rounds": ROUNDS}, transforms=[{"label": "grind", "python": GRIND}])
    sides: dict[str, Side] = {
        "thread runner": partial(heavy, arguments=("--runner", "thread")),
        "process runner": partial(heavy, arguments=("--runner", "process")),
    }
    samples = bench.compare(sides, bench.size.ground)
    return [bench.ratio("speed / thread runner", samples, ("thread runner", "process runner"), "wall", "at least", 1.5)]


def partitions(bench: Bench) -> list[Claim]:
    """The table is made once, and all runs read it."""
    rows = 2 * bench.size.records
    with fresh_folder(bench.folder) as folder:
        table = folder / "table.db"
        fill(table, rows)
        source = {"name": "sql", "stream": "records", "url": f"sqlite:///{table}", "partitions": 2}

        def with_producers(count: int, total: int) -> Command:
            runner = {"type": "process", "config": {"max_parallel_partitions": count}}
            return pipeline(total, source=source, destination={"format": "parquet"}, engine={"runner": runner})

        sides: dict[str, Side] = {
            "one partition": partial(with_producers, 1),
            "two partitions": partial(with_producers, 2),
        }
        samples = bench.repeat(sides, rows)
    return [bench.ratio("speed / one partition", samples, ("one partition", "two partitions"), "wall", "at least", 1.7)]


def join(bench: Bench) -> list[Claim]:
    """The same pages in one partition and in many, each with a checkpoint at its end."""
    rows = MANY_PARTS * PER_PART
    table = bench.folder / "parts.db"
    fill(table, rows)
    source = {"name": "sql", "stream": "records", "url": f"sqlite:///{table}", "page_size": PER_PART}

    def in_parts(count: int, total: int) -> Command:
        return pipeline(total, source={**source, "partitions": count}, arguments=("--join",))

    sides: dict[str, Side] = {"one": partial(in_parts, 1), "many": partial(in_parts, MANY_PARTS)}
    samples = bench.repeat(sides, rows)
    table.unlink(missing_ok=True)
    if {*samples} != {*sides}:
        return [Claim(PER_PARTITION, None, "at most", 100, "ms", reason=str(bench.failures))]
    one, many = (samples[name].median("wall") for name in sides)
    return [Claim(PER_PARTITION, 1_000 * (many - one) / (MANY_PARTS - 1), "at most", 100, "ms")]


def hosts(bench: Bench) -> list[Claim]:
    """Each host has half a processor. The state is in Postgres; the files are shared."""
    state = {"type": "postgres", "config": {**postgres.place(), "schema": "bizon_bench_hosts"}}
    with ExitStack() as tables:

        @cache
        def table(rows: int) -> Path:
            file = tables.enter_context(fresh_folder(bench.folder)) / "table.db"
            fill(file, rows)
            return file

        def on_hosts(count: int, total: int) -> Command:
            source = {"name": "sql", "stream": "records", "url": f"sqlite:///{table(total)}", "partitions": HOST_PARTS}
            run = pipeline(total, source=source, engine={"backend": state}, arguments=("--join", "--join-id", "{job}"))
            return replace(run, arguments=script("on_hosts.py", count, HOST_SHARE, *run.arguments).arguments)

        sides: dict[str, Side] = {"one host": partial(on_hosts, 1), "four hosts": partial(on_hosts, 4)}
        samples = bench.compare(sides, 4 * bench.size.records)
    return [bench.ratio("speed / one host", samples, ("one host", "four hosts"), "wall", "at least", 3.2)]


def fill(file: Path, rows: int) -> None:
    """A SQLite table with this many records of seven columns."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "CREATE TABLE records (id INTEGER PRIMARY KEY, name TEXT, email TEXT, score REAL, active INTEGER, "
            "city TEXT, created_at TEXT)"
        )
        connection.executemany(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (id_, f"name {id_}", f"{id_}@example.com", id_ / 4, id_ % 2, f"city {id_ % 100}", "2024-05-01T10:00:00")
                for id_ in range(rows)
            ),
        )


def transform(bench: Bench) -> list[Claim]:
    sides: dict[str, Side] = {
        "with": partial(pipeline, transforms=[{"label": "four lines", "python": FOUR_LINES}]),
        "without": pipeline,
        "loads + dumps": partial(script, "bare_json.py"),
    }
    samples = bench.repeat(sides, bench.size.records)
    name, limit = "CPU of the transform / orjson.loads + dumps", 6.0
    if len(samples) < len(sides):
        return [Claim(name, None, "at most", limit, reason=str(bench.failures))]
    cost = samples["with"].median("cpu") - samples["without"].median("cpu")
    least = sorted(float(usage.printed) for usage in samples["loads + dumps"].usages)[bench.runs // 2]
    detail = {"cost": round(cost, 4), "loads + dumps": round(least, 4), "metric": "cpu"}
    return [Claim(name, cost / least if least > 0 else None, "at most", limit, detail=detail)]


def checkpoints(bench: Bench) -> list[Claim]:
    commits = bench.size.commits
    timed = (sys.executable, str(WORK / "timed_run.py"))
    often = partial(pipeline, bizon=timed, keys={"page": bench.size.records // commits})
    sides: dict[str, Side] = {
        "often": partial(often, destination={"buffer_size": 0}),
        "once": partial(often, destination={"buffer_size": 4000}),
    }
    samples = bench.repeat(sides, bench.size.records)
    names = ("time in the state database / run", "what the commits add, without fsync / run")
    if len(samples) < len(sides):
        return [Claim(name, None, "at most", 10.0, "%", reason=str(bench.failures)) for name in names]
    shares = [_shares(samples, number) for number in range(bench.runs)]
    database, added, flushing = (sorted(column)[bench.runs // 2] for column in zip(*shares, strict=True))
    detail = {"commits": commits, "fsync of the output, % of the run": round(flushing, 1), "metric": "wall"}
    return [
        Claim(name, figure, "at most", 10.0, "%", detail=detail)
        for name, figure in zip(names, (database, added), strict=True)
    ]


def _shares(samples: dict[str, Samples], number: int) -> tuple[float, float, float]:
    """Shares of the wall time of a run with many commits, in %: state database, added cost of the commits, fsync."""
    often, once = (samples[name].usages[number] for name in ("often", "once"))
    inside, inside_once = (json.loads(run.printed.splitlines()[-1])["seconds"] for run in (often, once))
    added = (often.wall - inside["fsync"]) - (once.wall - inside_once["fsync"])
    return (
        100 * inside["cursors"] / often.wall,
        100 * added / often.wall,
        100 * inside["fsync"] / often.wall,
    )
