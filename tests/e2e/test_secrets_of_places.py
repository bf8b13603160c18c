"""Random secrets in the keys of ``sql`` and ``files``, and in the options of ``bizon source guess``: no output, log or
state has one, in any encoding."""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import commands
import pytest
from e2e.planted import IN_HEADERS, SPECIAL, assert_nowhere, encodings, everything, files_of, repeated, secret
from mariadb import MariaDb
from postgres import Place
from standins.rest.server import Asked, Reply, RestStandIn, by_link, items

if TYPE_CHECKING:
    from e2e.conftest import Pipeline

RUNNERS = ("thread", "process", "stream")
Json = dict[str, Any]
URLS = {
    "refused": "postgresql://nobody:{}@127.0.0.1:5432/none",
    "unreachable": "postgresql://nobody:{}@127.0.0.1:1/none",
    "option": "postgresql://nobody@127.0.0.1:1/none?sslpassword={}",
    "password as an option": "postgresql://127.0.0.1:5432/none?user=nobody&password={}",
    "mariadb": "mariadb://nobody:{}@127.0.0.1:3306/none",
    "option of mariadb": "mariadb://nobody@127.0.0.1:3306/none?password={}",
    "unknown": "nosuch://nobody:{}@127.0.0.1/none",
    "wrong port": "postgresql://nobody:{}@127.0.0.1:port/none",
    "duckdb option": "duckdb:///none.duckdb?motherduck_token={}",
}


@pytest.mark.matrix(share=24)
@pytest.mark.parametrize("is_encoded", [True, False], ids=["encoded", "raw"])
@pytest.mark.parametrize("kind", URLS)
def test_no_output_about_a_database_has_the_password(pipeline: "Pipeline", kind: str, is_encoded: bool) -> None:
    hidden = secret(f"sql {kind} {is_encoded}")
    url = URLS[kind].format(quote(hidden, safe="") if is_encoded else hidden)
    pipeline.source(source_file_path=None, name="sql", stream="t", url=url)
    assert_nowhere(outputs(pipeline, hidden), hidden)


def outputs(pipeline: "Pipeline", hidden: str) -> str:
    """The outputs of a run and of the commands. A run that cannot begin is a mistake of the configuration."""
    runner = random.Random(hidden).choice(RUNNERS)
    run = pipeline.run("--runner", runner, "--log-level", "DEBUG", "--result-json", "result.json", expect=None)
    assert run.returncode != 0
    if run.returncode == 2:
        return run.stdout + run.stderr
    return everything(pipeline, runner)


QUERIES = {
    "no table": "SELECT * FROM nowhere WHERE key = '{}'",
    "mistake before": "SELECT 1 AS id FORM t WHERE a = 'b' AND key = '{}'",
    "mistake after": "SELECT '{}' AS key FORM t",
    "mistake far after": "SELECT '{}' AS key, 'a rather long text, after which there is a mistake' AS text FORM t",
    "cast": "SELECT CAST('{}' AS DATE) AS id",
    "arithmetic": "SELECT 1 + CAST('{}' AS DECIMAL(5, 2)) AS id",
}
IN_QUERIES = "/+=&?#@:;,~!*()[]<>|^-_.à "


@pytest.mark.matrix(share=24)
@pytest.mark.parametrize("kind", [*QUERIES, "where"])
@pytest.mark.parametrize("server", ["postgres", "mariadb", "sqlite", "duckdb"])
def test_no_error_about_a_statement_has_a_secret_in_it(
    pipeline: "Pipeline", request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, server: str, kind: str
) -> None:
    hidden = secret(f"{server} {kind}", IN_QUERIES)
    monkeypatch.setenv("BIZON_ENV_PLANTED", hidden)
    reference = "${env://BIZON_ENV_PLANTED}"
    if kind == "where":
        pipeline.source(queries={"q": "SELECT 1 AS id"}, where=f"nowhere = '{reference}'")
    else:
        pipeline.source(queries={"q": QUERIES[kind].format(reference)})
    url = url_of(server, pipeline.folder, request)
    pipeline.source(source_file_path=None, name="sql", stream="q", url=url)
    run = pipeline.run("--log-level", "DEBUG", expect=None)
    if run.returncode == 0:
        assert server in ("mariadb", "sqlite"), "they take any text for a number, and for a date"
        return
    assert_nowhere(run.stdout + run.stderr + everything(pipeline, "thread", "a"), hidden)


