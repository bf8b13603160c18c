"""Claims about the source `rest`: against the same source in Python, and pages asked for ahead."""

from functools import partial
from typing import Any

from benchmarks.claims import Claim
from benchmarks.claims_engine import LATENCY, from_server
from benchmarks.claims_engine import PER_PAGE as PER_SLOW_PAGE
from benchmarks.latency_server import serving
from benchmarks.measure import Command
from benchmarks.workload import Bench, Side, pipeline

PER_PAGE = 1000


def rest(bench: Bench) -> list[Claim]:
    pages, per_page = max(bench.size.ground // PER_PAGE, 1), min(bench.size.ground, PER_PAGE)
    with serving(pages, 0, per_page) as url, serving(1, 0, per_page) as single:

        def described(pages: int) -> Command:
            return pipeline(pages * per_page, source=described_at(url if pages > 1 else single))

        def written(pages: int) -> Command:
            return from_server(pages, url if pages > 1 else single, per_page)

        samples = bench.compare({"rest": described, "custom source": written}, pages)
    return [bench.ratio("CPU / custom source", samples, ("rest", "custom source"), "cpu", "at most", 1.2)]


def fetch_ahead(bench: Bench) -> list[Claim]:
    """Both sides have the same endpoint, whose pages have numbers."""
    pages = 2 * bench.size.http_pages
    with serving(pages, LATENCY, PER_SLOW_PAGE) as url, serving(1, LATENCY, PER_SLOW_PAGE) as single:

        def at_once(requests: int, count: int) -> Command:
            source = described_at(url if count == pages else single) | {"http": {"concurrency": requests}}
            return pipeline(count * PER_SLOW_PAGE, source=source)

        sides: dict[str, Side] = {"one at a time": partial(at_once, 1), "eight at once": partial(at_once, 8)}
        samples = bench.compare(sides, pages)
    sides_by_speed = ("one at a time", "eight at once")
    return [bench.ratio("speed / one request at a time", samples, sides_by_speed, "wall", "at least", 6.0)]


def described_at(url: str) -> dict[str, Any]:
    """The source of ``bench_http_source.py``, as YAML."""
    pages = {"type": "page", "where": "path", "param": "page", "start": 0, "more": "next"}
    return {
        "name": "rest",
        "stream": "records",
        "base_url": url,
        "endpoints": {"records": {"path": "/{page}", "records": "items", "pages": pages}},
    }
