"""Random secrets in every key for credentials of ``rest``, ``sql`` and ``files``, with servers that fail and repeat
what they were sent: no output, log or state has one, in any encoding."""

import html
import json
import random
import string
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import commands
import pytest
from standins.rest.server import Asked, Reply, RestStandIn, by_url, items

if TYPE_CHECKING:
    from conftest import Pipeline

pytestmark = pytest.mark.matrix(share=35)
SPECIAL = "/+=%&?#@:;,~!*'()[]{}<>|^`\"\\ $é"
IN_HEADERS = "/+=%&?#@:,~!*'()[]{}<>|^`$"  # what a header may hold on its own
RUNNERS = ("thread", "process", "stream")


def secret(seed: str, special: str = SPECIAL) -> str:
    """A random text with signs that URLs, JSON, HTML and base64 write in another way."""
    source = random.Random(seed)
    signs = source.choices(string.ascii_letters + string.digits, k=14) + source.sample(special, 6)
    source.shuffle(signs)
    return f"Z{''.join(signs)}z"


def encodings(text: str) -> set[str]:
    """The text as programs write it."""
    data = text.encode()
    quoted = {quote(text, safe=safe) for safe in ("", "/", "~*")} | {quote_plus(text), quote(text, safe="").lower()}
    in_json = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}
    binary = {b64encode(data).decode().rstrip("="), b64encode(b"user:" + data).decode()[8:-4], data.hex()}
    return {text, html.escape(text), quote(quote(text, safe=""), safe="")} | quoted | in_json | binary


def everything(pipeline: "Pipeline", runner: str) -> str:
    """The output of a failing run and of the commands about it, and the files that they leave."""
    run = pipeline.run("--runner", runner, "--log-level", "DEBUG", "--result-json", "result.json", expect=None)
    assert run.returncode not in (0, 2), run.stderr
    texts = [run.stdout, run.stderr]
    for arguments in (("status", "config.yml"), ("status", "config.yml", "--json"), ("check", "config.yml")):
        done = pipeline_command(pipeline, *arguments)
        texts.append(done)
    for file in pipeline.folder.rglob("*"):
        if file.is_file() and not file.name.startswith("config.yml"):
            texts.append(file.read_bytes().decode("utf-8", "replace"))
    return "\n".join(texts)