def url_of(server: str, folder: Path, request: pytest.FixtureRequest) -> str:
    if server == "postgres":
        place: Place = request.getfixturevalue("postgres")
        login = f"{quote(place.username, '')}:{quote(place.password, '')}"
        return f"postgresql://{login}@{place.host}:{place.port}/{place.database}"
    if server == "mariadb":
        found: MariaDb = request.getfixturevalue("mariadb")
        return found.url
    if server == "duckdb":
        import duckdb

        duckdb.connect(str(folder / "a.duckdb")).close()
        return "duckdb:///a.duckdb"
    import sqlite3

    with closing(sqlite3.connect(folder / "a.db")) as connection:
        connection.execute("CREATE TABLE t (id INTEGER)")
    return "sqlite:///a.db"


KEYS = {"access_key_id": "AKIA", "region": "eu-west-1"}


def service_account(hidden: str, url: str) -> str:
    """The key of an account, without an exchange of tokens."""
    account = {"type": "service_account", "client_email": "a@b", "private_key": hidden, "private_key_id": "k1"}
    return json.dumps({**account, "gcs_base_url": url, "disable_oauth": True})


def pem(hidden: str) -> str:
    lines = "\n".join(hidden[at : at + 64] for at in range(0, len(hidden), 64))
    return f"-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n"


STORES: dict[str, tuple[str, Callable[[str, str], Json]]] = {
    "s3 key": ("s3://bucket", lambda hidden, url: {"secret_access_key": hidden, **KEYS}),
    "s3 id": ("s3://bucket", lambda hidden, url: {"secret_access_key": "Other-11-Secret", "access_key_id": hidden}),
    "s3 session": (
        "s3://bucket",
        lambda hidden, url: {"session_token": hidden, "secret_access_key": "Other-11-Secret", **KEYS},
    ),
    "azure key": ("az://container", lambda hidden, url: {"account_key": hidden, "account_name": "account"}),
    "azure sas": ("az://container", lambda hidden, url: {"sas_token": hidden, "account_name": "account"}),
    "azure whole sas": (
        "az://container",
        lambda hidden, url: {"sas_token": f"?sv=2022-11-02&sp=rl&sig={quote(hidden, '')}", "account_name": "account"},
    ),
    "gcs key": ("gs://bucket", lambda hidden, url: {"service_account_key": hidden}),
    "gcs key in JSON": ("gs://bucket", lambda hidden, url: {"service_account_key": service_account(hidden, url)}),
    "gcs key in PEM": ("gs://bucket", lambda hidden, url: {"service_account_key": service_account(pem(hidden), url)}),
}
ANSWERS = ("refused", "broken", "second", "padded")


def store_failing(answer: str, hidden: str) -> Callable[[Asked], Reply]:
    """A store that repeats a secret in all encodings: at once, or once it has shown that there is a file."""
    shown = {"ETag": '"e1"', "Last-Modified": format_datetime(datetime.now(UTC), usegmt=True)}

    def replied(asked: Asked) -> Reply:
        said = f"{repeated(hidden)} {asked.params} {asked.headers}"
        if answer == "second" and asked.method == "HEAD":
            return Reply(b"x" * 1000, headers={**shown, "Content-Type": "text/plain"})
        if answer == "padded":  # where a text is cut
            room = random.Random(hidden).randrange(250, 480)
            return Reply(f"<Error>{'-' * room}{hidden} {said}</Error>".encode(), 403)
        return Reply({"message": said, "error": said}, 403 if answer != "broken" else 500)

    return replied


@pytest.fixture
def api() -> Iterator[RestStandIn]:
    with RestStandIn().running() as server:
        yield server


