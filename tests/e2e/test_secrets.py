"""Secrets that a run is given or learns do not leak: standard error, result file, ``status`` and state."""

import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import commands
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

if TYPE_CHECKING:
    from conftest import Pipeline

RUNNERS = ["thread", "process", "stream"]
GIVEN, LEARNED, ROTATED, OWN = "Given-77-Secret", "Learned-55-Token", "Rotated-33-Token", "Session-11-Cookie"
MASK = "**********"

SOURCE = """
import sys

from loguru import logger

from bizon.common.secret import SecretText, learn
from bizon.source.auth.builder import AuthBuilder
from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration, SourceRecord
from bizon.source.source import AbstractSource


class Config(SourceConfig):
    url: str = ""
    mood: str = ""
    key: SecretText = ""


class Source(AbstractSource):
    config: Config

    @staticmethod
    def streams():
        return ["items"]

    @staticmethod
    def get_config_class():
        return Config

    def get_authenticator(self):
        oauth = self.config.authentication
        return AuthBuilder.oauth2(oauth.params) if oauth else None

    def check_connection(self):
        return True, None

    def get(self, pagination=None):
        mood = self.config.mood
        if mood == "refused":
            raise RuntimeError(f"the API refused: {self.session.get(self.config.url).text}")
        if mood == "own":
            cookie = learn(self.session.get(self.config.url).json()["cookie"])
            logger.warning(f"the connector's own words: {cookie}")
            raise ConnectionError(f"no session for {cookie}")
        if mood == "exit":
            sys.exit(f"cannot go on with {self.config.key}")
        if mood == "mistake":
            headers = {"X-Key": self.config.key}
            return headers["page"]
        if mood == "megabytes":
            raise RuntimeError("refused: " + f"<{self.config.key}>" * 3_000_000)
        if pagination:
            raise RuntimeError(f"cannot read {pagination['next_url']}")
        url = f"https://api.example.com/items?sig=Sig-99-Text&auth={self.config.key}&page=2#{self.config.key}"
        return SourceIteration(records=[SourceRecord(id="1", data={})], next_pagination={"next_url": url})
"""


@pytest.fixture
def leaky(pipeline: "Pipeline", monkeypatch: pytest.MonkeyPatch) -> "Pipeline":
    """A pipeline whose source quotes secrets in its errors."""
    monkeypatch.setenv("BIZON_ENV_GIVEN", GIVEN)
    (pipeline.folder / "leaky.py").write_text(SOURCE)
    return pipeline.source(source_file_path=str(pipeline.folder / "leaky.py"), key="BIZON_ENV_GIVEN")


@pytest.fixture
def api(httpserver: HTTPServer) -> HTTPServer:
    """A token endpoint, and an API that quotes the token that it was sent."""

    def items(request: Request) -> Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return Response(json.dumps({"error": f"bad token '{token}'", "cookie": OWN}), content_type="application/json")

    answer = {"access_token": LEARNED, "refresh_token": ROTATED, "expires_in": 3600}
    httpserver.expect_request("/token").respond_with_json(answer)
    httpserver.expect_request("/items").respond_with_handler(items)
    return httpserver


def outputs(pipeline: "Pipeline", *arguments: str, expect: int = 1) -> str:
    """Everything that a run and two status commands show or store."""
    result = pipeline.folder / "result.json"
    run = pipeline.run("--result-json", str(result), *arguments, expect=expect)
    texts = [run.stdout, run.stderr, result.read_text() if result.exists() else ""]
    for flags in ([], ["--json"]):
        command = [*commands.BIZON, "status", "config.yml", *flags]
        status = commands.run(command, cwd=pipeline.folder, capture_output=True, text=True)
        assert status.stdout, status.stderr
        texts += [status.stdout, status.stderr]
    return "\n".join(texts)


def state(folder: Path) -> bytes:
    """The bytes of the state: what is deleted or in the log is there too."""
    return b"".join(file.read_bytes() for file in folder.glob("state.sqlite3*"))


@pytest.mark.lesson("F-27")
@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_token_that_was_fetched_during_the_run_is_masked(
    leaky: "Pipeline", api: HTTPServer, runner: str, level: str
) -> None:
    """The scrubber knew the configuration only."""
    params = {"token_refresh_endpoint": api.url_for("/token"), "client_id": "me", "client_secret": GIVEN}
    leaky.source(mood="refused", url=api.url_for("/items"), authentication={"type": "oauth", "params": params})
    shown = outputs(leaky, "--runner", runner, "--log-level", level)
    assert f"bad token '{MASK}'" in shown
    for secret in (GIVEN, LEARNED, ROTATED):
        assert secret not in shown
        assert secret.encode() not in state(leaky.folder)


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_source_says_what_it_has_learned(leaky: "Pipeline", api: HTTPServer, runner: str) -> None:
    leaky.source(mood="own", url=api.url_for("/items"))
    shown = outputs(leaky, "--runner", runner)
    assert f"the connector's own words: {MASK}" in shown
    assert f"no session for {MASK}" in shown
    assert OWN not in shown
    assert OWN.encode() not in state(leaky.folder)


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_next_link_is_masked_in_outputs_and_whole_in_the_state(leaky: "Pipeline", runner: str) -> None:
    """``bizon status`` printed it with the key inside."""
    shown = outputs(leaky, "--runner", runner)
    assert f"sig={MASK}&auth={MASK}&page=2#{MASK}" in shown
    assert GIVEN not in shown
    assert "Sig-99" not in shown
    assert f"sig=Sig-99-Text&auth={GIVEN}&page=2".encode() in state(leaky.folder)
    assert stat.S_IMODE(os.stat(leaky.folder / "state.sqlite3").st_mode) == 0o600


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_mistake_in_a_connector_shows_no_variable(leaky: "Pipeline", runner: str) -> None:
    shown = outputs(leaky.source(mood="mistake"), "--runner", runner, "--log-level", "DEBUG")
    assert 'return headers["page"]' in shown
    assert GIVEN not in shown


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_argument_of_sys_exit_is_masked(leaky: "Pipeline", runner: str) -> None:
    shown = outputs(leaky.source(mood="exit"), "--runner", runner)
    assert f"cannot go on with {MASK}" in shown
    assert GIVEN not in shown


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
@pytest.mark.parametrize("runner", RUNNERS)
def test_an_error_of_megabytes_is_cut(leaky: "Pipeline", runner: str, level: str) -> None:
    shown = outputs(leaky.source(mood="megabytes"), "--runner", runner, "--log-level", level)
    assert f"RuntimeError: refused: <{MASK}>" in shown
    assert "more characters)" in shown
    assert len(shown) < 50_000
    assert len(state(leaky.folder)) < 1_000_000
    assert max(len(str(error)) for _, error in leaky.jobs()) <= 2_000
