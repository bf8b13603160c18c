"""``bizon source test``: a line per behaviour, its exit codes, recordings."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import commands
import pytest
import yaml
from items_api import SOURCE_FILE, TOKEN, ItemsApi, items_block
from pytest_httpserver import HTTPServer

from bizon.testing.source_behaviours import behaviours

DUMMY = {
    "name": "dummy",
    "stream": "creatures",
    "authentication": {"type": "api_key", "params": {"token": "any-token"}},
}
NAMES = [name for name, _ in behaviours()]
COUNTS_WRONGLY = """
import importlib.util
spec = importlib.util.spec_from_file_location("items_of_the_suite", {file!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)


class CountsWrongly(module.ItemsSource):
    def get_total_records_count(self):
        return 99
"""


def bizon(*arguments: str, **variables: str):
    done = commands.run(
        [*commands.BIZON, "source", "test", *arguments], capture_output=True, text=True, env={**os.environ, **variables}
    )
    assert "Traceback" not in done.stderr
    return done


def write(source: dict[str, Any], name: str = "config.yml") -> str:
    Path(name).write_text(yaml.safe_dump({"name": "pipe", "source": source, "destination": {"name": "logger"}}))
    return name


@pytest.fixture
def items(httpserver: HTTPServer) -> dict[str, Any]:
    return items_block(ItemsApi(httpserver), source_file_path=str(SOURCE_FILE))


def test_each_behaviour_has_a_line_and_a_reason_when_it_does_not_apply() -> None:
    done = bizon(write(DUMMY))
    *lines, summary = done.stdout.splitlines()
    assert [line[16:].partition(":")[0] for line in lines] == NAMES
    assert "not applicable  a 503 is survived: the source declares fetches_over_http = False" in lines
    assert "ok              paging ends" in lines
    assert summary.startswith("dummy.creatures: ")
    assert ", 0 failed, " in summary
    assert (done.returncode, done.stderr) == (0, "")


def test_json_has_a_verdict_per_behaviour() -> None:
    done = bizon(write(DUMMY), "--json")
    found = json.loads(done.stdout)
    assert (found["source"], found["passed"]) == ("dummy.creatures", True)
    assert [each["behaviour"] for each in found["behaviours"]] == NAMES
    assert {each["status"] for each in found["behaviours"]} == {"ok", "not applicable"}


def test_a_source_that_refuses_us_is_one_error(items: dict[str, Any]) -> None:
    items["authentication"]["params"]["token"] = "an-old-token"
    done = bizon(write(items))
    assert (done.returncode, done.stdout) == (1, "")
    assert "HTTP 401 Unauthorized" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("source", "options", "reason"),
    [
        ({**DUMMY, "sync_mode": "stream"}, (), "sync_mode stream has no end"),
        (DUMMY, ("--record", "a", "--replay", "b"), "--record and --replay exclude each other"),
        (DUMMY, ("--replay", "nowhere"), "make one with --record nowhere"),
        (DUMMY, ("--record", "kept"), "--record and --replay keep HTTP, and source 'dummy' fetches none"),
        ({**DUMMY, "stream": "rocks"}, (), "has no stream 'rocks'"),
    ],
)
def test_wrong_usage_is_a_configuration_error(source: dict[str, Any], options: tuple[str, ...], reason: str) -> None:
    done = bizon(write(source), *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr


def test_the_command_needs_neither_pytest_nor_vcrpy() -> None:
    script = "import bizon.cli.commands.source_test, sys; print(sorted({'pytest', 'vcr'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_place_that_cannot_be_written_is_a_configuration_error(items: dict[str, Any]) -> None:
    done = bizon(write(items), "--record", "config.yml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--record config.yml: cannot be written" in done.stderr


@pytest.mark.parametrize("name", ["sql", "files"])
def test_nothing_of_a_database_or_of_files_is_recorded_or_replayed(name: str) -> None:
    """A recording of them was empty, and a replay read the database itself."""
    Path("kept").mkdir()
    Path("a.jsonl").write_text('{"id": 1}\n')
    sqlite3.connect("a.db").close()
    place = {"sql": {"url": "sqlite:///a.db"}, "files": {"path": "a.jsonl"}}[name]
    done = bizon(write({"name": name, "stream": "items", **place}), "--record", "kept")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"source '{name}' fetches none" in done.stderr
    assert list(Path("kept").iterdir()) == []


def test_without_vcrpy_only_recordings_are_missing(items: dict[str, Any]) -> None:
    Path("vcr.py").write_text("raise ModuleNotFoundError(\"No module named 'vcr'\", name='vcr')")
    assert bizon(write(DUMMY)).returncode == 0
    done = bizon(write(items), "--record", "kept")
    assert done.returncode == 2
    assert "pip install 'bizon[testing]'" in done.stderr


def test_a_recording_replays_without_a_network_and_without_secrets_and_tests_the_source_of_today(
    httpserver: HTTPServer, items: dict[str, Any]
) -> None:
    items["base_url"], items["authentication"]["params"]["token"] = "${env://ITEMS_URL}", "BIZON_ENV_ITEMS_TOKEN"
    config = write(items)
    url = httpserver.url_for("/v1")
    recorded = bizon(config, "--record", "kept", ITEMS_URL=url, BIZON_ENV_ITEMS_TOKEN=TOKEN)
    assert recorded.returncode == 0, recorded.stdout
    served = len(httpserver.log)
    replayed = bizon(config, "--replay", "kept")
    assert (replayed.returncode, replayed.stdout) == (0, recorded.stdout)
    assert len(httpserver.log) == served
    lacks = bizon(write({**items, "stream": "nothing"}, "other.yml"), "--replay", "kept")
    assert (lacks.returncode, lacks.stdout) == (1, "")
    assert f"no answer to GET {url}/nothing; record again" in lacks.stderr
    Path("wrong.py").write_text(COUNTS_WRONGLY.format(file=str(SOURCE_FILE)))
    wrong = bizon(config, "--replay", "kept", "--custom-source", "wrong.py")
    assert [line for line in wrong.stdout.splitlines() if line.startswith("failed")] == [
        "failed          the total is true or none: get_total_records_count() is 99, and the stream has 8 records; "
        "return the number of records of this stream, or None"
    ]
    assert wrong.returncode == 1
    assert TOKEN not in recorded.stdout + recorded.stderr + wrong.stdout + wrong.stderr
