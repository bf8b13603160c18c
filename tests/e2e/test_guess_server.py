"""``bizon source guess`` against a server that others wrote: Datasette, with a table of 250 rows."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import yaml

ROWS = 250
_PATIENCE = 60  # seconds until it serves, on a busy machine


@pytest.fixture
def url(tmp_path: Path, free_tcp_port: int) -> Iterator[str]:
    """The table as JSON."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, total REAL, updated_at TEXT)")
        rows = [(n, n / 8, f"2024-{n % 12 + 1:02}-{n % 28 + 1:02}T10:00:00Z") for n in range(1, ROWS + 1)]
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
        connection.commit()
    command = [sys.executable, "-m", "datasette", "serve", "shop.db", "-p", str(free_tcp_port)]
    with (tmp_path / "datasette.log").open("w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{free_tcp_port}/shop/orders.json"
            wait_until_served(address)
            yield address
        finally:
            server.terminate()
            server.wait(timeout=20)


def wait_until_served(address: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            urlopen(address, timeout=5).close()
        except (URLError, OSError):
            assert time.monotonic() < deadline, "Datasette does not serve"
            time.sleep(0.1)
        else:
            return


def test_datasette_is_read_as_it_was_guessed(url: str, run_cli: Any, tmp_path: Path) -> None:
    refused = run_cli("source", "guess", url, cwd=tmp_path)
    assert refused.returncode == 1
    assert "the list at 'rows' does not hold objects" in refused.stderr

    done = run_cli("source", "guess", f"{url}?_shape=objects", "-o", "orders.yml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    endpoint = yaml.safe_load((tmp_path / "orders.yml").read_text())["source"]["endpoints"]["orders"]
    assert (endpoint["records"], endpoint["id"]) == ("rows", "id")
    assert endpoint["pages"] == {"type": "link_header", "total": "filtered_table_rows_count"}
    assert endpoint["incremental"] == {"cursor_field": "updated_at", "since": {"param": "updated_at__gte"}}

    assert run_cli("config", "validate", "orders.yml", cwd=tmp_path).returncode == 0
    assert run_cli("run", "orders.yml", cwd=tmp_path).returncode == 0
    assert len((tmp_path / "orders.json").read_text().splitlines()) == ROWS
