"""Claims about BigQuery: the cost of preparing rows, and the memory while they are written."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any
from uuid import uuid4

from benchmarks.claims import Claim
from benchmarks.environments import ROOT
from benchmarks.measure import Command
from benchmarks.workload import Bench, Side, pipeline, script

_SERVE = ROOT / "tests" / "emulator" / "serve.py"
_BUFFER = 5  # MB
_REQUEST = 3  # MB; the emulator accepts no more over gRPC


class NoEmulatorError(RuntimeError):
    """A row cannot be measured without BigQuery on this machine."""


def storage_write(bench: Bench) -> list[Claim]:
    return [_compared(bench, "requests", "messages", "CPU / bare loop", 3.0)]


def load_objects(bench: Bench) -> list[Claim]:
    return [_compared(bench, "objects", "parquet", "CPU / write_parquet", 1.3)]


def _compared(bench: Bench, ours: str, bare: str, name: str, limit: float) -> Claim:
    """Compares the processor seconds that two kinds of work of ``bigquery_rows.py`` print."""
    sides: dict[str, Side] = {work: partial(script, "bigquery_rows.py", work) for work in (ours, bare)}
    samples = bench.repeat(sides, bench.size.records)
    if len(samples) < len(sides):
        return Claim(name, None, "at most", limit, reason=str(bench.failures))
    first, second = ([float(usage.printed) for usage in samples[work].usages] for work in (ours, bare))
    pairs = [round(mine / yours, 3) for mine, yours in zip(first, second, strict=True)]
    detail = {ours: round(median(first), 4), bare: round(median(second), 4), "metric": "cpu", "pairwise": pairs}
    return Claim(name, median(first) / median(second), "at most", limit, detail=detail)


def memory(bench: Bench) -> list[Claim]:
    """The peak memory of runs into the emulators."""
    few, many = bench.size.warehouse
    claims = {name: f"peak RSS / with fewer records, {name}" for name in ("bigquery", "bigquery_streaming_v2")}
    found = []
    try:
        with _emulators() as keys:
            for name, claim in claims.items():
                into = partial(_into, name, keys)
                sides: dict[str, Side] = {"few": into, "many": lambda total, into=into: into(total * many // few)}
                samples = bench.repeat(sides, few)
                found.append(bench.ratio(claim, samples, ("many", "few"), "peak_mb", "at most", 1.15))
    except NoEmulatorError as error:
        return [Claim(claim, None, "at most", 1.15, reason=str(error)) for claim in claims.values()]
    return found


def _into(name: str, keys: Mapping[str, Any], total: int) -> Command:
    own = {"gcs_buffer_bucket": keys["bucket"]} if name == "bigquery" else {"request_size": _REQUEST}
    table = {"destination_id": f"bench_{uuid4().hex}", "buffer_size": _BUFFER}
    return pipeline(total, to={"name": name, "config": {**keys["keys"], **table, **own}})


@contextmanager
def _emulators() -> Iterator[dict[str, Any]]:
    """Within: BigQuery and Cloud Storage on this machine. Yields ``keys`` for a configuration, and ``bucket``."""
    server = subprocess.Popen([sys.executable, str(_SERVE)], stdin=-1, stdout=-1, stderr=-1, text=True)
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        if not line:
            raise NoEmulatorError(server.communicate()[1].strip() or "it does not start")
        keys = json.loads(line)
        yield {"bucket": keys.pop("gcs_buffer_bucket"), "keys": keys}
    finally:
        server.communicate()
