"""Twenty-five ways in which a run fails: each is reported once, with cause, place and remedy; no traceback; exit code
and ``failure_class`` agree."""

import json
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ports import free_port
from postgres import Place
from pytest_httpserver import HTTPServer
from servers import server_or_skip

if TYPE_CHECKING:
    from conftest import Pipeline

API = Path(__file__).with_name("api_source.py")
Fixtures = Callable[[str], object]


@dataclass(frozen=True)
class Failure:
    """``arrange`` makes a run fail, ``cause`` is what failed, said once; ``where`` and ``remedy`` are said too."""

    arrange: "Callable[[Pipeline, Fixtures], None]"
    cause: str
    where: str
    remedy: str = ""
    exit_code: int = 1
    failure_class: str = "source"


def misbehaving(**keys: object) -> "Callable[[Pipeline, Fixtures], None]":
    return lambda pipeline, _: pipeline.source(**keys) and None


def answering(status: int, body: str, content_type: str = "application/json") -> "Callable[[Pipeline, Fixtures], None]":
    def arrange(pipeline: "Pipeline", fixture: Fixtures) -> None:
        server = fixture("httpserver")
        assert isinstance(server, HTTPServer)
        server.expect_request("/v1/things").respond_with_data(body, status=status, content_type=content_type)
        _asks(pipeline, server.url_for("/v1/things"))

    return arrange


def _asks(pipeline: "Pipeline", url: str) -> None:
    once = {"retries": {"total": 0}}
    pipeline.config["source"] = {
        "name": "api",
        "stream": "things",
        "source_file_path": str(API),
        "url": url,
        "http": once,
    }


def _no_such_host(pipeline: "Pipeline", _: Fixtures) -> None:
    try:
        socket.getaddrinfo("no-such-host.invalid", 443)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:  # bizon rightly retries then
            server_or_skip("a name server", str(error))
    _asks(pipeline, f"https://no-such-host.invalid:{free_port()}/v1/things")


def _plain_text_where_tls_is_wanted(pipeline: "Pipeline", fixture: Fixtures) -> None:
    server = fixture("httpserver")
    assert isinstance(server, HTTPServer)
    _asks(pipeline, server.url_for("/v1/things").replace("http://", "https://"))


def transform(python: str) -> "Callable[[Pipeline, Fixtures], None]":
    return lambda pipeline, _: pipeline.set("transforms", [{"label": "tidy", "python": python}]) and None


def _a_file_where_a_folder_is_needed(pipeline: "Pipeline", _: Fixtures) -> None:
    (pipeline.folder / "blocked").write_text("")
    pipeline.destination(destination_id="blocked/out")


def _a_folder_where_the_output_is_to_be(pipeline: "Pipeline", _: Fixtures) -> None:
    (pipeline.folder / "out.json").mkdir()


def _staging_shortened(pipeline: "Pipeline", _: Fixtures) -> None:
    pipeline.source(fail_at=2).run(expect=1)
    staged = next(path for path in pipeline.folder.rglob("*.json") if path.parent.name != "" and path.stem.isdigit())
    staged.write_bytes(staged.read_bytes()[:-20])
    pipeline.source(fail_at=None)


def _watermark_without_output(pipeline: "Pipeline", _: Fixtures) -> None:
    pipeline.source(sync_mode="incremental", cursor_field="updated_at").run()
    (pipeline.folder / "out.json").unlink()


def _lost_state(pipeline: "Pipeline", _: Fixtures) -> None:
    pipeline.source(sync_mode="incremental", cursor_field="updated_at").run()
    for path in pipeline.folder.glob("state.sqlite3*"):
        path.unlink()


def _no_database(pipeline: "Pipeline", _: Fixtures) -> None:
    (pipeline.folder / "state.sqlite3").write_bytes(b"this is a letter to a friend" * 100)


def _state_of_a_newer_release(pipeline: "Pipeline", _: Fixtures) -> None:
    pipeline.run()
    pipeline.in_state("UPDATE bizon_schema SET version = 4711")


def postgres(**changes: object) -> "Callable[[Pipeline, Fixtures], None]":
    def arrange(pipeline: "Pipeline", fixture: Fixtures) -> None:
        place = fixture("postgres")
        assert isinstance(place, Place)
        pipeline.set("engine.backend", place.config(**changes))

    return arrange


def _postgres_is_down(pipeline: "Pipeline", fixture: Fixtures) -> None:
    postgres(port=free_port())(pipeline, fixture)


def queue(kind: str, **details: object) -> "Callable[[Pipeline, Fixtures], None]":
    def arrange(pipeline: "Pipeline", _: Fixtures) -> None:
        pipeline.set("engine.queue", {"type": kind, "config": {"queue": details}})

    return arrange


def _another_run(pipeline: "Pipeline", fixture: Fixtures) -> None:
    pipeline.source(gated=True)
    (pipeline.folder / "allowed.txt").write_text("1")
    other = pipeline.start()
    fixture("request").addfinalizer(lambda: (other.kill(), other.communicate()))  # type: ignore[attr-defined]
    wait = fixture("wait_for")
    assert callable(wait)
    wait(lambda: "page 1" in pipeline.trace())


