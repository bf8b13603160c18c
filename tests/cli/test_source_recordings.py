"""Recordings hold no secret, in no encoding, and fit together nevertheless."""

import base64
import gzip
import json
from pathlib import Path
from urllib.parse import quote

import commands
import pytest
import yaml
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bizon.common.secret_forms import forms_of

KEY = 'pl4nted+key/with=odd&"signs"'
TOKEN, COOKIE, PERSON = "issued-t0ken-4711", "c00kie-of-a-person", "jane.doe@example.com"
SOURCE_FILE = Path(__file__).parents[1] / "spilling_source.py"
LEARNED = "received-0815"  # a field of no telling name: only the source knows that it is a secret
LAST = 3


class SpillingApi:
    """Repeats the key in every encoding. The tokens of its pages look like secrets, and are none."""

    def __init__(self, server: HTTPServer) -> None:
        server.expect_request("/v1/sessions").respond_with_handler(self.session)
        server.expect_request("/v1/things").respond_with_handler(self.things)

    def session(self, request: Request) -> Response:
        if request.json["odd"]["value"] != KEY:
            return Response(json.dumps({"message": "no such key"}), 401, content_type="application/json")
        return Response(json.dumps({"access_token": TOKEN, "unnamed": LEARNED}), content_type="application/json")

    def things(self, request: Request) -> Response:
        if request.args["s"] != TOKEN:
            return Response(json.dumps({"message": "no session"}), 403, content_type="application/json")
        page = int(request.args.get("token", "page-0").partition("-")[2])
        echo = [KEY, quote(KEY), quote(KEY, safe=""), KEY.encode().hex(), base64.b64encode(KEY.encode()).decode()]
        items = [{"id": 2 * page + number, "echo": echo, "url": f"https://me:{KEY}@host/"} for number in range(2)]
        body = json.dumps({"items": items, "token": f"page-{page + 1}" if page < LAST else None}).encode()
        headers = {"Content-Encoding": "gzip", "X-User-Email": PERSON, "X-Session": TOKEN, "Link": f"</v1?k={KEY}>"}
        answer = Response(gzip.compress(body), headers=headers, content_type="application/json")
        answer.set_cookie("sid", COOKIE)
        return answer


@pytest.fixture
def config(httpserver: HTTPServer) -> str:
    SpillingApi(httpserver)
    source = {
        "name": "spilling",
        "stream": "things",
        "source_file_path": str(SOURCE_FILE),
        "base_url": httpserver.url_for("/v1"),
        "api_key": KEY,
    }
    Path("config.yml").write_text(yaml.safe_dump({"name": "p", "source": source, "destination": {"name": "logger"}}))
    return "config.yml"


def verdicts(*arguments: str) -> dict[str, tuple[str, str]]:
    done = commands.run([*commands.BIZON, "source", "test", *arguments, "--json"], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert not any(form in done.stdout + done.stderr for form in forms_of([KEY, TOKEN, COOKIE]))
    return {each["behaviour"]: (each["status"], each["text"]) for each in json.loads(done.stdout)["behaviours"]}


def test_no_planted_secret_is_in_a_recording_and_it_replays_to_the_same_verdicts(config: str) -> None:
    recorded = verdicts(config, "--record", "kept")
    assert recorded["paging ends"] == ("ok", "")
    assert recorded["resuming at every page gives the same records"] == ("ok", "")
    assert recorded["no output shows a secret"][0] == "failed", "its records repeat the key"
    texts = [path.read_text() for path in Path("kept").iterdir()]
    texts += [json.dumps(yaml.safe_load(text), ensure_ascii=False, default=repr) for text in texts]
    for secret in (KEY, TOKEN, LEARNED, COOKIE, PERSON):
        assert not [form for text in texts for form in forms_of([secret]) if form in text]
    assert sum("page-2" in text for text in texts) == 0, "a field named token is hidden, too"
    for each in ("items", "masked-1", "application/json"):
        assert each in texts[0] + texts[1]
    Path("config.yml").write_text(Path("config.yml").read_text().replace("pl4nted", "another"))
    replayed = verdicts(config, "--replay", "kept")
    assert {name: status for name, (status, _) in replayed.items() if name != "no output shows a secret"} == {
        name: status for name, (status, _) in recorded.items() if name != "no output shows a secret"
    }
