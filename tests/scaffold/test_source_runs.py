"""New sources as their users run them: a file, a folder of the tree, an installed package.

In every sync mode a run that is killed resumes at its checkpoint, and an incremental one then brings what changed.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import commands
import pytest
import requests
import yaml
from inner import python

from bizon.scaffold.files import Place, write_files
from bizon.scaffold.names import names_of
from bizon.scaffold.source import Choice, Incremental, Paging, Style, source_files

ROOT = Path(__file__).parents[2]
PLACES = {
    Place.FILE: Choice(Style.HTTP, Paging.CURSOR, Incremental.TIME),
    Place.TREE: Choice(Style.GRAPHQL, Paging.PAGE, Incremental.TOKEN),
    Place.PACKAGE: Choice(Style.HTTP, Paging.OFFSET, Incremental.FILTER),
}
OFFLINE = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
MODES = ("incremental", "full_refresh")


class Shop:
    """The new source in its place, and the server of its own test."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.folder = folder
        paths = write_files(folder, source_files(names_of("shop"), PLACES[place], place))
        (self._test,) = (path for path in paths if path.name == "test_shop.py")
        (self._example,) = (path for path in paths if path.name == "shop.example.yml")
        self.work, search = folder, ""
        if place is Place.TREE:
            shutil.copytree(ROOT / "bizon", folder / "bizon", dirs_exist_ok=True)
            self.work, search = folder / "work", str(folder)
            self.work.mkdir()
        elif place is Place.PACKAGE:
            search = str(folder / "site")
            python("-m", "pip", "install", "-q", *OFFLINE, "--target", search, "./bizon-shop", cwd=folder)
        self._env = {**os.environ, "PYTHONPATH": search, "BIZON_ENV_SHOP_TOKEN": "secret-token"}
        self.pages: list[dict[str, Any]] = []
        self.before_page = lambda asked: None

    def serve(self) -> Iterator["Shop"]:
        """While the iterator is open: the server answers."""
        module: dict[str, Any] = {}
        exec(self._played(), module)  # the source itself is imported by the runs only
        with module["StandIn"]() as self.api:
            answer = self.api.page

            def page(asked: dict[str, Any]) -> dict[str, Any]:
                self.pages.append(asked)
                self.before_page(asked)
                return dict(answer(asked))

            self.api.page = page
            self._env["SHOP_URL"] = self.api.url
            thread = threading.Thread(target=self.api.serve_forever, args=(0.01,))
            thread.start()
            yield self
            self.api.shutdown()
            thread.join()

    def _played(self) -> str:
        """The part of the test that plays the API."""
        head, _, rest = self._test.read_text().partition("import pytest\n")
        return f"{head}TOKEN{rest.partition('TOKEN')[2].partition('@pytest.fixture')[0]}"

    def write_pipeline(self, mode: str) -> None:
        pipeline = yaml.safe_load(self._example.read_text())
        pipeline["source"]["sync_mode"] = mode
        if mode == "full_refresh":
            pipeline["source"].pop("cursor_field", None)
        pipeline["destination"]["config"]["buffer_size"] = 0
        (self.work / "shop.yml").write_text(yaml.safe_dump(pipeline))

    def start(self) -> "subprocess.Popen[str]":
        self.pages.clear()
        command = [sys.executable, "-m", "bizon", "run", "shop.yml"]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return commands.Popen(command, cwd=self.work, env=self._env, text=True, **streams)

    def run(self) -> None:
        with self.start() as run:
            said, _ = run.communicate(timeout=100)
        assert run.returncode == 0, said

    def kill_at_page(self, number: int) -> None:
        """Start a run, and kill it when it asks for a page and an earlier one has a checkpoint."""
        with self.start() as run:

            def kill(asked: dict[str, Any]) -> None:
                if len(self.pages) == 1 + number:  # the first one is of check_connection
                    self._wait_for_a_checkpoint()
                    run.kill()

            self.before_page = kill
            said, _ = run.communicate(timeout=100)
            self.before_page = lambda asked: None
        assert run.returncode == -signal.SIGKILL, said

    def _wait_for_a_checkpoint(self) -> None:
        with closing(sqlite3.connect(self.work / "bizon.sqlite3")) as state:
            while not state.execute("SELECT count(*) FROM destination_cursors").fetchone()[0]:
                time.sleep(0.01)  # the time limit of the test bounds it

    def rows(self) -> list[dict[str, Any]]:
        lines = (self.work / "users.json").read_text().splitlines()
        return [json.loads(json.loads(line)["source_data"]) for line in lines]


@pytest.fixture(params=PLACES)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    yield from Shop(tmp_path, request.param).serve()


@pytest.mark.matrix
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", MODES)
def test_a_killed_run_resumes_and_nothing_is_lost_or_doubled(shop: Shop, mode: str) -> None:
    shop.write_pipeline(mode)
    shop.kill_at_page(3)
    first = shop.pages[1]
    shop.run()
    users = [dict(user) for user in shop.api.users]
    assert shop.rows() == users
    assert first not in shop.pages, "the run began at the first page again"
    requests.post(f"{shop.api.url}/change", timeout=10).raise_for_status()
    shop.run()
    changed = dict(shop.api.users[2])
    wanted = [*users, changed] if mode == "incremental" else [*users[:2], changed, *users[3:]]
    assert shop.rows() == wanted
