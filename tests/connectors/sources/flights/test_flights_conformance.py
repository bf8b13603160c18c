"""The source of examples/flights keeps the contract of sources, on Datasette with a small database."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
import requests
import yaml
from e2e.conftest import Pipeline
from ports import free_port

from bizon.source.discover import load_custom_source
from bizon.testing.source import SourceConformance

EXAMPLE = Path(__file__).parents[4] / "examples" / "flights"
ROWS, PAGE = 12, 5


def script(name: str) -> ModuleType:
    """A script of the example as a module."""
    spec = spec_from_file_location(name, EXAMPLE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fill(path: Path) -> None:
    """Twelve flights, several of which changed in the same hour; no airlines."""
    with sqlite3.connect(path) as database:
        for table in ("flights", "airlines"):
            database.execute(f"CREATE TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY, dep_delay, updated_at TEXT)")
            database.execute(f"DELETE FROM {table}")
        rows = [(number, 0, f"2013-01-01T{5 + number // 4:02}:00:00+00:00") for number in range(1, ROWS + 1)]
        database.executemany("INSERT INTO flights VALUES (?, ?, ?)", rows)
    database.close()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("flights") / "flights.db"
    fill(path)
    return path


@pytest.fixture(scope="module")
def url(database: Path) -> Iterator[str]:
    """The database, served by Datasette."""
    port = free_port()
    command = [sys.executable, "-m", "datasette", "serve", str(database), "-p", str(port)]
    with (database.parent / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until_served(f"http://127.0.0.1:{port}/flights.json", server)
            yield f"http://127.0.0.1:{port}/flights"
        finally:
            server.terminate()
            server.wait(timeout=20)


def wait_until_served(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, "datasette ended"
        try:
            requests.get(url, timeout=5)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("datasette did not answer")


@pytest.mark.matrix(share=0)
def test_a_recording_of_the_example_replays_and_a_window_of_the_past_comes_again(
    database: Path, url: str, tmp_path: Path
) -> None:
    fill(database)
    pipeline = Pipeline(tmp_path)
    pipeline.config["source"] = yaml.safe_load((EXAMPLE / "flights.example.yml").read_text())["source"]
    pipeline.source(base_url=url, source_file_path=str(EXAMPLE / "flights_source.py"), page_size=PAGE).run()
    assert pipeline.ids() == [*range(1, ROWS + 1)]
    pipeline.run("--since", "2013-01-01T06:00:00Z", "--until", "2013-01-01T07:00:00Z")
    assert pipeline.ids() == [*range(1, ROWS + 1), 4, 5, 6, 7]
    assert "0 records" in pipeline.run().stdout
    recorded = pipeline.bizon("source", "test", "config.yml", "--record", "tape")
    assert recorded.stdout.count("\nok ") > 15
    with sqlite3.connect(database) as emptied:  # a replay asks nobody
        emptied.execute("DELETE FROM flights")
    emptied.close()
    replayed = pipeline.bizon("source", "test", "config.yml", "--replay", "tape")
    assert replayed.stdout == recorded.stdout


@pytest.mark.matrix(share=6, pool="sources")
class TestFlights(SourceConformance):
    source_class = load_custom_source(EXAMPLE / "flights_source.py")
    not_applicable: ClassVar = {
        "wrong_credentials_say_so_in_one_line": "the configuration holds no secret",
        "no_output_shows_a_secret": "the configuration holds no secret",
    }
    examples = tuple(sorted(EXAMPLE.glob("*.yml")))

    @pytest.fixture
    def config(self, database: Path, url: str) -> dict[str, Any]:
        fill(database)
        self.database = database
        return {
            "name": "flights",
            "stream": "flights",
            "base_url": url,
            "page_size": PAGE,
            "cursor_field": "updated_at",
        }

    def empty_config(self, config: dict[str, Any]) -> dict[str, Any]:
        return {**config, "stream": "airlines"}

    def change(self, config: dict[str, Any]) -> list[str]:
        script("change_rows").change_rows(str(self.database), 3)
        return ["1", "2", "3"]
