"""A claim about the source `rest`: what a description in YAML costs, against the same source in Python."""

from typing import Any

from benchmarks.claims import Claim
from benchmarks.claims_engine import from_server
from benchmarks.latency_server import serving
from benchmarks.measure import Command
from benchmarks.workload import Bench, pipeline

PER_PAGE = 1000


def rest(bench: Bench) -> list[Claim]:
    pages, per_page = max(bench.size.ground // PER_PAGE, 1), min(bench.size.ground, PER_PAGE)
    with serving(pages, 0, per_page) as url, serving(1, 0, per_page) as single:

        def described(pages: int) -> Command:
            return pipeline(pages * per_page, source=_source(url if pages > 1 else single))

        def written(pages: int) -> Command:
            return from_server(pages, url if pages > 1 else single, per_page)

        samples = bench.compare({"rest": described, "custom source": written}, pages)
    return [bench.ratio("CPU / custom source", samples, ("rest", "custom source"), "cpu", "at most", 1.2)]


def _source(url: str) -> dict[str, Any]:
    """The source of ``bench_http_source.py``, as YAML."""
    pages = {"type": "page", "where": "path", "param": "page", "start": 0, "more": "next"}
    return {
        "name": "rest",
        "stream": "records",
        "base_url": url,
        "endpoints": {"records": {"path": "/{page}", "records": "items", "pages": pages}},
    }
