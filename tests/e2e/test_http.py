"""HTTP as it is, through the real command: waits that end, tokens that rotate, cursors that end."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

if TYPE_CHECKING:
    from conftest import Pipeline

HTTP_SOURCE = str(Path(__file__).with_name("http_source.py"))
RUNNERS = ["thread", "process", "stream"]
WaitFor = Callable[[Callable[[], bool]], None]


@pytest.fixture
def api(pipeline: "Pipeline", httpserver: HTTPServer) -> "Pipeline":
    """A pipeline that reads this server."""
    return pipeline.source(source_file_path=HTTP_SOURCE, base_url=httpserver.url_for("").rstrip("/"))


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("checked", [False, True], ids=["in a page", "in the check"])
def test_sigterm_ends_a_run_that_waits_for_its_next_try(
    api: "Pipeline", httpserver: HTTPServer, wait_for: WaitFor, runner: str, checked: bool
) -> None:
    """It kept waiting, up to two minutes each time."""
    headers = {"Retry-After": "600" if not checked else "5"}
    httpserver.expect_request("/items").respond_with_data(status=503, headers=headers)
    api.source(checked=checked, http={"retries": {"retry_after_max": None}})
    run = api.start("--runner", runner)
    wait_for(lambda: len(httpserver.log) > 0)
    os.kill(run.pid, signal.SIGTERM)
    output, _ = run.communicate(timeout=30)
    assert run.returncode == 130, output


FULL = """
import time
from pathlib import Path

from bizon.destination.destination import AbstractDestination


class Full(AbstractDestination):
    def check_connection(self):
        return True

    def write_records(self, df_destination_records):
        while not Path("source-waits").exists():
            time.sleep(0.05)
        return False, "the disk is full"
