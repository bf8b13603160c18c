"""Every example config in the tree is valid, and those that need no account and no server run."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from docs.conftest import variables_in

from bizon.engine.engine import load_config

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "examples/plugin"  # valid where the package is installed: test_plugin_example.py
EXAMPLES = sorted(
    path
    for pattern in ("bizon/connectors/**/config/*.example.yml", "examples/**/*.yml")
    for path in ROOT.glob(pattern)
    if PLUGIN not in path.parents
)
FREE_SOURCES = {"dummy"}
FREE_DESTINATIONS = {"file", "logger"}
FREE_BACKENDS = {"sqlite", "sqlite_in_memory"}
FREE_QUEUES = {"python_queue"}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _is_free(path: Path) -> bool:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    engine = document.get("engine", {})
    parts = (
        (document["source"]["name"], FREE_SOURCES),
        (document["destination"]["name"], FREE_DESTINATIONS),
        (engine.get("backend", {}).get("type", "sqlite"), FREE_BACKENDS),
        (engine.get("queue", {}).get("type", "python_queue"), FREE_QUEUES),
    )
    return all(name in free for name, free in parts)


def test_there_are_examples():
    assert "examples/quickstart.yml" in [_name(path) for path in EXAMPLES]
    assert any(_is_free(path) for path in EXAMPLES)


@pytest.mark.lesson("F-45")
@pytest.mark.parametrize("path", EXAMPLES, ids=_name)
def test_an_example_is_valid(path, monkeypatch):
    """A release used to refuse a quarter to a half of its own examples."""
    for name in variables_in(path.read_text(encoding="utf-8")):
        monkeypatch.setenv(name, "p@ss/w:rd")
    load_config(path)


@pytest.mark.lesson("F-45")
@pytest.mark.parametrize("path", [path for path in EXAMPLES if _is_free(path)], ids=_name)
def test_an_example_that_needs_nothing_runs(path, run_cli):
    """Valid examples used to fail at run time."""
    done = run_cli("run", str(path))
    assert done.returncode == 0, done.stderr
    assert "5 records" in done.stdout


def test_the_example_of_files_runs_where_it_says(run_cli, tmp_path):
    """Its paths are below the checkout, as for `bizon run examples/files/files.yml`."""
    shutil.copytree(ROOT / "examples/files", tmp_path / "examples/files")
    for records in (5, 0):
        done = run_cli("run", "examples/files/files.yml")
        assert done.returncode == 0, done.stderr
        assert f"{records} records" in done.stdout
    rows = [json.loads(line) for line in (tmp_path / "demo/orders.json").read_text().splitlines()]
    assert [row["source_record_id"] for row in rows] == ["0001", "0002", "0003", "0004", "0005"]
    assert json.loads(rows[0]["source_data"]) == {
        "_file_path": "examples/files/day=2024-05-01/orders.csv",
        "_file_name": "orders.csv",
        "_file_day": "2024-05-01",
        "order_id": "0001",
        "customer": "Zoë, Inc.",
        "amount": "19.90",
    }


@pytest.mark.lesson("F-45")
def test_the_quickstart_runs_as_the_readme_shows(tmp_path):
    """In a separate process, by the installed command."""
    command = [Path(sys.executable).with_name("bizon"), "run", ROOT / "examples/quickstart.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "5 records" in done.stdout


def test_the_example_of_a_database_runs_as_its_comment_says(run_cli, tmp_path):
    example = ROOT / "examples/sql.yml"
    statements = re.findall(r'^# sqlite3 demo/shop.db "(.+)"$', example.read_text(encoding="utf-8"), re.MULTILINE)
    (tmp_path / "demo").mkdir()
    with closing(sqlite3.connect(tmp_path / "demo/shop.db", isolation_level=None)) as shop:
        for statement in statements:
            shop.execute(statement)
    done = run_cli("run", str(example))
    assert done.returncode == 0, done.stderr
    assert "2 records" in done.stdout
    assert "orders (table, about 2 records)" in run_cli("stream", "list", str(example)).stdout


def test_the_example_of_several_streams_runs_as_its_comment_and_its_page_say(run_cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("plugin", "flights"))
    (tmp_path / "demo").mkdir()
    text = (ROOT / "examples/streams.yml").read_text(encoding="utf-8")
    lines = re.findall(r"^# ((?:import|streams|names|for|db)\b.*)$", text, re.MULTILINE)
    assert len(lines) == 6
    exec("\n".join(lines), {})
    done = run_cli("run", "examples/streams.yml")
    assert done.returncode == 0, done.stderr
    assert "status Success: 20 streams, 20 records" in done.stdout
    assert (tmp_path / "demo/crm/deals_with_history.json").is_file()
    page = (ROOT / "docs/guides/streams.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(block, "streams.md", "exec"), {})


def test_the_quickstart_ends_with_a_table_and_its_query(run_cli):
    """The lines that `make run` adds where DuckDB is installed."""
    values = dict(re.findall(r"^(TABLE|QUERY) := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert run_cli("run", str(ROOT / values["TABLE"])).returncode == 0
    done = run_cli("show", str(ROOT / values["TABLE"]), "--sql", values["QUERY"])
    assert done.returncode == 0, done.stderr
    assert "creatures: 5 rows, 2 columns" in done.stdout
    assert f'bizon show {values["TABLE"]} --sql "{values["QUERY"]}"' in (ROOT / "README.md").read_text()
