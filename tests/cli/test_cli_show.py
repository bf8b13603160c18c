"""``bizon show`` and ``bizon schema``: tables for any width, JSON without a digit lost, and errors."""

import json
import shutil
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.cells import cell_len
from typer.testing import CliRunner, Result

from bizon.cli.main import cli

SECRET = "hunter22-secret"
BIG = 123456789012345678901234567890
TEXT = "a,b\n\x1b[31mé 'q' \"d\""
ROWS: list[dict[str, Any]] = [
    {
        "id": 1,
        "big": BIG,
        "at": "2024-01-01T00:00:00.5+01:00",
        "day": "2024-02-03",
        "share": 1.5,
        "yes": True,
        "object": {"password": "plain", "list": [1]},
        "text": TEXT,
        "note": f"the key is {SECRET}",
    },
    {"id": 2, "big": 7, "share": 2e300, "yes": False, "text": ""},
    {"id": 3},
]
SOURCE = """
import json
from pathlib import Path

from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration, SourceRecord
from bizon.source.source import AbstractSource


class Odd(AbstractSource):
    fetches_over_http = False

    @staticmethod
    def streams():
        return ["rows"]

    @staticmethod
    def get_config_class():
        return SourceConfig

    def get_authenticator(self):
        return None

    def check_connection(self):
        return True, None

    def get(self, pagination=None):
        rows = json.loads(Path("rows.json").read_text())
        return SourceIteration(records=[SourceRecord(str(row["id"]), row) for row in rows], next_pagination={})
"""
TARGETS: dict[str, dict[str, Any]] = {
    "duckdb": {"name": "duckdb", "config": {"database": "w.duckdb", "destination_id": "odd"}},
    "json": {"name": "file", "config": {"destination_id": "out/odd", "unnest": True}},
    "csv": {"name": "file", "config": {"destination_id": "out/odd", "unnest": True, "format": "csv"}},
    "parquet": {"name": "file", "config": {"destination_id": "out/odd", "unnest": True, "format": "parquet"}},
    "six columns": {"name": "file", "config": {"destination_id": "out/odd"}},
    "six in parquet": {"name": "file", "config": {"destination_id": "out/odd", "format": "parquet"}},
}
TYPED = ["duckdb", "json", "csv", "parquet"]


def write(folder: Path, destination: dict[str, Any]) -> Path:
    (folder / "odd.py").write_text(SOURCE, encoding="utf-8")
    (folder / "rows.json").write_text(json.dumps(ROWS), encoding="utf-8")
    source = {"name": "odd", "stream": "rows", "source_file_path": "odd.py", "sync_mode": "full_refresh"}
    source["authentication"] = {"type": "api_key", "params": {"token": SECRET}}
    engine = {"backend": {"type": "sqlite", "config": {"database": "state"}}}
    path = folder / "odd.yml"
    path.write_text(yaml.safe_dump({"name": "p", "source": source, "destination": destination, "engine": engine}))
    return path