"""


@pytest.mark.parametrize("runner", ["thread", "process"])
def test_a_destination_that_fails_ends_the_wait_of_the_source(
    api: "Pipeline", httpserver: HTTPServer, wait_for: WaitFor, runner: str
) -> None:
    """The stop flag that SIGTERM sets is also set by the role that fails first."""
    httpserver.expect_ordered_request("/items").respond_with_json({"items": [{"id": 1}], "next": "2"})
    httpserver.expect_ordered_request("/items").respond_with_data(status=503, headers={"Retry-After": "600"})
    api.source(http={"retries": {"retry_after_max": None}})
    (api.folder / "full.py").write_text(FULL)
    settings = {"destination_file_path": "full.py", "buffer_size": 0}
    api.config["destination"] = {"name": "custom", "config": settings}
    run = api.start("--runner", runner)
    wait_for(lambda: len(httpserver.log) > 1)
    (api.folder / "source-waits").touch()
    output, _ = run.communicate(timeout=30)
    assert run.returncode == 1, output
    assert "the disk is full" in output
    assert len(httpserver.log) == 2


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_check_that_fails_says_so_soon(api: "Pipeline", httpserver: HTTPServer, runner: str) -> None:
    """It was retried for ten minutes."""
    httpserver.expect_request("/items").respond_with_data(status=503)
    failed = api.source(checked=True).run("--runner", runner, expect=1)
    assert "HTTP 503" in failed.stderr
    assert len(httpserver.log) <= 4


class Rotating:
    """A provider whose refresh tokens can be used once."""

    def __init__(self, server: HTTPServer) -> None:
        self.good, self.asked = "r0", list[str]()
        server.expect_request("/token").respond_with_handler(self._token)
        server.expect_request("/items").respond_with_json({"items": [{"id": 1}]})

    def _token(self, request: Request) -> Response:
        given = request.form["refresh_token"]
        self.asked.append(given)
        if given != self.good:
            return Response('{"error": "invalid_grant"}', 400)
        self.good = f"a-rotated-refresh-token-{len(self.asked)}"
        return Response(f'{{"access_token": "a", "expires_in": 3600, "refresh_token": "{self.good}"}}')


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_rotated_refresh_token_is_available_to_the_next_run_and_to_another_pipeline(
    api: "Pipeline", httpserver: HTTPServer, runner: str
) -> None:
    provider = Rotating(httpserver)
    api.source(authentication=_oauth(httpserver))
    api.run("--runner", runner)
    api.run("--runner", runner)
    api.set("name", "another").destination(destination_id="another")
    api.run("--runner", runner)
    assert provider.asked == ["r0", "a-rotated-refresh-token-1", "a-rotated-refresh-token-2"]
    state = b"".join(path.read_bytes() for path in api.folder.glob("state.sqlite3*"))
    assert b"kept_tokens" in state
    assert b"a-rotated-refresh-token" not in state, "it is kept sealed"


def test_a_refresh_token_survives_a_run_that_is_killed_between_the_refresh_and_its_use(
    api: "Pipeline", httpserver: HTTPServer
) -> None:
    provider = Rotating(httpserver)
    api.source(authentication=_oauth(httpserver))
    httpserver.clear_all_handlers()
    killed: list[int] = []

    def kill(_request: Request) -> Response:
        os.kill(killed.pop(), signal.SIGKILL)
        return Response("too late", 500)

    httpserver.expect_request("/token").respond_with_handler(provider._token)
    httpserver.expect_request("/items").respond_with_handler(kill)
    run = api.start()
    killed.append(run.pid)
    run.communicate(timeout=30)
    assert run.returncode == -signal.SIGKILL
    httpserver.clear_all_handlers()
    httpserver.expect_request("/token").respond_with_handler(provider._token)
    httpserver.expect_request("/items").respond_with_json({"items": [{"id": 1}]})
    api.run()
    assert provider.asked == ["r0", "a-rotated-refresh-token-1"]


def _oauth(server: HTTPServer) -> dict[str, object]:
    params = {"client_id": "c", "client_secret": "cs", "refresh_token": "r0"}
    return {"type": "oauth", "params": {**params, "token_refresh_endpoint": server.url_for("/token")}}


def test_an_expired_checkpoint_suggests_fresh_and_an_old_one_restarts_its_window(
    api: "Pipeline", httpserver: HTTPServer
) -> None:
    """Every run requested the dead cursor, and none reported a remedy."""
    first = {"items": [{"id": 1}], "next": "b"}
    httpserver.expect_request("/items", query_string={}).respond_with_json(first)
    httpserver.expect_request("/items", query_string={"cursor": "b"}).respond_with_json(
        {"message": "cursor expired"}, status=410
    )
    api.source(sync_mode="incremental")
    assert "--fresh" not in api.run(expect=1).stderr, "the cursor is not a checkpoint yet"
    failed = api.run(expect=1)
    assert "HTTP 410 Gone: cursor expired" in failed.stderr
    assert "run with --fresh" in failed.stderr
    httpserver.clear_all_handlers()
    httpserver.expect_request("/items", query_string={}).respond_with_json({"items": [{"id": 1}]})
    api.source(checkpoint_max_age=0.01).run()
    assert len(api.lines()) == 1


TASK = """
    import os, signal, threading, time
    from bizon import RunnerFactory

    class Limit(Exception): ...

    def raise_it(*_): raise Limit

    def run():
        signal.signal(signal.SIGALRM, raise_it)
        def limit():
            while not os.path.exists("trace.txt"):
                time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGALRM)
        threading.Thread(target=limit, daemon=True).start()
        try:
            RunnerFactory.create_from_yaml("config.yml").run()
        except Limit:
            print("limited", flush=True)

    if __name__ == "__main__":
        run()
"""


@pytest.mark.parametrize("runner", ["thread", "process"])
@pytest.mark.parametrize("delay", [0.2, 600], ids=["between pages", "in a page"])
def test_an_exception_in_the_main_thread_ends_the_run_and_its_state_is_true(
    pipeline: "Pipeline", runner: str, delay: float
) -> None:
    """A time limit had no effect: the pipeline ran to its end, published, and the state said that it had failed."""
    pipeline.source(pages=100, delay=delay).set("engine.runner.type", runner)
    _ = pipeline.command
    (pipeline.folder / "task.py").write_text(textwrap.dedent(TASK))
    task = subprocess.run(
        [sys.executable, "task.py"], cwd=pipeline.folder, capture_output=True, text=True, timeout=60, check=True
    )
    assert task.stdout == "limited\n"
    assert pipeline.jobs() == [("failed", "ended by Limit; run again to resume")]
    assert not (pipeline.folder / "out.json").exists()
    pipeline.source(delay=0, pages=4)
    pipeline.run()
    assert pipeline.ids() == list(range(20))