def pipeline_command(pipeline: "Pipeline", *arguments: str) -> str:
    done = commands.run([*commands.BIZON, *arguments], cwd=pipeline.folder, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def assert_nowhere(text: str, hidden: str) -> None:
    found = {form for form in encodings(hidden) if form in text}
    assert not found, (hidden, found, [text[max(0, text.index(f) - 150) : text.index(f) + 150] for f in found])


def token(kind: str = "api_key", **keys: Any) -> Callable[[str], dict[str, Any]]:
    return lambda hidden: {"authentication": {"type": kind, "params": {"token": hidden, **keys}}}


def in_a_template(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def endpoint(**keys: Any) -> dict[str, Any]:
    return {"endpoints": {"items": {"path": "/items", "records": "items", **keys}}}


PLACES: dict[str, tuple[Callable[[str], dict[str, Any]], str]] = {
    "bearer": (token("bearer"), IN_HEADERS),
    "header": (token(auth_header="X-Key", auth_method=""), IN_HEADERS),
    "query": (token(**{"in": "params", "name": "key"}), SPECIAL),
    "cookie": (token(**{"in": "cookie", "name": "session"}), "/+=%&?#@:~!*'()[]{}<>|^`$"),
    "path": (lambda hidden: {**token(**{"in": "path"})(hidden), **endpoint(path="/bot{token}/items")}, SPECIAL),
    "basic": (
        lambda hidden: {"authentication": {"type": "basic", "params": {"username": "u", "password": hidden}}},
        SPECIAL,
    ),
    "own header": (lambda hidden: endpoint(headers={"X-Api-Key": in_a_template(hidden)}), IN_HEADERS),
    "own param": (lambda hidden: endpoint(params={"api_key": in_a_template(hidden)}), SPECIAL),
    "body": (lambda hidden: endpoint(method="POST", json={"auth": {"password": hidden}}), SPECIAL),
    "variable": (
        lambda hidden: {"variables": {"secret": hidden}, **endpoint(params={"q": "{variables.secret}"})},
        SPECIAL,
    ),
}


def said(asked: Asked) -> str:
    """All that a server can repeat."""
    return f"{asked.path} {quote(asked.path)} {asked.key} {asked.params} {asked.headers} {json.dumps(asked.params)}"


def texts_of(value: Any, name: str = "") -> dict[str, str]:
    """The parameters that a link can repeat, those deep in a body included."""
    if isinstance(value, str):
        return {name: value}
    return {key: text for name, item in value.items() for key, text in texts_of(item, name).items()}


FAILURES: dict[str, Callable[[Asked, RestStandIn], Reply]] = {
    "refused": lambda asked, api: Reply({"message": f"not allowed: {said(asked)}"}, 401),
    "broken": lambda asked, api: Reply({"error": said(asked), "sent": asked.params}, 500),
    "HTML": lambda asked, api: Reply(f"<p>{html.escape(said(asked))}</p>{said(asked)}".encode()),
    "no list": lambda asked, api: Reply({"items": said(asked)}),
    "no id": lambda asked, api: Reply({"items": [{"echo": said(asked), "sent": asked.params}]}),
    "moved": lambda asked, api: Reply({}, 302, {"Location": f"http://127.0.0.1:1{quote(asked.path)}?{asked.key}"}),
    "second page": lambda asked, api: (
        Reply({"message": said(asked)}, 400)
        if "from" in asked.params
        else Reply(by_url(items(9), asked._replace(params=texts_of(asked.params)), api.url))
    ),
}


@pytest.fixture
def api() -> Iterator[RestStandIn]:
    with RestStandIn().running() as server:
        yield server


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("place", PLACES)
def test_no_output_of_a_failing_api_has_the_secret(
    pipeline: "Pipeline", api: RestStandIn, place: str, failure: str
) -> None:
    keys, special = PLACES[place]
    hidden = secret(f"{place} {failure}", special)
    pages = {"pages": {"type": "next_url", "next": "next"}} if failure == "second page" else {}
    source = {**endpoint(), **keys(hidden)}
    source["endpoints"]["items"] |= pages
    api.before = lambda asked: FAILURES[failure](asked, api)
    http = {"retries": {"total": 1, "backoff_factor": 0}}
    pipeline.source(source_file_path=None, name="rest", stream="items", base_url=api.url, http=http, **source)
    assert_nowhere(everything(pipeline, random.Random(hidden).choice(RUNNERS)), hidden)


@pytest.mark.parametrize(("group", "name"), [("headers", "X-Any"), ("params", "api_key")])
def test_a_mistake_in_a_secret_text_is_named_and_not_shown(pipeline: "Pipeline", group: str, name: str) -> None:
    source = endpoint(**{group: {name: "Open-{-Brace-11"}})
    pipeline.source(source_file_path=None, name="rest", stream="items", base_url="http://127.0.0.1:1", **source)
    shown = pipeline_command(pipeline, *commands_of(pipeline)[-1])
    assert "a brace without its partner" in shown
    assert "Brace-11" not in shown


URLS = {
    "refused": "postgresql://nobody:{}@127.0.0.1:5432/none",
    "unreachable": "postgresql://nobody:{}@127.0.0.1:1/none",
    "option": "postgresql://nobody@127.0.0.1:1/none?sslpassword={}",
    "mariadb": "mariadb://nobody:{}@127.0.0.1:3306/none",
    "unknown": "nosuch://nobody:{}@127.0.0.1/none",
}


@pytest.mark.parametrize("kind", URLS)
def test_no_output_about_a_database_has_the_password(pipeline: "Pipeline", kind: str) -> None:
    hidden = secret(f"sql {kind}")
    pipeline.source(source_file_path=None, name="sql", stream="t", url=URLS[kind].format(quote(hidden, safe="")))
    text = "\n".join(pipeline_command(pipeline, *words) for words in commands_of(pipeline))
    assert_nowhere(text, hidden)


def commands_of(pipeline: "Pipeline") -> list[tuple[str, ...]]:
    _ = pipeline.command  # writes the configuration
    return [("check", "config.yml"), ("stream", "list", "config.yml"), ("config", "validate", "config.yml")]


STORES = {
    "s3 key": ("s3://bucket/a.jsonl", "secret_access_key", {"access_key_id": "AKIA", "region": "eu-west-1"}),
    "s3 session": (
        "s3://bucket/a.jsonl",
        "session_token",
        {"access_key_id": "AKIA", "secret_access_key": "Other-11-Secret", "region": "eu-west-1"},
    ),
    "azure key": ("az://container/a.jsonl", "account_key", {"account_name": "account"}),
    "azure sas": ("az://container/a.jsonl", "sas_token", {"account_name": "account"}),
    "gcs key": ("gs://bucket/a.jsonl", "service_account_key", {}),
}


@pytest.mark.parametrize("kind", STORES)
def test_no_output_about_an_object_store_has_the_key(pipeline: "Pipeline", api: RestStandIn, kind: str) -> None:
    path, key, others = STORES[kind]
    hidden = secret(f"files {kind}", IN_HEADERS)
    api.before = lambda asked: Reply({"message": said(asked)}, 403)
    storage = {"endpoint": api.url, key: hidden, **others}
    pipeline.source(source_file_path=None, name="files", stream="t", path=path, storage=storage)
    text = "\n".join(pipeline_command(pipeline, *words) for words in commands_of(pipeline))
    assert_nowhere(text, hidden)