def bizon(*arguments: object, width: int = 80) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)), env={"COLUMNS": str(width)})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``ran(target)``: the folder of a pipeline into this target that has run, once for all tests."""

    @cache
    def run(target: str) -> Path:
        folder = tmp_path_factory.mktemp("ran")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            done = bizon("run", write(folder, TARGETS[target]))
        assert done.exit_code == 0, done.stderr
        return folder

    return run


@pytest.fixture(params=TARGETS)
def loaded(request: pytest.FixtureRequest, ran: Callable[[str], Path], here: Path) -> Path:
    """A pipeline that has run."""
    shutil.copytree(ran(request.param), here, dirs_exist_ok=True)
    return here / "odd.yml"


def typed(test: Any) -> Any:
    return pytest.mark.parametrize("loaded", TYPED, indirect=True)(test)


def rows(*arguments: object) -> list[dict[str, Any]]:
    done = bizon("show", *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout, parse_float=Decimal)["rows"]
    return found


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


@typed
def test_numbers_timestamps_and_text_are_shown_as_stored(loaded: Path) -> None:
    first, second, third = rows(loaded)
    assert (first["id"], first["big"], second["big"], third["big"]) == (1, BIG, 7, None)
    assert str(first["share"]) == "1.5"
    assert second["share"] == Decimal("2e300")
    assert (first["yes"], second["yes"], third["yes"]) == (True, False, None)
    assert first["at"].replace("T", " ").startswith("2023-12-31 23:00:00.5")
    assert first["day"] == "2024-02-03"
    assert first["text"] == TEXT
    assert (second["text"], third["text"]) == ("", None)


@typed
def test_a_query_finds_the_same_values(loaded: Path) -> None:
    (found,) = rows(loaded, "--sql", "SELECT id, big, share, yes, text, day FROM odd WHERE big > 7")
    assert (found["id"], found["big"], str(found["share"]), found["yes"]) == (1, BIG, "1.5", True)
    assert (found["text"], found["day"]) == (TEXT, "2024-02-03")
    assert [row["id"] for row in rows(loaded, "--sql", "SELECT id FROM odd ORDER BY id DESC;", "-n", 2)] == [3, 2]


def test_every_column_of_every_destination_can_be_queried(loaded: Path) -> None:
    stored, queried = rows(loaded), rows(loaded, "--sql", "SELECT * FROM odd")
    assert len(queried) == 3
    assert [*stored[0]] == [*queried[0]]


@pytest.mark.parametrize("width", [80, 40])
def test_no_line_is_wider_than_the_terminal(loaded: Path, width: int) -> None:
    done = bizon("show", loaded, "-n", 2, width=width)
    assert done.exit_code == 0, done.stderr
    assert max(map(cell_len, done.stdout.splitlines())) <= width
    assert "odd: 3 rows, " in done.stdout
    assert "(the first 2 rows)" in done.stdout
    assert "\x1b" not in done.stdout


def test_secrets_are_masked(loaded: Path) -> None:
    for more in ([], ["--json"], ["--json", "--sql", "SELECT * FROM odd"]):
        done = bizon("show", loaded, *more, width=2000)
        assert done.exit_code == 0, done.stderr
        assert SECRET not in done.output
        assert "plain" not in done.output


def test_a_statement_that_would_write_is_refused_and_nothing_changes(loaded: Path, here: Path) -> None:
    before = snapshot(here)
    for sql in (
        "DELETE FROM odd",
        "DROP TABLE odd",
        "CREATE TABLE more AS SELECT * FROM odd",
        "INSERT INTO odd SELECT * FROM odd",
        "SELECT 1; DROP TABLE odd",
        "COPY odd TO 'elsewhere.csv'",
    ):
        done = bizon("show", loaded, "--sql", sql)
        assert done.exit_code == 1, sql
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
    bizon("show", loaded)
    bizon("schema", "show", loaded)
    bizon("schema", "diff", loaded)
    assert snapshot(here) == before


def test_a_wrong_query_is_one_line(loaded: Path) -> None:
    for sql in ("SELECT nope FROM odd", "SELECT * FROM nope", "nonsense", "", ";"):
        done = bizon("show", loaded, "--sql", sql)
        assert done.exit_code == 1, sql
        assert len(done.stderr.splitlines()) == 1, sql
        assert "Error: " in done.stderr, sql
        assert "unexpected" not in done.stderr, sql


@pytest.mark.parametrize("target", TARGETS)
def test_a_table_that_does_not_exist_is_not_created(target: str, here: Path) -> None:
    config = write(here, TARGETS[target])
    before = snapshot(here)
    for words in (["show"], ["show", "--json"], ["schema", "show"]):
        done = bizon(*words, config)
        assert done.exit_code == 1
        assert "does not exist; a run of the pipeline creates it" in done.stderr
    assert snapshot(here) == before
    assert not (here / "out").exists()


def test_a_destination_without_a_table_says_which_class_has_none(here: Path) -> None:
    """The exit code used to be 2, as if the configuration were wrong."""
    done = bizon("show", write(here, {"name": "logger"}))
    assert done.exit_code == 1
    assert "destination 'logger' has no table to show: LoggerDestination does not override `reading`" in done.stderr


@typed
def test_columns_with_their_origin(loaded: Path) -> None:
    done = bizon("schema", "show", loaded, "--json")
    origins = {column["name"]: column["origin"] for column in json.loads(done.stdout)["columns"]}
    assert (origins["_bizon_id"], origins["_bizon_rescued"], origins["big"]) == ("system", "system", "inferred")


@typed
def test_the_last_run_says_what_it_added_and_widened(loaded: Path, here: Path) -> None:
    added = json.loads(bizon("schema", "diff", loaded, "--json").stdout)["added"]
    assert {"name": "share", "type": "float64"} in added
    assert not [column for column in added if column["name"].startswith("_bizon")]
    (here / "rows.json").write_text(json.dumps([*ROWS, {"id": BIG, "more": True}]))
    assert bizon("run", loaded).exit_code == 0
    found = json.loads(bizon("schema", "diff", loaded, "--json").stdout)
    assert found["added"] == [{"name": "more", "type": "boolean"}]
    assert found["widened"] == [{"name": "id", "from": "int64", "to": "decimal(38, 0)"}]
    text = bizon("schema", "diff", loaded).stdout
    assert "Last run: succeeded, 1 column added, 1 widened" in text
    assert bizon("run", loaded).exit_code == 0
    assert "0 columns added, 0 widened" in bizon("schema", "diff", loaded).stdout


@pytest.mark.parametrize("loaded", ["six columns"], indirect=True)
def test_a_destination_that_infers_nothing_says_so(loaded: Path) -> None:
    done = bizon("schema", "diff", loaded)
    assert done.exit_code == 1
    assert "infers no columns here, and notes none" in done.stderr


def test_a_pipeline_that_never_ran_has_no_last_run(here: Path) -> None:
    config = write(here, TARGETS["duckdb"])
    done = bizon("schema", "diff", config)
    assert done.exit_code == 1
    assert "the state knows of no run of pipeline" in done.stderr
    assert not (here / "state.sqlite3").exists()


def test_a_declared_column_is_called_declared(here: Path) -> None:
    schema = [{"destination_id": "odd", "record_schema": [{"name": "id", "type": "decimal(10, 2)"}]}]
    target = {"name": "duckdb", "config": {**TARGETS["duckdb"]["config"], "record_schemas": schema}}
    config = write(here, target)
    assert bizon("run", config).exit_code == 0
    columns = json.loads(bizon("schema", "show", config, "--json").stdout)["columns"]
    assert {"name": "id", "type": "DECIMAL(10,2)", "origin": "declared"} in columns


@pytest.mark.parametrize("format", ["json", "csv", "parquet"])
def test_rows_written_in_sync_mode_stream_are_shown(format: str, here: Path) -> None:
    config = write(here, {"name": "file", "config": {**TARGETS["json"]["config"], "format": format, "buffer_size": 0}})
    document = yaml.safe_load(config.read_text())
    document["source"] |= {"sync_mode": "stream", "max_iterations": 2}
    config.write_text(yaml.safe_dump(document))
    done = bizon("run", config)
    assert done.exit_code == 0, done.stderr
    found = rows(config)
    assert len(found) >= 3
    assert found[0]["big"] == BIG
    assert rows(config, "--sql", "SELECT big FROM odd WHERE big > 7")[0]["big"] == BIG
    done = bizon("schema", "diff", config)
    assert done.exit_code == 1
    assert "a job in sync mode stream keeps one checkpoint" in done.stderr


def test_a_file_of_any_length_is_read_only_as_far_as_it_is_shown(here: Path) -> None:
    config = write(here, TARGETS["six columns"])
    assert bizon("run", config).exit_code == 0
    with (here / "out/odd.json").open("a") as file:
        file.write("no line of JSON\n")
    assert bizon("show", config, "-n", 3).exit_code == 0
    for more in (["-n", 4], ["--sql", "SELECT * FROM odd"]):
        done = bizon("show", config, *more)
        assert done.exit_code == 1
        assert "a line is not an object with the columns that bizon wrote" in done.stderr


def test_a_narrow_terminal_shows_the_record_first(here: Path) -> None:
    """The six columns of bizon came in their order, so `source_data` was behind "+3 columns"."""
    config = write(here, TARGETS["six columns"])
    assert bizon("run", config).exit_code == 0
    assert bizon("show", config, width=40).stdout.splitlines()[2].startswith("source_data")


def test_names_that_occur_twice_stay_apart_in_json(here: Path) -> None:
    config = write(here, TARGETS["duckdb"])
    assert bizon("run", config).exit_code == 0
    assert rows(config, "--sql", "SELECT 1 AS a, 2 AS a, 3 AS a_2") == [{"a": 1, "a_2": 2, "a_2_2": 3}]
