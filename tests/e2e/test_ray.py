"""The workers of a run as tasks of a Ray cluster (runner `ray`): two nodes, with state and rows in Postgres."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import commands as cli
import pytest
import yaml
from e2e.ray_nodes import Nodes, cluster
from postgres import Place
from servers import server_or_skip

HERE = Path(__file__).parent
PARTS, PAGES, PAGE_SIZE, EMPTY = 8, 24, 3, 1
EVERYTHING = [number for number in range(PAGES * PAGE_SIZE) if number // PAGE_SIZE != EMPTY]
LONGEST = 150.0  # seconds
SECRET = "s3cr3t-of-the-driver"
pytestmark = pytest.mark.timeout(600)
only_long = pytest.mark.matrix(share=0)


@pytest.fixture(scope="module", autouse=True)
def _ray() -> None:
    if find_spec("ray") is None:
        server_or_skip("Ray", "install it with pip install 'bizon[ray]'")


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with cluster() as found:
        yield found


class Pipeline:
    def __init__(self, folder: Path, place: Place, address: str) -> None:
        self.folder, self.place = folder, place
        state = place.config()
        self.config: dict[str, Any] = {
            "name": "paged",
            "source": {
                "name": "paged",
                "stream": "items",
                "source_file_path": str(HERE / "crash" / "paged_source.py"),
                "pages": PAGES,
                "partitions": PARTS,
                "authentication": {"type": "api_key", "params": {"token": SECRET}},
            },
            "destination": {
                "name": "postgres",
                "config": {**state["config"], "destination_id": "items", "unnest": True},
            },
            "engine": {
                "backend": state,
                "runner": {"type": "ray", "ray": {"address": address}, "config": {"lease_ttl": 3}},
            },
        }

    def start(self) -> "subprocess.Popen[str]":
        (self.folder / "config.yml").write_text(yaml.safe_dump(self.config))
        command = [*cli.BIZON, "run", "config.yml", "--result-json", "result.json"]
        with (self.folder / "log.txt").open("a") as log:
            return subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, text=True)

    def run(self) -> int:
        with self.start() as command:
            try:
                return command.wait(LONGEST)
            finally:
                command.kill()

    def pages(self) -> int:
        """How many pages workers have asked for."""
        trace = self.folder / "trace.txt"
        return trace.read_text().count("asked") if trace.exists() else 0

    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "result.json").read_text())
        return found

    def check(self) -> None:
        """Every record is there once, of one job."""
        found = self.place.rows(f"SELECT id FROM {self.place.quoted_schema}.items ORDER BY id")
        assert [int(row[0]) for row in found] == EVERYTHING
        assert self.place.rows("SELECT status FROM stream_jobs") == [("succeeded",)]
        assert SECRET not in (self.folder / "log.txt").read_text()


@pytest.fixture
def paged(tmp_path: Path, postgres: Place, nodes: Nodes) -> Pipeline:
    return Pipeline(tmp_path, postgres, nodes.address)


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + LONGEST
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


@only_long
def test_two_workers_of_a_cluster_share_a_job_and_the_driver_publishes_it(paged: Pipeline) -> None:
    assert paged.run() == 0, (paged.folder / "log.txt").read_text()
    paged.check()
    result = paged.result()
    assert (result["published"], result["partitions"]) == (True, {"taken": PARTS, "finished": PARTS})
    assert (result["records_written"], paged.pages()) == (len(EVERYTHING), PAGES)


@only_long
def test_no_file_of_the_cluster_shows_a_secret(paged: Pipeline) -> None:
    assert paged.run() == 0
    logs = [path for path in Path("/tmp/ray/session_latest/logs").resolve().rglob("*") if path.is_file()]
    assert logs
    assert [path.name for path in logs if SECRET.encode() in path.read_bytes()] == []


def test_a_node_that_is_lost_is_replaced_and_no_record_is(paged: Pipeline, nodes: Nodes) -> None:
    paged.config["source"]["delay"] = 1.0
    with paged.start() as command:
        wait_until(lambda: paged.pages() > 3)
        nodes.lose_one()
        assert command.wait(LONGEST) == 0, (paged.folder / "log.txt").read_text()
    paged.check()
    assert "another one takes over" in (paged.folder / "log.txt").read_text()


@only_long
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_commits_its_pages_and_is_resumed(paged: Pipeline, sign: signal.Signals) -> None:
    paged.config["source"]["delay"] = 0.5
    with paged.start() as command:
        wait_until(lambda: paged.pages() > 3)
        command.send_signal(sign)
        assert command.wait(LONGEST) == 130
    assert not paged.result()["published"]
    assert paged.pages() < PAGES, "the workers have ended after their pages"
    paged.config["source"]["delay"] = 0
    assert paged.run() == 0
    paged.check()
    assert paged.pages() == PAGES, "no page was fetched twice"


@only_long
def test_a_run_that_is_killed_is_resumed(paged: Pipeline) -> None:
    paged.config["source"]["delay"] = 0.5
    with paged.start() as command:
        wait_until(lambda: paged.pages() > 3)
        command.kill()
    paged.config["source"]["delay"] = 0
    assert paged.run() == 0, (paged.folder / "log.txt").read_text()
    paged.check()


def test_a_cluster_that_does_not_answer_is_named_with_its_key(tmp_path: Path, postgres: Place) -> None:
    pipeline = Pipeline(tmp_path, postgres, "127.0.0.1:1")
    assert pipeline.run() == 1
    log = (tmp_path / "log.txt").read_text()
    assert "engine.runner.ray.address: no Ray cluster is reached at '127.0.0.1:1'" in log
    assert "ray start --head" in log
    assert pipeline.result()["failure_class"] == "cluster"
    assert "Traceback" not in log
