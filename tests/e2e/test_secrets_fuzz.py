"""Random secrets in every key for credentials of ``rest``, with servers that fail and repeat what they were sent and
what they know: no output, log or state has one, in any encoding."""

import html
import json
import os
import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import pytest
from e2e.planted import (
    IN_COOKIES,
    IN_HEADERS,
    SPECIAL,
    assert_nowhere,
    encodings,
    everything,
    repeated,
    secret,
    shown_by,
)
from standins.rest.server import Asked, Reply, RestStandIn, by_url, items

if TYPE_CHECKING:
    from e2e.conftest import Pipeline

pytestmark = pytest.mark.matrix(share=70)
IN_LINKS = ("plain", "JSON", "ASCII JSON", "hex", "upper hex")  # what a parameter may hold
VARIABLE = "BIZON_ENV_PLANTED"
RUNNERS = ("thread", "process", "stream")
Json = dict[str, Any]
SIGNER = """
from requests.auth import AuthBase


class Signed(AuthBase):
    def __init__(self, secret):
        self.secret = secret

    def __call__(self, request):
        if request.url.endswith("&mood=angry"):
            raise ValueError(f"cannot sign with {self.secret!r}")
        request.headers["X-Signature"] = self.secret.encode().hex()
        return request
"""


class Place(NamedTuple):
    """A key for credentials. ``keys``: of the source, from the secret and the address of the API. ``special``: the
    signs that it may have there. ``grants``: what the endpoint for tokens answers; None: it fails like the API."""

    keys: Callable[[str, str], Json]
    special: str = SPECIAL
    grants: Callable[[str], Json] | None = None


def authentication(kind: str, **params: Any) -> Json:
    return {"authentication": {"type": kind, "params": params}}


def token(kind: str = "api_key", **keys: Any) -> Callable[[str, str], Json]:
    return lambda hidden, url: authentication(kind, token=hidden, **keys)


def oauth(**params: Callable[[str], Any]) -> Callable[[str, str], Json]:
    def keys(hidden: str, url: str) -> Json:
        usual = {"client_id": "me", "client_secret": "Another-11-Secret", "grant_type": "client_credentials"}
        given = {name: make(hidden) for name, make in params.items()}
        return authentication("oauth", token_refresh_endpoint=f"{url}/token", **{**usual, **given})

    return keys


