"""Object stores that answer 503: requests are repeated, waits end with the run, and a check gives up soon."""

import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from connectors.sources.files.conftest import S3_KEYS, Bucket
from connectors.sources.files.files_kit import read, source
from connectors.sources.files.test_files_stores import lines, parquet
from e2e.conftest import Pipeline
from http_proxy import HttpProxy, http_proxy
from obstore.exceptions import GenericError
from pytest_httpserver import HTTPServer
from stops import BOUND, error_when_stopped

from bizon.common.errors.errors import SourceConnectionError, StoppedError
from bizon.common.waiting import within
from bizon.connectors.sources.files.src.object_store import _Listing
from bizon.connectors.sources.files.src.store_retries import repeated

WaitFor = Callable[[Callable[[], bool]], None]
MANY = 1_000_000  # requests


@pytest.fixture
def proxy(s3: Bucket) -> Iterator[HttpProxy]:
    """Between the source and its bucket, which has a file of each kind."""
    s3.put("a.jsonl", lines(1))
    s3.put("b.parquet", parquet(2))
    with http_proxy(s3.storage["endpoint"]) as proxy:
        yield proxy


def keys(s3: Bucket, proxy: HttpProxy, path: str, **storage: Any) -> dict[str, Any]:
    return s3.keys(path, storage={**s3.storage, "endpoint": proxy.url, **storage})


@pytest.fixture
def broken(httpserver: HTTPServer) -> dict[str, Any]:
    """The block ``storage`` of a store that answers nothing but 503."""
    httpserver.expect_request("").respond_with_data("busy", 503)
    return {**S3_KEYS, "endpoint": httpserver.url_for("").rstrip("/")}


@pytest.mark.parametrize("path", ["s3://b/a.jsonl", "s3://b/*"])
def test_a_check_gives_up_within_its_bound_with_one_error(
    path: str, broken: dict[str, Any], httpserver: HTTPServer
) -> None:
    """obstore repeated each request ten times, for up to three minutes."""
    with within(1):
        ok, reason = source(path=path, storage={**broken, "retries": 1000}).check_connection()
    assert not ok
    assert reason.startswith("s3://b")
    assert "503 Service Unavailable" in reason
    assert "\n" not in reason
    assert 1 < len(httpserver.log) < 50


@pytest.mark.parametrize("path", ["s3://b/a.jsonl", "s3://b/*"])
def test_a_stop_ends_the_wait_before_a_look_is_repeated(
    path: str, broken: dict[str, Any], httpserver: HTTPServer, wait_for: WaitFor
) -> None:
    opened = source(path=path, storage={**broken, "retries": 1000})
    error = error_when_stopped(lambda: opened.get({}), lambda: wait_for(lambda: len(httpserver.log) > 3))
    assert isinstance(error, StoppedError)


def test_a_stop_ends_the_wait_before_content_is_read_again(s3: Bucket, proxy: HttpProxy, wait_for: WaitFor) -> None:
    proxy.fail("GET", "/a.jsonl", 503, times=MANY)
    opened = source(**keys(s3, proxy, "a.jsonl", retries=1000))
    error = error_when_stopped(lambda: opened.get({}), lambda: wait_for(lambda: len(proxy.seen) > 3))
    assert isinstance(error, StoppedError)


def test_a_stop_ends_the_wait_before_polars_reads_again(s3: Bucket, proxy: HttpProxy, wait_for: WaitFor) -> None:
    storage = source(**keys(s3, proxy, "b.parquet", retries=1000))._storage
    file = storage.open(storage.info(f"{s3.url}/b.parquet"))
    proxy.fail("GET", "/b.parquet", 503, times=MANY)
    proxy.fail("HEAD", "/b.parquet", 503, times=MANY)
    error = error_when_stopped(
        lambda: file.repeated(lambda: file.scan().collect()), lambda: wait_for(lambda: len(proxy.seen) > 10)
    )
    assert isinstance(error, StoppedError)


@pytest.mark.parametrize("runner", ["thread", "process"])
def test_sigterm_ends_a_run_that_waits_for_a_store(
    s3: Bucket, proxy: HttpProxy, tmp_path: Path, wait_for: WaitFor, runner: str
) -> None:
    proxy.fail("GET", "/b.parquet", 503, times=MANY)

    def asked() -> int:
        return sum(each.startswith("GET") and "/b.parquet" in each for each in proxy.seen)

    pipeline = Pipeline(tmp_path)
    pipeline.config["source"] = {"name": "files", "stream": "rows", **keys(s3, proxy, "*", retries=1000)}
    run = pipeline.start("--runner", runner)
    wait_for(lambda: asked() > 2)
    os.kill(run.pid, signal.SIGTERM)
    output, _ = run.communicate(timeout=BOUND)
    assert run.returncode == 130, output


@pytest.mark.parametrize("status", [429, 500, 503, 0])
def test_a_store_that_comes_back_costs_no_record(s3: Bucket, proxy: HttpProxy, status: int) -> None:
    for method, where in (("GET", "?list-type"), ("HEAD", "/a.jsonl"), ("GET", "/a.jsonl"), ("GET", "/b.parquet")):
        proxy.fail(method, where, status, times=4)
    assert [json.loads(each)["n"] for each in read(**keys(s3, proxy, "*")).texts] == [1, 2]


def test_a_scan_by_polars_is_repeated(s3: Bucket, proxy: HttpProxy) -> None:
    """Polars repeats a request twice; the store comes back after that."""
    storage = source(**keys(s3, proxy, "b.parquet"))._storage
    file = storage.open(storage.info(f"{s3.url}/b.parquet"))
    proxy.fail("GET", "/b.parquet", 503, times=8)
    proxy.fail("HEAD", "/b.parquet", 503, times=8)
    assert file.repeated(lambda: file.scan().collect())["n"].to_list() == [2]


def test_without_retries_a_request_is_sent_once(s3: Bucket, proxy: HttpProxy) -> None:
    proxy.fail("HEAD", "/a.jsonl", 503, times=MANY)
    with pytest.raises(SourceConnectionError, match="503"):
        read(**keys(s3, proxy, "a.jsonl", retries=0))
    assert len(proxy.seen) == 1


@pytest.mark.parametrize("status", [400, 402, 403])
def test_a_refusal_that_stays_is_not_repeated(s3: Bucket, proxy: HttpProxy, status: int) -> None:
    proxy.fail("GET", "/a.jsonl", status, times=MANY)
    with pytest.raises(SourceConnectionError, match=str(status)):
        read(**keys(s3, proxy, "a.jsonl"))
    assert len(proxy.seen) == 2, "a look, and a read that was refused"


class Store:
    """Lists five parts, and fails before the third of them, ``times`` times."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.starts = 0

    def start(self) -> Iterator[Sequence[Any]]:
        self.starts += 1
        for part in "abcde":
            if part == "c" and self.starts <= self.times:
                raise GenericError("Generic S3 error: HTTP error: error sending request")
            yield [part]


def listed(store: Store, retries: int) -> list[Any]:
    listing, found = _Listing(store.start), []
    while parts := repeated(listing.following, retries=retries, shown=str):
        found += [each for part in parts for each in part]
    return found


def test_a_listing_that_breaks_off_misses_nothing() -> None:
    assert sorted(set(listed(Store(times=3), retries=3))) == [*"abcde"]


def test_a_listing_that_always_breaks_off_at_the_same_place_ends() -> None:
    store = Store(times=MANY)
    with pytest.raises(GenericError):
        listed(store, retries=2)
    assert store.starts <= 4