def _leaving(pipeline: "Pipeline", _: Fixtures) -> None:
    text = Path(str(pipeline.config["source"]["source_file_path"])).read_text()
    text = text.replace("import random\n", "import random\nimport sys\n", 1)
    text = text.replace('raise RuntimeError("the API is down")', 'sys.exit("the licence has expired")')
    (pipeline.folder / "leaving.py").write_text(text)
    pipeline.source(source_file_path="leaving.py", fail_at=1)


THINGS = "/v1/things"
CHOICES = "--fresh.*--adopt|--adopt.*--fresh"
FAILURES = {
    "source raises": Failure(
        misbehaving(fail_at=2),
        "RuntimeError: the API is down",
        r"items_source\.py:\d+, in _page.*iteration 2",
        "run again to resume",
    ),
    "source cannot be made": Failure(
        misbehaving(die_in_constructor=True),
        "RuntimeError: the constructor failed",
        r"items_source\.py:\d+, in __init__",
    ),
    "source leaves by sys.exit": Failure(
        _leaving, "the licence has expired", r"leaving\.py:\d+", "raise an exception instead"
    ),
    "401": Failure(answering(401, '{"message": "token unknown"}'), "token unknown", THINGS, "check the credentials"),
    "404": Failure(answering(404, '{"error": "no such list"}'), "no such list", THINGS),
    "not JSON": Failure(answering(200, "<html>Maintenance</html>", "text/html"), "Maintenance", THINGS),
    "JSON cut short": Failure(answering(200, '{"records": [{"id": 1}'), "not valid JSON", THINGS),
    "a field is missing": Failure(
        answering(200, '{"items": []}'), "KeyError: 'records'", r"api_source\.py:\d+, in get.*iteration 0"
    ),
    "same cursor again": Failure(
        answering(200, '{"records": [{"id": 1}], "next": {"page": 2}}'),
        "the page names itself as the next page",
        "iteration 1",
        "--fresh",
    ),
    "host unknown": Failure(_no_such_host, "no-such-host.invalid", THINGS),
    "TLS refused": Failure(_plain_text_where_tls_is_wanted, "SSL", THINGS),
    "transform raises": Failure(
        transform("data['missing']"), "KeyError: 'missing'", "transform 'tidy'.*record '0'", failure_class="transform"
    ),
    "transform does not compile": Failure(
        transform("data['x'] = = 1"), "invalid syntax", "config.yml:", exit_code=2, failure_class="config"
    ),
    "folder is a file": Failure(
        _a_file_where_a_folder_is_needed,
        "is a file, not a folder",
        "blocked",
        "remove it, or choose",
        failure_class="destination",
    ),
    "output is a folder": Failure(
        _a_folder_where_the_output_is_to_be, "exists and is not a", r"out\.json", "another", failure_class="destination"
    ),
    "staging was shortened": Failure(
        _staging_shortened, "staged|staging", "page", "--fresh", failure_class="destination"
    ),
    "watermark without its output": Failure(
        _watermark_without_output, r"out\.json", r"out\.json", CHOICES, failure_class="destination"
    ),
    "state was lost": Failure(_lost_state, r"out\.json", "state", CHOICES, failure_class="destination"),
    "state is not a database": Failure(_no_database, "not a database", r"state\.sqlite3", failure_class="backend"),
    "state of a newer release": Failure(
        _state_of_a_newer_release, "4711", r"state\.sqlite3", "upgrade", failure_class="backend"
    ),
    "Postgres is down": Failure(_postgres_is_down, "refused", "127.0.0.1", failure_class="backend"),
    "Postgres knows no such database": Failure(
        postgres(database="no_such"), '"no_such" does not exist', "127.0.0.1", "create it", failure_class="backend"
    ),
    "RabbitMQ is down": Failure(
        queue("rabbitmq", host="127.0.0.1", port=1, queue_name="q"),
        "refused|unreachable",
        "127.0.0.1:1",
        failure_class="queue",
    ),
    "another run": Failure(
        _another_run,
        "is being run by process",
        "pipe",
        "wait until it ends",
        exit_code=3,
        failure_class="locked",
    ),
    "file of the source is missing": Failure(
        misbehaving(source_file_path="gone.py"), r"gone\.py", "config.yml:", exit_code=2, failure_class="config"
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_reported_once_with_cause_place_and_remedy(
    name: str, pipeline: "Pipeline", request: pytest.FixtureRequest
) -> None:
    failure = FAILURES[name]
    failure.arrange(pipeline, lambda fixture: request if fixture == "request" else request.getfixturevalue(fixture))
    done = pipeline.run("--result-json", "result.json", expect=None, timeout=100)
    said = done.stderr + done.stdout
    assert done.returncode == failure.exit_code, said
    assert "Traceback" not in said
    assert "unexpected" not in said.lower()
    assert len([line for line in said.splitlines() if re.search(failure.cause, line)]) == 1, said
    for wanted in (failure.where, failure.remedy):
        assert re.search(wanted, said, re.DOTALL), f"{wanted!r} is not in:\n{said}"
    result = json.loads((pipeline.folder / "result.json").read_text())
    assert (result["status"], result["failure_class"]) == ("failure", failure.failure_class)
    assert re.search(failure.cause, result["error"])