def in_a_template(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def endpoint(**keys: Any) -> Json:
    return {"endpoints": {"items": {"path": "/items", "records": "items", **keys}}}


def variable(**keys: Any) -> Callable[[str, str], Json]:
    return lambda hidden, url: {"variables": {"secret": hidden}, **endpoint(**keys)}


def from_the_environment(**keys: Any) -> Callable[[str, str], Json]:
    """Under keys that say nothing of a secret."""
    return lambda hidden, url: endpoint(**keys)


REFRESHED = {"refresh_token": lambda hidden: "First-22-Refresh", "grant_type": lambda hidden: "refresh_token"}
PLACES: dict[str, Place] = {
    "bearer": Place(token("bearer"), IN_HEADERS),
    "header": Place(token(auth_header="X-Key", auth_method=""), IN_HEADERS),
    "query": Place(token(**{"in": "params", "name": "key"})),
    "cookie": Place(token(**{"in": "cookie", "name": "session"}), IN_COOKIES),
    "path": Place(lambda hidden, url: {**token(**{"in": "path"})(hidden, url), **endpoint(path="/bot{token}/items")}),
    "base address": Place(
        lambda hidden, url: {**token(**{"in": "path"})(hidden, url), "base_url": f"{url}/bot{{token}}"}
    ),
    "basic": Place(lambda hidden, url: authentication("basic", username="u", password=hidden)),
    "basic, own header": Place(
        lambda hidden, url: authentication(
            "basic", username="us", password=hidden, auth_header="X-User", auth_method=""
        )
    ),
    "cookies": Place(lambda hidden, url: authentication("cookies", cookies={"session": hidden}), IN_COOKIES),
    "header of cookies": Place(
        lambda hidden, url: authentication("cookies", cookies={"a": "b"}, headers={"X-Csrf": hidden}), IN_HEADERS
    ),
    "own header": Place(lambda hidden, url: endpoint(headers={"X-Api-Key": in_a_template(hidden)}), IN_HEADERS),
    "own header with a scheme": Place(
        lambda hidden, url: endpoint(headers={"Authorization": f"Token {in_a_template(hidden)}"}), IN_HEADERS
    ),
    "usual header": Place(lambda hidden, url: {"defaults": {"headers": {"X-Any": in_a_template(hidden)}}}, IN_HEADERS),
    "own param": Place(lambda hidden, url: endpoint(params={"api_key": in_a_template(hidden)})),
    "usual param": Place(lambda hidden, url: {"defaults": {"params": {"access_key": in_a_template(hidden)}}}),
    "body": Place(lambda hidden, url: endpoint(method="POST", json={"auth": {"password": hidden}})),
    "list in a body": Place(lambda hidden, url: endpoint(method="POST", json={"keys": [{"api_key": [hidden]}]})),
    "variable": Place(variable(params={"q": "{variables.secret}"})),
    "variable in a header": Place(variable(headers={"X-Any": "Key {variables.secret}"}), IN_HEADERS),
    "variable in a path": Place(variable(path="/of/{variables.secret}/items")),
    "variable in a body": Place(variable(method="POST", json={"query": "{ a(of: {variables.secret}) }"})),
    "environment, param": Place(from_the_environment(params={"q": VARIABLE})),
    "environment, path": Place(from_the_environment(path=f"/of/${{env://{VARIABLE}}}/items"), "+=&@:;,~!*'(){}"),
    "client secret": Place(oauth(client_secret=str)),
    "client secret, granted": Place(oauth(client_secret=str), grants=lambda hidden: {"access_token": "Access-33"}),
    "refresh token": Place(oauth(**{**REFRESHED, "refresh_token": str})),
    "body of a refresh": Place(oauth(refresh_request_body=lambda hidden: {"code": hidden})),
    "access token": Place(oauth(), IN_HEADERS, lambda hidden: {"access_token": hidden, "expires_in": 3600}),
    "rotated token": Place(
        oauth(**REFRESHED), grants=lambda hidden: {"access_token": "Access-33", "refresh_token": hidden}
    ),
    "signing": Place(lambda hidden, url: {"signing": {"file": "signer.py", "params": {"secret": hidden}}}),
    "angry signing": Place(
        lambda hidden, url: {
            "signing": {"file": "signer.py", "params": {"secret": hidden}},
            **endpoint(params={"mood": "angry"}),
        }
    ),
}


class Failing:
    """An API that knows a secret, and says it in all encodings."""

    def __init__(self, api: RestStandIn, hidden: str) -> None:
        self._api = api
        self._hidden = hidden

    def said(self, asked: Asked) -> str:
        """All that a server can repeat."""
        return f"{repeated(self._hidden)} {self.received(asked)}"

    def received(self, asked: Asked) -> str:
        return f"{asked.path} {quote(asked.path)} {asked.key} {asked.params} {asked.headers} {json.dumps(asked.params)}"

    def refused(self, asked: Asked) -> Reply:
        return Reply({"message": f"not allowed: {self.said(asked)}"}, 401)

    def broken(self, asked: Asked) -> Reply:
        return Reply({"error": self.said(asked), "sent": asked.params}, 500)

    def bare(self, asked: Asked) -> Reply:
        """Only the secret, so that no encoding of it is cut off."""
        form = random.Random(self._hidden).choice(sorted(encodings(self._hidden).values()))
        return Reply({"error_description": f"<{form}>"}, 403)

    def html(self, asked: Asked) -> Reply:
        return Reply(f"<p>{html.escape(self.received(asked))}</p>{self.said(asked)}".encode())

    def no_list(self, asked: Asked) -> Reply:
        return Reply({"items": self.said(asked), self.said(asked): 1})

    def no_id(self, asked: Asked) -> Reply:
        return Reply({"items": [{"echo": self.said(asked), "sent": asked.params}]})

    def moved(self, asked: Asked) -> Reply:
        place = f"{quote(asked.path)}?{asked.key}&{quote(self._hidden)}"
        return Reply({}, 302, {"Location": f"http://127.0.0.1:1{place}"})

    def second_page(self, asked: Asked) -> Reply:
        if "from" in asked.params:
            return Reply({"message": self.said(asked)}, 400)
        names = [name for name in encodings(self._hidden) if name in IN_LINKS or name.startswith("base64")]
        form = encodings(self._hidden)[random.Random(self._hidden).choice(names)]
        params = {**texts_of(asked.params), "echo": f"<{self._hidden}>", "form": form}
        return Reply(by_url(items(9), asked._replace(params=params), self._api.url))


FAILURES = ("refused", "broken", "bare", "html", "no_list", "no_id", "moved", "second_page")


def texts_of(value: Any, name: str = "") -> dict[str, str]:
    """The parameters that a link can repeat, those deep in a body included."""
    if isinstance(value, str):
        return {name: value}
    pairs = value.items() if isinstance(value, dict) else ((name, item) for item in value)
    return {key: text for each, item in pairs for key, text in texts_of(item, each).items()}


@pytest.fixture
def api() -> Iterator[RestStandIn]:
    with RestStandIn().running() as server:
        yield server


@pytest.fixture(autouse=True)
def _set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``planted`` set a variable."""
    monkeypatch.setenv(VARIABLE, "")


def planted(pipeline: "Pipeline", api: RestStandIn, place: str, hidden: str, **keys: Any) -> "Pipeline":
    """The pipeline, with the secret in its place."""
    source = {"base_url": api.url, **endpoint(), **PLACES[place].keys(hidden, api.url)}
    source["endpoints"]["items"] |= keys
    (pipeline.folder / "signer.py").write_text(SIGNER)
    os.environ[VARIABLE] = hidden
    http = {"retries": {"total": 1, "backoff_factor": 0}}
    return pipeline.source(source_file_path=None, name="rest", stream="items", http=http, **source)


def answers_of(api: RestStandIn, place: str, hidden: str, answer: Callable[[Asked], Reply]) -> None:
    """Let the API give this answer, and the endpoint for tokens what it grants."""
    grants = PLACES[place].grants

    def before(asked: Asked) -> Reply:
        return Reply(grants(hidden)) if grants is not None and asked.path == "/token" else answer(asked)

    api.before = before


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("place", PLACES)
def test_no_output_of_a_failing_api_has_the_secret(
    pipeline: "Pipeline", api: RestStandIn, place: str, failure: str
) -> None:
    hidden = secret(f"{place} {failure}", PLACES[place].special)
    answers_of(api, place, hidden, getattr(Failing(api, hidden), failure))
    pages = {"pages": {"type": "next_url", "next": "next"}} if failure == "second_page" else {}
    planted(pipeline, api, place, hidden, **pages)
    runner = random.Random(hidden).choice(RUNNERS)
    assert_nowhere(everything(pipeline, runner, "signer"), hidden)


@pytest.mark.parametrize("failure", ["whole", *FAILURES])
@pytest.mark.parametrize("place", PLACES)
def test_no_verdict_and_no_recording_has_the_secret(
    pipeline: "Pipeline", api: RestStandIn, place: str, failure: str
) -> None:
    hidden = secret(f"recorded {place} {failure}", PLACES[place].special)
    answer = whole if failure == "whole" else getattr(Failing(api, hidden), failure)
    answers_of(api, place, hidden, answer)
    planted(pipeline, api, place, hidden, pages={"type": "page", "param": "page"})
    shown = shown_by(pipeline, "source", "test", "config.yml", "--record", "kept")
    kept = [file.read_text() for file in (pipeline.folder / "kept").glob("*") if file.is_file()]
    assert_nowhere("\n".join([shown, *kept]), hidden)
    if kept:
        assert_nowhere(shown_by(pipeline, "source", "test", "config.yml", "--replay", "kept", "--json"), hidden)


def whole(asked: Asked) -> Reply:
    """A list of one page."""
    return Reply({"items": items(3) if asked.params.get("page") in ("1", None) else []})


@pytest.mark.parametrize(("group", "name"), [("headers", "X-Any"), ("params", "api_key")])
def test_a_mistake_in_a_secret_text_is_named_and_not_shown(pipeline: "Pipeline", group: str, name: str) -> None:
    source = endpoint(**{group: {name: "Open-{-Brace-11"}})
    pipeline.source(source_file_path=None, name="rest", stream="items", base_url="http://127.0.0.1:1", **source)
    shown = shown_by(pipeline, "config", "validate", "config.yml")
    assert "a brace without its partner" in shown
    assert "Brace-11" not in shown


@pytest.mark.parametrize("place", PLACES)
def test_a_mistake_next_to_a_secret_does_not_show_it(pipeline: "Pipeline", api: RestStandIn, place: str) -> None:
    hidden = secret(f"mistake {place}", PLACES[place].special)
    planted(pipeline, api, place, hidden, pages={"type": "page", "param": ["page"]}, no_such_key=1)
    commands = (("config", "validate"), ("check",), ("run",), ("preview",), ("stream", "list"))
    shown = "\n".join(shown_by(pipeline, *command, "config.yml") for command in commands)
    assert "no_such_key" in shown
    assert_nowhere(shown, hidden)


def rejecting(hidden: str, asked: Asked) -> Reply:
    """Records with a time, or an id, that is the secret."""
    forms = sorted(encodings(hidden).values())
    return Reply({"items": [{"id": number, "updated_at": form} for number, form in enumerate(forms)]})


@pytest.mark.parametrize("on_error", ["fail", "skip", "dead_letter"])
@pytest.mark.parametrize("place", PLACES)
def test_no_reason_of_a_rejected_record_has_the_secret(
    pipeline: "Pipeline", api: RestStandIn, place: str, on_error: str
) -> None:
    """The record itself is data, and stays as it came."""
    hidden = secret(f"rejected {place} {on_error}", PLACES[place].special)
    answers_of(api, place, hidden, lambda asked: rejecting(hidden, asked))
    planted(pipeline, api, place, hidden, timestamp="updated_at").set("on_error", on_error)
    runner = random.Random(hidden).choice(RUNNERS)
    run = pipeline.run("--runner", runner, "--log-level", "DEBUG", "--result-json", "result.json", expect=None)
    shown = shown_by(pipeline, "status", "config.yml", "--json") + shown_by(pipeline, "preview", "config.yml")
    state = b"".join(file.read_bytes() for file in pipeline.folder.glob("state.sqlite3*")).decode("utf-8", "replace")
    result = (pipeline.folder / "result.json").read_text()
    letters = [json.loads(line) for file in pipeline.folder.glob("*dead*") for line in file.read_text().splitlines()]
    reasons = [str(letter.get("reason")) for letter in letters]
    assert_nowhere("\n".join([run.stdout, run.stderr, shown, state, result, *reasons]), hidden)