@pytest.mark.matrix(share=40)
@pytest.mark.parametrize("name", ["a.jsonl", "*.jsonl", "a.parquet", "a.csv.gz"])
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("kind", STORES)
def test_no_output_about_an_object_store_has_the_key(
    pipeline: "Pipeline", api: RestStandIn, kind: str, answer: str, name: str
) -> None:
    bucket, keys = STORES[kind]
    hidden = secret(f"files {kind} {answer} {name}", IN_HEADERS)
    api.before = store_failing(answer, hidden)
    storage = {"endpoint": api.url, "retries": 0, "timeout": 5, **keys(hidden, api.url)}
    pipeline.source(source_file_path=None, name="files", stream="t", path=f"{bucket}/{name}", storage=storage)
    assert_nowhere(outputs(pipeline, hidden), hidden)


GUESSED: dict[str, tuple[Callable[[str], list[str]], Callable[[str], str], str]] = {
    "bearer": (lambda hidden: ["--auth", f"bearer:{hidden}"], lambda hidden: "", IN_HEADERS),
    "basic": (lambda hidden: ["--auth", f"basic:user:{hidden}"], lambda hidden: "", SPECIAL),
    "header": (lambda hidden: ["--header", f"X-Api-Key: {hidden}"], lambda hidden: "", IN_HEADERS),
    "header with a scheme": (
        lambda hidden: ["--header", f"Authorization: Bearer {hidden}"],
        lambda hidden: "",
        IN_HEADERS,
    ),
    "cookie": (lambda hidden: ["--header", f"Cookie: session={hidden}; theme=dark"], lambda hidden: "", "/+=%&?#@:~!*"),
    "query": (lambda hidden: [], lambda hidden: f"?api_key={quote(hidden, safe='')}&limit=2", SPECIAL),
    "fragment": (lambda hidden: [], lambda hidden: f"?q=1#access_token={quote(hidden, safe='')}", SPECIAL),
    "reference": (lambda hidden: ["--auth", "bearer:BIZON_ENV_PLANTED"], lambda hidden: "", IN_HEADERS),
    "reference in a header": (lambda hidden: ["--header", "X-Any: BIZON_ENV_PLANTED"], lambda hidden: "", IN_HEADERS),
    "two of a name": (
        lambda hidden: ["--header", f"Api-Token: {hidden}"],
        lambda hidden: "?api_token=another-11-secret",
        IN_HEADERS,
    ),
}
SAYS = ("refused", "broken", "html", "links", "names", "no list")


def guessed_from(answer: str, hidden: str, url: str) -> Callable[[Asked], Reply]:
    def replied(asked: Asked) -> Reply:
        said = f"{repeated(hidden)} {asked.params} {asked.headers}"
        if answer == "links":
            echoing = asked._replace(params={**asked.params, "echo": hidden})
            return by_link([{**each, "echo": hidden} for each in items(7)], echoing, url)
        if answer == "names":
            return Reply({"data": {form: 1 for form in encodings(hidden).values()}, "more": items(2)})
        if answer == "html":
            return Reply(f"<p>{said}".encode())
        if answer == "no list":
            return Reply({"items": said})
        return Reply({"message": said}, 401 if answer == "refused" else 500)

    return replied


@pytest.mark.matrix(share=20)
@pytest.mark.parametrize("answer", SAYS)
@pytest.mark.parametrize("kind", GUESSED)
def test_no_guess_shows_a_secret(
    tmp_path: Path, api: RestStandIn, monkeypatch: pytest.MonkeyPatch, kind: str, answer: str
) -> None:
    options, query, special = GUESSED[kind]
    hidden = secret(f"guess {kind} {answer}", special)
    api.before = guessed_from(answer, hidden, api.url)
    monkeypatch.setenv("BIZON_ENV_PLANTED", hidden)
    command = [*commands.BIZON, "source", "guess", f"{api.url}/v2/items{query(hidden)}", *options(hidden)]
    texts = []
    for more in ([], ["--output", "found.yml"]):
        done = commands.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, timeout=90)
        texts += [done.stdout, done.stderr]
        assert "Traceback" not in done.stderr
    if answer == "links":
        assert done.returncode == 0, done.stderr
    assert_nowhere("\n".join([*texts, files_of(tmp_path)]), hidden)
