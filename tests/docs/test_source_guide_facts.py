"""Statements of adding-sources.md that its code does not show."""

import json
import re
from pathlib import Path

import pytest
from docs.guide_code import module_with
from docs.reading import TOKEN
from docs.standin import USERS, Api
from pytest_httpserver import HTTPServer

from bizon.engine.engine import RunnerFactory
from bizon.engine.runner.models import RunnerStatus
from bizon.source.config import HttpConfig

STATE = {  # a source that has its token from the first page on
    "if not iteration.next_pagination:": "if not pagination:",
    'page["next_sync_token"]': 'str(page["total"])',
}


@pytest.fixture
def api(httpserver: HTTPServer) -> Api:
    return Api(httpserver)


@pytest.fixture
def pipeline(tmp_path, source_guide, api):
    text = module_with(source_guide, "Tokens")
    for before, after in STATE.items():
        assert before in text
        text = text.replace(before, after)
    file = tmp_path / "first_page.py"
    file.write_text(text, encoding="utf-8")
    keys = {"base_url": api.url, "authentication": TOKEN, "sync_mode": "incremental", "source_file_path": str(file)}
    return {
        "name": "tokens",
        "source": {"name": "n", "stream": "users", **keys},
        "destination": {"name": "file", "config": {"destination_id": "users", "buffer_size": 0}},
    }


def run(pipeline) -> RunnerStatus:
    return RunnerFactory.create_from_config_dict(pipeline).run()


def refuse_from(api: Api, cursor: str) -> None:
    """Let the API refuse everybody after a request for this page."""
    api.admits = lambda request: request.args.get("cursor") != cursor


def test_a_state_of_an_early_page_survives_a_run_that_failed_after_it(pipeline, api):
    refuse_from(api, "4")
    assert not run(pipeline).is_success
    refuse_from(api, "none")
    api.requests.clear()
    assert run(pipeline).is_success
    assert [request for request in api.requests if request["limit"] != "1" and "cursor" not in request] == []

    api.items.append({**USERS[0], "id": 6})
    api.requests.clear()
    assert run(pipeline).is_success
    assert api.requests[1]["sync_token"] == str(len(USERS))
    written = [json.loads(line)["source_record_id"] for line in Path("users.json").read_text().splitlines()]
    assert written == [str(number) for number in range(1, 7)]


def test_the_keys_of_retries_have_the_defaults_of_the_code(source_guide):
    table = source_guide.text.split("| key below `source.http` |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| `((?:retries\.)?\w+)` \| ([^|]+) \|", table, re.MULTILINE)
    defaults = HttpConfig().model_dump(mode="json")
    known = {f"retries.{key}": value for key, value in defaults.pop("retries").items()} | defaults
    shown = {key: _shown(value) for key, value in known.items()}
    assert dict(rows) == shown


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
