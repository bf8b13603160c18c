"""The sources that a reader builds from the guides keep the contract of sources, in every sync mode and when killed."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import commands
import pytest
from docs.connector_guide_code import example, source_with, write_source
from docs.guide_code import module_with, write_custom
from docs.standin import USERS, Api
from pytest_httpserver import HTTPServer

from bizon.source.discover import load_custom_source
from bizon.testing.source import SourceConformance

TOKEN = "s3cret-token-of-the-users"


@pytest.fixture
def api(httpserver: HTTPServer) -> Api:
    served = Api(httpserver)
    served.admits = lambda request: request.headers.get("Authorization") == f"Bearer {TOKEN}"
    return served


@pytest.mark.matrix(share=6, pool="sources")
class OfAGuide(SourceConformance):
    """A source of a guide, as a custom file next to its example. ``paging``: the style of the API."""

    paging = "cursor"
    not_applicable: ClassVar = {
        "streams_are_the_same_in_the_syntax_tree_and_at_run_time": "a custom file, which is imported",
    }

    def file(self, folder: Path, guide: Any) -> Path:
        raise NotImplementedError

    @pytest.fixture
    def config(self, tmp_path: Path, source_guide, api: Api) -> dict[str, Any]:
        api.paging = self.paging
        self.api = api
        file = self.file(tmp_path, source_guide)
        self.source_class, self.examples = load_custom_source(file), (self.example_next_to(file),)
        authentication = {"type": "api_key", "params": {"token": TOKEN}}
        return {"name": "n", "stream": "users", "base_url": api.url, "authentication": authentication}

    def example_next_to(self, file: Path) -> Path:
        """The example of the assistants' guide, which names the file."""
        path = file.with_name("guide.example.yml")
        path.write_text(example().replace("  stream: users\n", f"  stream: users\n  source_file_path: {file}\n"))
        return path

    def change(self, config: Any) -> list[str]:
        self.api.items[2] |= {"name": "changed", "updated_at": datetime.now(UTC).isoformat()}
        return ["3"]


class TestSourceOfTheGuide(OfAGuide):
    def file(self, folder: Path, guide: Any) -> Path:
        return write_custom(folder, guide, "Filtered")


class TestTemplateOfPages(OfAGuide):
    paging = "page"

    def file(self, folder: Path, guide: Any) -> Path:
        return write_source(folder, "page", "own")


class TestTemplateOfTokens(OfAGuide):
    paging = "link"
    not_applicable: ClassVar = {"equal_timestamps_at_the_edge_of_a_window_are_not_lost": "from its next_state"}

    def file(self, folder: Path, guide: Any) -> Path:
        return write_source(folder, "link", "token")

    def change(self, config: Any) -> list[str]:
        self.api.items.append({**USERS[0], "id": 6})
        return ["6"]


class Built(NamedTuple):
    """The files that a reader puts into the tree."""

    name: str
    source: Callable[[Any], str]
    example: Callable[[Any], str]


BUILT = (
    Built(
        "myapi",
        lambda guide: module_with(guide, "Filtered"),
        lambda guide: guide.block("yaml", "name: myapi_to_file"),
    ),
    Built(
        "acme",
        lambda guide: source_with("filter"),
        lambda guide: example().replace("  stream: users\n", "  stream: users\n  base_url: ${env://MYAPI_URL}\n"),
    ),
)


@pytest.mark.parametrize("built", BUILT, ids=lambda built: built.name)
def test_in_the_tree_a_killed_run_resumes_and_the_next_one_appends_what_changed(package, api, source_guide, built):
    at = f"bizon/connectors/sources/{built.name}"
    package.env |= {"MYAPI_URL": api.url, "BIZON_ENV_MYAPI_TOKEN": TOKEN, "BIZON_ENV_TOKEN": TOKEN}
    package.write(f"{at}/src/__init__.py", "")
    package.write(f"{at}/src/source.py", built.source(source_guide))
    text = built.example(source_guide).replace("  stream: users\n", "  stream: users\n  sync_mode: incremental\n")
    config = package.write(f"{at}/config/{built.name}.example.yml", f"{text}    buffer_size: 0\n")

    kill_at_the_last_page(package, api, config)
    first_pages_again = [place for place in run(package, api, config) if place.get("cursor") is None]
    assert len(first_pages_again) == 1  # of check_connection
    assert rows(package) == USERS

    api.items[2] |= {"name": "changed", "updated_at": datetime.now(UTC).isoformat()}
    assert all("updated_after" in place for place in run(package, api, config)[1:])
    assert rows(package) == [*USERS, api.items[2]]


def kill_at_the_last_page(package: Any, api: Api, config: Path) -> None:
    """Start a run, and kill it when it has a checkpoint and asks for its last page."""
    command = [sys.executable, "-m", "bizon", "run", str(config)]
    killed = commands.Popen(command, cwd=package.work, env=package.env, stderr=subprocess.DEVNULL)

    def kill(place: dict[str, str]) -> None:
        if place.get("cursor") == "4":
            wait_for_a_checkpoint(package.work / "bizon.sqlite3")
            killed.kill()

    api.before_page = kill
    assert killed.wait(timeout=60) == -signal.SIGKILL
    api.before_page = lambda place: None


def wait_for_a_checkpoint(state: Path) -> None:
    with closing(sqlite3.connect(state)) as connection:
        while not connection.execute("SELECT count(*) FROM destination_cursors").fetchone()[0]:
            time.sleep(0.01)  # the time limit of the test bounds it


def run(package: Any, api: Api, config: Path) -> list[dict[str, str]]:
    """Run the pipeline; returns the places that it requested."""
    api.requests.clear()
    package.bizon("run", str(config))
    return api.requests


def rows(package: Any) -> list[dict[str, Any]]:
    lines = (package.work / "users.json").read_text(encoding="utf-8").splitlines()
    return [json.loads(json.loads(line)["source_data"]) for line in lines]
