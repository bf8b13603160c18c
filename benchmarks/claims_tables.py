"""Claims about tables with typed columns."""

from statistics import median

from benchmarks.claims import Claim
from benchmarks.workload import Bench, script

_LIMIT = 2.5


def typed_frames(bench: Bench) -> list[Claim]:
    """The median of the ratios of the runs: each run does both kinds of work, one right after the other."""
    name, script_name = "CPU / read_ndjson", "typed_frames.py"
    samples = bench.repeat({script_name: lambda total: script(script_name, total)}, bench.size.records)
    if not samples:
        return [Claim(name, None, "at most", _LIMIT, reason=bench.failures[script_name])]
    runs = [tuple(map(float, usage.printed.split())) for usage in samples[script_name].usages]
    pairs = [ours / bare for ours, bare in runs]
    detail = {
        "typed": round(median(ours for ours, _ in runs), 4),
        "read_ndjson": round(median(bare for _, bare in runs), 4),
        "metric": "cpu",
        "pairwise": [round(pair, 3) for pair in pairs],
    }
    return [Claim(name, median(pairs), "at most", _LIMIT, detail=detail)]
