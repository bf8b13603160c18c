"""The command with a DuckDB file: counts of rescued values, refused records, and the shipped examples."""

import json
import subprocess
from pathlib import Path
from typing import Any

import commands
import pytest
import yaml
from connectors.destinations.duckdb.kit import columns, sql

import bizon.connectors.destinations.duckdb as connector

EXAMPLES = sorted((Path(connector.__path__[0]) / "config").glob("*.example.yml"))
SOURCE = """
from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration, SourceRecord
from bizon.source.source import AbstractSource

PAGES = [[{"n": 1}, {"n": 2}], [{"n": "three"}, {"n": 4, "N": 5}]]


class Numbers(AbstractSource):
    @staticmethod
    def streams():
        return ["numbers"]

    @staticmethod
    def get_config_class():
        return SourceConfig

    def get_authenticator(self):
        return None

    def check_connection(self):
        return True, None

    def get_total_records_count(self):
        return None

    def get(self, pagination=None):
        page = (pagination or {}).get("page", 0)
        found = [SourceRecord(id=f"{page}-{place}", data=data) for place, data in enumerate(PAGES[page])]
        return SourceIteration(records=found, next_pagination={"page": 1} if page == 0 else {})
"""


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return commands.run([*commands.BIZON, *arguments], cwd=folder, capture_output=True, text=True, timeout=120)


def write(folder: Path, mode: str, **settings: Any) -> None:
    (folder / "numbers_source.py").write_text(SOURCE)
    config = {"database": "numbers.duckdb", "destination_id": "numbers", "buffer_size": 0, **settings}
    pipeline = {
        "name": "numbers",
        "source": {
            "name": "numbers",
            "stream": "numbers",
            "sync_mode": mode,
            "source_file_path": "numbers_source.py",
            **({"max_iterations": 2} if mode == "stream" else {}),
        },
        "destination": {"name": "duckdb", "config": config},
        "on_error": "skip",
        "engine": {"backend": {"type": "sqlite", "config": {"database": "state"}}},
    }
    (folder / "numbers.yml").write_text(yaml.safe_dump(pipeline))


@pytest.mark.parametrize("runner", ["thread", "process"])
def test_values_without_room_are_counted_in_result_status_and_log(tmp_path: Path, runner: str) -> None:
    write(tmp_path, "full_refresh")
    done = run(tmp_path, "run", "numbers.yml", "--runner", runner, "--result-json", "result.json")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["records_written"], result["values_rescued"]) == (4, 2)
    assert "Rescued: 2 values without room in a column, in _bizon_rescued" in done.stdout
    assert (
        "table 'numbers': 1 values of 'n' are in _bizon_rescued: they do not fit its type without loss" in done.stderr
    )
    assert "1 values of 'N' are in _bizon_rescued: column 'n' has this name, which is compared in any" in done.stderr
    assert "Rescued: 2 values without room in a column" in run(tmp_path, "status", "numbers.yml").stdout


def test_strict_skips_records_that_do_not_fit(tmp_path: Path) -> None:
    write(tmp_path, "full_refresh", schema_mode="strict")
    done = run(tmp_path, "run", "numbers.yml", "--result-json", "result.json")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["records_written"], result["records_rejected"], result["values_rescued"]) == (2, 2, 0)
    assert sql(tmp_path / "numbers.duckdb", "SELECT n FROM numbers ORDER BY n") == [(1,), (2,)]


@pytest.mark.matrix(share=4)
@pytest.mark.parametrize("mode", ["full_refresh", "stream"])
def test_pipelines_that_run_at_once_share_the_file_and_wait_for_each_other(tmp_path: Path, mode: str) -> None:
    names = ["one", "two", "three"]
    for name in names:
        write(tmp_path, mode, destination_id=name)
        config = yaml.safe_load((tmp_path / "numbers.yml").read_text())
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump({**config, "name": name}))
    started = [
        commands.Popen([*commands.BIZON, "run", f"{name}.yml"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        for name in names
    ]
    for each in started:
        _, errors = each.communicate(timeout=120)
        assert each.returncode == 0, errors
    for name in names:
        found = sql(tmp_path / "numbers.duckdb", f"SELECT count(*), count(DISTINCT _bizon_id) FROM {name}")
        assert found == [(4, 4)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_run_twice(tmp_path: Path, example: Path) -> None:
    (tmp_path / "pipeline.yml").write_text(example.read_text())
    for _ in range(2):
        done = run(tmp_path, "run", "pipeline.yml")
        assert done.returncode == 0, done.stderr
    table = yaml.safe_load(example.read_text())["destination"]["config"]["destination_id"]
    database = tmp_path / "data" / "warehouse.duckdb"
    assert sql(database, f"SELECT count(*) FROM {table}") == [(5,)]
    assert {"id", "name", "age"} <= set(columns(database, table))
