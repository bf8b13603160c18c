"""``bizon source guess`` against stand-ins of each style of paging: the YAML it prints reads the whole list."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from standins.rest.server import (
    TOKEN,
    Asked,
    Reply,
    RestStandIn,
    by_cursor,
    by_key,
    by_link,
    by_offset,
    by_page,
    by_url,
    changed_within,
    items,
)

ALL = items(7)


def zero_based(asked: Asked) -> Any:
    start = int(asked.params.get("pageIndex", 0)) * 3
    return {"content": ALL[start : start + 3], "last": start + 3 >= len(ALL)}


def by_header(asked: Asked, url: str) -> Reply:
    page = by_url(ALL, asked, url, size=int(asked.params.get("_limit", 100)))
    return Reply({"data": page["items"]}, headers={"Next-Page": page["next"]} if page["next"] else {})


def by_nodes(asked: Asked) -> Any:
    found = by_cursor(ALL, asked._replace(params={"cursor": asked.params.get("after")}))
    info = {"endCursor": found["meta"]["next"], "hasNextPage": found["meta"]["next"] is not None}
    return {"data": {"tasks": {"edges": [{"node": each} for each in found["data"]["items"]], "pageInfo": info}}}


def strict_page(asked: Asked) -> Any:
    """An API that refuses parameters it does not know."""
    if not asked.params.keys() <= {"page"}:
        return Reply({"message": "unknown parameter"}, 400)
    return by_page(ALL, asked)


STYLES: dict[str, tuple[Callable[[Asked, str], Any], dict[str, Any]]] = {
    "cursor": (lambda asked, url: by_cursor(ALL, asked), {"type": "cursor", "param": "cursor", "next": "meta.next"}),
    "nodes": (lambda asked, url: by_nodes(asked), {"type": "cursor", "next": "data.tasks.pageInfo.endCursor"}),
    "url": (lambda asked, url: by_url(ALL, asked, url), {"type": "next_url", "next": "next"}),
    "link": (lambda asked, url: by_link(ALL, asked, url), {"type": "link_header"}),
    "header": (by_header, {"type": "link_header", "header": "Next-Page"}),
    "page": (lambda asked, url: by_page(ALL, asked), {"type": "page", "param": "page", "start": 1, "total": "total"}),
    "strict": (lambda asked, url: strict_page(asked), {"type": "page", "param": "page", "start": 1}),
    "zero": (lambda asked, url: zero_based(asked), {"type": "page", "param": "pageIndex", "start": 0, "more": "!last"}),
    "offset": (lambda asked, url: by_offset(ALL, asked), {"type": "offset", "size_param": "limit", "total": "total"}),
    "keyset": (
        lambda asked, url: by_key(ALL, asked),
        {"type": "keyset", "param": "starting_after", "more": "has_more"},
    ),
    "none": (lambda asked, url: ALL, {"type": "none"}),
}


@pytest.fixture
def api() -> Iterator[RestStandIn]:
    with RestStandIn().running() as server:
        yield server


@pytest.mark.matrix(share=8)
@pytest.mark.parametrize("style", STYLES)
def test_the_yaml_of_each_style_reads_the_whole_list(
    api: RestStandIn, run_cli: Any, tmp_path: Path, style: str
) -> None:
    route, expected = STYLES[style]
    api.routes["/v2/things"] = lambda asked: route(asked, api.url)
    done = run_cli("source", "guess", f"{api.url}/v2/things", "--output", "things.yml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    endpoint = yaml.safe_load((tmp_path / "things.yml").read_text())["source"]["endpoints"]["things"]
    assert expected.items() <= endpoint["pages"].items()
    assert run_cli("run", "things.yml", cwd=tmp_path).returncode == 0
    lines = [json.loads(line) for line in (tmp_path / "things.json").read_text().splitlines()]
    assert [line["source_record_id"] for line in lines] == [str(each["id"]) for each in ALL]


def test_a_filter_by_time_becomes_incremental(api, bizon):
    api.routes["/things"] = lambda asked: {"items": changed_within(ALL, asked, "updated_after")}
    found = guess(bizon, api, "/things")
    assert found["incremental"] == {"cursor_field": "updated_at", "since": {"param": "updated_after"}}
    assert found["timestamp"] == "updated_at"


def test_credentials_become_variables(api, bizon, monkeypatch, tmp_path):
    api.admits = lambda asked: asked.headers.get("authorization") == f"Bearer {TOKEN}"
    api.routes["/things"] = lambda asked: by_page(ALL, asked)
    options = [
        "--auth",
        f"bearer:{TOKEN}",
        "--header",
        "X-Api-Key: a-secret-key",
        "--header",
        "Accept: application/json",
    ]
    done = bizon("source", "guess", f"{api.url}/things?api_key=another-secret", *options)
    assert done.exit_code == 0
    assert all(secret not in done.output for secret in (TOKEN, "a-secret-key", "another-secret"))
    source = yaml.safe_load(done.stdout)["source"]
    assert source["authentication"]["params"] == {"token": "BIZON_ENV_API_TOKEN"}
    assert source["defaults"]["headers"] == {"X-Api-Key": "BIZON_ENV_X_API_KEY", "Accept": "application/json"}
    assert source["endpoints"]["things"]["params"] == {"api_key": "BIZON_ENV_API_KEY"}
    for name, value in {"API_TOKEN": TOKEN, "X_API_KEY": "a-secret-key", "API_KEY": "another-secret"}.items():
        monkeypatch.setenv(f"BIZON_ENV_{name}", value)
    (tmp_path / "found.yml").write_text(done.stdout)
    assert bizon("config", "validate", "found.yml").exit_code == 0


@pytest.mark.parametrize("secret", ["a{b", "a}b", "{{ab}}", "{parent.id}"])
def test_a_credential_with_braces_is_sent_as_it_is(api, bizon, monkeypatch, tmp_path, secret):
    """By the guess, and by a run of the YAML that it prints."""
    api.admits = lambda asked: (asked.headers.get("api-key"), asked.params.get("secret")) == (secret, secret)
    api.routes["/things"] = lambda asked: by_page(ALL, asked)
    done = bizon("source", "guess", f"{api.url}/things?secret={quote(secret)}", "--header", f"Api-Key: {secret}")
    assert done.exit_code == 0, done.output
    (tmp_path / "found.yml").write_text(done.stdout)
    for name in ("API_KEY", "SECRET"):
        monkeypatch.setenv(f"BIZON_ENV_{name}", secret)
    assert "7 records" in bizon("run", "found.yml").output


def test_a_token_in_the_fragment_of_the_address_is_masked(api, bizon):
    """The page that a login redirects to has it there."""
    api.before = lambda asked: Reply({"message": "token in/the/fragment, in%2Fthe%2Ffragment is unknown"}, 401)
    done = bizon("source", "guess", f"{api.url}/things#state=1&access_token=in%2Fthe%2Ffragment")
    assert done.stderr.count("**********") == 2


def test_two_credentials_of_one_name_are_two_variables(api, bizon):
    """The second took the place of the first, in the request too."""
    api.admits = lambda asked: (
        (asked.headers.get("api-key"), asked.params.get("api_key")) == ("secret-one", "secret-two")
    )
    api.routes["/things"] = lambda asked: by_page(ALL, asked)
    done = bizon("source", "guess", f"{api.url}/things?api_key=secret-two", "--header", "Api-Key: secret-one")
    source = yaml.safe_load(done.stdout)["source"]
    assert source["defaults"]["headers"] == {"Api-Key": "BIZON_ENV_API_KEY"}
    assert source["endpoints"]["things"]["params"] == {"api_key": "BIZON_ENV_API_KEY_2"}


def test_the_secret_of_a_reference_is_in_no_error(api, bizon, monkeypatch):
    secret = "s/cret-of-the-variable"
    monkeypatch.setenv("BIZON_ENV_MY_TOKEN", secret)
    api.before = lambda asked: Reply(
        {"message": f"no {secret}, {quote(secret, safe='')}, {secret.encode().hex()}"}, 401
    )
    done = bizon("source", "guess", f"{api.url}/things", "--header", "X-Any: BIZON_ENV_MY_TOKEN")
    assert done.stderr.count("**********") == 3


def test_a_credential_may_be_given_as_a_reference(api, bizon, monkeypatch):
    monkeypatch.setenv("BIZON_ENV_MY_TOKEN", TOKEN)
    api.admits = lambda asked: asked.headers.get("authorization") == f"Bearer {TOKEN}"
    api.routes["/things"] = lambda asked: by_page(ALL, asked)
    done = bizon("source", "guess", f"{api.url}/things", "--auth", "bearer:BIZON_ENV_MY_TOKEN")
    assert yaml.safe_load(done.stdout)["source"]["authentication"]["params"] == {"token": "BIZON_ENV_MY_TOKEN"}


HTML = Reply(b"<!DOCTYPE html><p>Welcome", headers={"Content-Type": "text/html"})


@pytest.mark.parametrize(
    ("path", "answer", "says"),
    [
        ("/gone", Reply({"message": "nothing here"}, 404), "HTTP 404 Not Found: nothing here"),
        ("/closed", Reply({"message": "no such token"}, 401), "HTTP 401 Unauthorized: no such token"),
        ("/page", HTML, "the body is not valid JSON: it begins with '<!DOCTYPE html>"),
        ("/text", Reply(b"hello", headers={"Content-Type": "text/plain"}), "the body is not valid JSON"),
        ("/empty", {"items": [], "next": None}, "the list is empty"),
        (
            "/rows",
            {"columns": ["id"], "rows": [[1], [2]], "facets": [{"name": "x"}]},
            "the list at 'rows' does not hold",
        ),
        ("/nameless", [{"tag": "a"}, {"tag": "a"}], "no field, and no two fields, that identify them"),
    ],
)
def test_an_answer_that_cannot_be_guessed_is_one_line(api, bizon, path, answer, says):
    api.routes[path] = lambda asked: answer
    done = bizon("source", "guess", f"{api.url}{path}")
    assert done.exit_code == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: GET {api.url}{path}: ")
    assert says in line


def test_an_unreachable_host_is_one_line(bizon):
    done = bizon("source", "guess", "http://127.0.0.1:1/things")
    assert done.exit_code == 1
    assert "127.0.0.1" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["api.example.com/things"], "URL: must be the address of a list"),
        (["https://x.example/a", "--header", "nonsense"], "--header: must be 'Name: value'"),
        (["https://x.example/a", "--auth", "digest:secret-value"], "--auth: must be bearer:TOKEN"),
    ],
)
def test_wrong_options_are_one_line_without_their_value(bizon, arguments, says):
    done = bizon("source", "guess", *arguments)
    assert done.exit_code == 2
    assert says in done.stderr
    assert "secret-value" not in done.stderr


def test_the_list_of_one_parent_names_its_parent(api, bizon):
    api.routes["/v2/projects/12/tasks"] = lambda asked: ALL
    done = bizon("source", "guess", f"{api.url}/v2/projects/12/tasks")
    assert "# path: /projects/{parent.id}/tasks" in done.stdout.replace('"', "")
    assert "# parent: { stream: projects, include: { project_id: id } }" in done.stdout


def test_an_api_that_ignores_parameters_is_asked_a_few_times(api, bizon):
    api.routes["/things"] = lambda asked: ALL
    guess(bizon, api, "/things")
    assert len(api.served) <= 6


def test_a_file_that_exists_stays(api, bizon, tmp_path):
    (tmp_path / "mine.yml").write_text("mine")
    done = bizon("source", "guess", f"{api.url}/things", "--output", "mine.yml")
    assert done.exit_code == 2
    assert "mine.yml: exists already" in done.stderr
    assert (tmp_path / "mine.yml").read_text() == "mine"
    assert api.served == []


def guess(bizon: Any, api: RestStandIn, path: str) -> dict[str, Any]:
    """The endpoint that the command prints."""
    done = bizon("source", "guess", f"{api.url}{path}")
    assert done.exit_code == 0, done.output
    (endpoint,) = yaml.safe_load(done.stdout)["source"]["endpoints"].values()
    return endpoint


def test_braces_and_repeated_parameters_of_the_address_are_kept(api, bizon):
    api.routes["/things"] = lambda asked: ALL
    endpoint = guess(bizon, api, "/things?filter=%7B%22a%22:1%7D&field=id&field=name")
    assert endpoint["params"] == {"filter": '{{"a":1}}', "field": ["id", "name"]}
    assert all(asked.params["filter"] == '{"a":1}' for asked in api.served)


def test_an_endless_choice_of_answers_still_ends(api, bizon):
    """Each answer differs: no parameter can be ruled out, and none leads on."""
    api.routes["/things"] = lambda asked: {"next": "x", "items": [{"id": len(api.served), "more": True}]}
    guess(bizon, api, "/things")
    assert len(api.served) <= 210
