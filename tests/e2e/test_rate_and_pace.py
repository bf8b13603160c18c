"""Streams and partitions of a run share one rate limit, and a slow one holds up no other."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from standins.rest.server import Asked, RestStandIn, by_page, changed_within, items

if TYPE_CHECKING:
    from conftest import Pipeline

pytestmark = pytest.mark.matrix(share=2, pool="rate and pace")

RATE = 20  # requests per second
PAGES = 25
MARGIN = 8
"""Requests that a window may have in addition: each stream has one in flight, each end of the window counts, and with
runner process the check of the connection is in another process."""
LONGEST = 45.0  # seconds; bounds the wait of a failing test


@pytest.fixture
def api() -> Iterator[RestStandIn]:
    with RestStandIn().running() as server:
        yield server


@pytest.mark.parametrize("runner", ["thread", "process"])
def test_two_streams_of_a_run_keep_one_rate_together(pipeline: "Pipeline", api: RestStandIn, runner: str) -> None:
    """A stream asks for a page when it has the one before, so the clock of the server tells nothing too early."""
    arrived: list[float] = []
    api.before = lambda asked: arrived.append(time.monotonic())
    endpoint = {"records": "items", "pages": {"type": "page", "param": "page", "total": "total"}}
    names = ["creatures", "plants"]
    for name in names:
        api.routes[f"/{name}"] = lambda asked: by_page(items(PAGES), asked, 1)
    endpoints = {name: {**endpoint, "path": f"/{name}"} for name in names}
    pipeline.source(source_file_path=None, stream=None, name="rest", base_url=api.url, endpoints=endpoints)
    pipeline.source(http={"rate": RATE}).set("streams", names).destination(destination_id="out/{stream}")
    pipeline.set("engine.runner.config.max_parallel_streams", 2)
    pipeline.run("--runner", runner)
    assert [pipeline.ids(f"out/{name}.json") for name in names] == [list(range(1, PAGES + 1))] * 2
    times = sorted(arrived)
    assert len(times) >= 2 * PAGES
    windows = combinations(enumerate(times, 1), 2)
    over = [
        (last - first + 1, end - begin)
        for (first, begin), (last, end) in windows
        if last - first + 1 > RATE * (end - begin) + MARGIN
    ]
    assert over == [], "requests, and the seconds that they came in"


@pytest.mark.parametrize("flags", [[], ["--join"]], ids=["alone", "joined"])
@pytest.mark.parametrize("runner", ["thread", "process"])
def test_a_partition_whose_pages_do_not_come_holds_up_no_other(
    pipeline: "Pipeline", api: RestStandIn, runner: str, flags: list[str]
) -> None:
    """The server answers for the first window once everything else is committed."""
    count = 60
    start = datetime.now(UTC) - timedelta(days=4 * count)
    records = [{"id": n, "updated_at": (start + timedelta(days=4 * n)).isoformat()} for n in range(count)]
    limits = {"cursor_field": "updated_at", "since": {"param": "since"}, "until": {"param": "until"}}
    endpoint = {
        **{"path": "/items", "records": "items", "pages": {"type": "page", "param": "page"}},
        "incremental": {**limits, "start": start.isoformat(), "window": "42d"},
    }
    source = {"name": "rest", "stream": "items", "sync_mode": "incremental", "base_url": api.url}
    pipeline.config["source"] = {**source, "endpoints": {"items": endpoint}}
    pipeline.set("engine.runner.config.max_parallel_partitions", 2).destination(buffer_size=0)
    waited: list[bool] = []

    def answer(asked: Asked) -> Any:
        found = changed_within(records, asked)
        if found and found[0]["id"] == 0 and not waited and is_planned(pipeline):
            waited.append(False)
            waited[0] = others_are_done(pipeline, joined=bool(flags))
        return by_page(found, asked, 4)

    api.routes["/items"] = answer
    pipeline.run("--runner", runner, *flags)
    assert waited == [True]
    assert sorted(pipeline.ids()) == list(range(count))


def is_planned(pipeline: "Pipeline") -> bool:
    """Whether a request is one of a partition, and not the check of the connection."""
    return bool(pipeline.in_state("SELECT job_id FROM stream_partitions"))


def others_are_done(pipeline: "Pipeline", *, joined: bool) -> bool:
    """Whether all partitions but one get to their ends."""
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        if left(pipeline, joined=joined) == 1:
            return True
        time.sleep(0.05)
    return False


def left(pipeline: "Pipeline", *, joined: bool) -> int | None:
    """The partitions that are not done; None when nothing is committed."""
    if joined:
        return sum(not done for (done,) in pipeline.in_state("SELECT done FROM stream_partitions"))
    last = pipeline.in_state("SELECT pagination FROM destination_cursors ORDER BY to_source_iteration DESC LIMIT 1")
    return json.loads(last[0][0])["bizon_partitions"]["left"] if last else None
