"""The flights example against a real API: rows served by Datasette, moved by the real command. In the long run they are
all 336,776, else the first days of the year."""

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import matrices
import polars as pl
import pytest
import yaml

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "flights"
ROWS = 336_776 if matrices.is_long() else 25_000
CHANGED = (1, ROWS // 2, ROWS)
SHORTENED = f"""
import csv, itertools, runpy
read = csv.DictReader
csv.DictReader = lambda text: itertools.islice(read(text), {ROWS})
runpy.run_path("make_database.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with its database, in the state after the first step."""
    copy = tmp_path_factory.mktemp("flights")
    shutil.copytree(EXAMPLE, copy, dirs_exist_ok=True)
    subprocess.run([sys.executable, "-c", SHORTENED, "flights.db"], cwd=copy, check=True)
    return copy


@pytest.fixture(scope="module")
def base_url(folder: Path) -> Iterator[str]:
    """Datasette serving the database on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", *serving(), "-p", str(port)]
    log = (folder / "datasette.log").open("w")
    server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until_served(f"http://127.0.0.1:{port}/flights.json", server)
        yield f"http://127.0.0.1:{port}/flights"
    finally:
        server.terminate()
        server.wait(timeout=20)
        log.close()


def serving() -> list[str]:
    """The command of the README that serves the database, without its port."""
    lines = (EXAMPLE / "README.md").read_text(encoding="utf-8").splitlines()
    command = next(line for line in lines if line.startswith("datasette serve"))
    return command.partition(" -p ")[0].split()


def test_the_server_of_the_example_gives_a_slow_machine_time() -> None:
    """A query was given up after a second, which a busy machine takes for a page: the example failed."""
    settings = dict(zip(serving()[4::3], serving()[5::3], strict=True))
    limit = int(settings["sql_time_limit_ms"])
    assert limit >= 60_000
    for config in ("flights.example.yml", "flights.full.example.yml"):
        source = yaml.safe_load((EXAMPLE / config).read_text())["source"]
        assert source["http"]["timeout"][1] * 1000 > limit, "the server gives up first, and says why"


def wait_until_served(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, "datasette ended"
        try:
            with urlopen(url, timeout=5):
                return
        except URLError:
            time.sleep(0.05)
    pytest.fail("datasette did not answer")


def run(folder: Path, base_url: str, config: str) -> str:
    """``bizon run`` of one of the example's configs, as it stands but for the port."""
    document = yaml.safe_load((folder / config).read_text())
    document["source"]["base_url"] = base_url
    (folder / "running.yml").write_text(yaml.safe_dump(document))
    done = subprocess.run(
        [sys.executable, "-m", "bizon", "run", "running.yml"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(folder: Path) -> pl.DataFrame:
    return pl.scan_ndjson(folder / "flights.json").select("source_record_id", "source_data").collect()


@pytest.mark.timeout(300)
def test_every_row_once_then_exactly_the_changed_rows(folder: Path, base_url: str) -> None:
    assert f"{ROWS} records" in run(folder, base_url, "flights.full.example.yml").replace(",", "")
    first = loaded(folder)
    assert first.height == ROWS
    assert first["source_record_id"].n_unique() == ROWS

    now = datetime.now(UTC).isoformat()
    with sqlite3.connect(folder / "flights.db") as database:
        database.execute(f"UPDATE flights SET dep_delay = -1000, updated_at = ? WHERE id IN {CHANGED}", (now,))
    database.close()
    assert "3 records" in run(folder, base_url, "flights.example.yml")

    second = loaded(folder)
    appended = second.tail(3)
    assert second.height == ROWS + 3
    assert second.head(ROWS).equals(first)
    assert sorted(appended["source_record_id"], key=int) == [*map(str, CHANGED)]
    assert {json.loads(text)["dep_delay"] for text in appended["source_data"]} == {-1000}

    assert "0 records" in run(folder, base_url, "flights.example.yml")
    assert loaded(folder).height == ROWS + 3
