"""Claims about starting: a short run, the commands, the installed packages."""

import re
from functools import partial

from benchmarks.claims import Claim
from benchmarks.environments import CannotInstallError, bare_install
from benchmarks.measure import Command
from benchmarks.workload import BIZON, Bench, Side, pipeline, python

FOREIGN = re.compile(r"google|kafka|arrow|grpc")
DUMMY = {
    "name": "dummy",
    "stream": "creatures",
    "authentication": {"type": "api_key", "params": {"token": "any"}},
}


def short_run(bench: Bench) -> list[Claim]:
    imports = python("import polars, sqlalchemy, pydantic, requests, typer")
    sides: dict[str, Side] = {
        "25 records": lambda _: pipeline(25, keys={"page": 10}),
        "dummy": lambda _: pipeline(5, source=DUMMY),
        "imports": lambda _: imports,
    }
    samples = bench.repeat(sides, 0, short=True)
    return [
        bench.ratio("wall of 25 records / imports", samples, ("25 records", "imports"), "wall", "at most", 1.3),
        bench.ratio("wall of the dummy source / imports", samples, ("dummy", "imports"), "wall", "at most", 1.3),
    ]


def commands(bench: Bench) -> list[Claim]:
    sides: dict[str, Side] = {
        "--help": lambda _: Command((*BIZON, "--help")),
        "source list": lambda _: Command((*BIZON, "source", "list")),
        "import typer": lambda _: python("import typer"),
    }
    samples = bench.repeat(sides, 0, short=True)
    return [
        bench.ratio(f"wall of {name} / import typer", samples, (name, "import typer"), "wall", "at most", limit)
        for name, limit in (("--help", 1.5), ("source list", 2.5))
    ]


def install(bench: Bench) -> list[Claim]:
    claim = partial(Claim, sense="at most")
    names = (("size", 250.0, "MB"), ("packages", 40.0, "packages"), ("Google, Kafka, Arrow", 0.0, "packages"))
    environment = bare_install()
    try:
        environment.prepare(bench.may_install)
    except CannotInstallError as error:
        return [claim(name, None, limit=limit, unit=unit, reason=str(error)) for name, limit, unit in names]
    packages = environment.packages()
    foreign = [name for name in packages if FOREIGN.search(name)]
    figures = (environment.megabytes(), len(packages), len(foreign))
    return [
        claim(name, float(figure), limit=limit, unit=unit, detail={"packages": packages})
        for (name, limit, unit), figure in zip(names, figures, strict=True)
    ]
