"""A reader follows adding-sources.md: pastes its code where the page says, and runs its commands."""

import json
import re
from datetime import UTC, datetime

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

ITEMS = [{"id": number, "name": f"user {number}", "updated_at": "2024-05-01T10:00:00+00:00"} for number in range(1, 6)]
CONFIG = "config/myapi.example.yml"
METHOD = re.compile(r"^    def get_records_after", re.MULTILINE)


class Api:
    """The API that the guide describes, with 2 users per page."""

    def __init__(self, server: HTTPServer) -> None:
        self.items = [dict(item) for item in ITEMS]
        self.requests: list[dict[str, str]] = []
        server.expect_request("/v1/users").respond_with_handler(self._users)
        self.url = server.url_for("/v1")

    def _users(self, request: Request) -> Response:
        if request.headers.get("Authorization") != "Bearer s3cret":
            return Response(status=401)
        self.requests.append(request.args.to_dict())
        after = request.args.get("updated_after")
        items = [item for item in self.items if after is None or item["updated_at"] > after]
        start = int(request.args.get("cursor", 0))
        page = {"items": items[start : start + 2]}
        if start + 2 < len(items):
            page["next_cursor"] = str(start + 2)
        return Response(json.dumps(page), content_type="application/json")


@pytest.fixture
def api(httpserver: HTTPServer, package) -> Api:
    served = Api(httpserver)
    package.env |= {"MYAPI_URL": served.url, "BIZON_ENV_MYAPI_TOKEN": "s3cret"}
    return served


@pytest.fixture
def folder(package, source_guide) -> str:
    """The source that the first part of the guide builds."""
    at = "bizon/connectors/sources/myapi"
    package.write(f"{at}/src/__init__.py", "")
    package.write(f"{at}/src/source.py", source_guide.block("python", f"# {at}/src/source.py"))
    package.write(f"{at}/{CONFIG}", source_guide.block("yaml", "name: myapi_to_file"))
    return at


def incremental_blocks(guide) -> list[str]:
    return [block for block in guide.blocks("python") if METHOD.match(block)]


def rows(package) -> list[dict]:
    return [
        json.loads(json.loads(line)["source_data"]) for line in (package.work / "users.json").read_text().splitlines()
    ]


def test_the_source_is_found_without_registration(package, folder):
    assert "myapi" in package.bizon("source", "list")
    listed = package.bizon("stream", "list", "myapi")
    assert "users" in listed
    assert "orders" in listed


@pytest.mark.lesson("F-45")
def test_the_example_config_moves_every_record(package, folder, api):
    package.bizon("config", "validate", str(package.root / folder / CONFIG))
    assert "5 records" in package.bizon("run", str(package.root / folder / CONFIG))
    assert rows(package) == ITEMS
    assert [request.get("cursor") for request in api.requests][-3:] == [None, "2", "4"]


def test_a_wrong_token_ends_the_run_before_the_first_page(package, folder, api):
    package.env["BIZON_ENV_MYAPI_TOKEN"] = "wrong"
    package.bizon("run", str(package.root / folder / CONFIG), expect=1)
    assert api.requests == []
    assert not (package.work / "users.json").exists()


def test_incremental_is_refused_before_the_method_is_there(package, folder, api, source_guide):
    config = package.write(f"{folder}/{CONFIG}", source_guide.block("yaml", "cursor_field: updated_at"))
    package.bizon("config", "validate", str(config), expect=2)


@pytest.mark.parametrize("variant", [0, 1], ids=["filter of the API", "filter in the source"])
def test_an_incremental_run_appends_what_changed(package, folder, api, source_guide, variant):
    config = package.write(f"{folder}/{CONFIG}", source_guide.block("yaml", "cursor_field: updated_at"))
    source = package.root / folder / "src/source.py"
    added = "\n" + incremental_blocks(source_guide)[variant]
    needed = "from datetime import datetime\n" if variant == 1 else ""
    source.write_text(needed + source.read_text() + added)
    assert "5 records" in package.bizon("run", str(config))

    api.items[2] |= {"name": "changed", "updated_at": datetime.now(UTC).isoformat()}

    assert "1 record" in package.bizon("run", str(config))
    assert rows(package) == [*ITEMS, api.items[2]]
    assert ("updated_after" in api.requests[-1]) is (variant == 0)


def test_the_dispatching_variant_is_valid_python(source_guide):
    for block in incremental_blocks(source_guide):
        compile(f"class Source:\n{block}", "guide", "exec", flags=0x1000000)


def test_the_source_works_as_a_custom_file(package, folder, api, source_guide):
    text = (package.root / folder / "src/source.py").read_text()
    (package.work / "my_source.py").write_text(text)
    config = (package.root / folder / CONFIG).read_text()
    (package.root / folder / "src/source.py").unlink()
    (package.work / "config.yml").write_text(config.replace("name: myapi\n", "name: anything\n"))
    package.bizon("run", "config.yml", "--custom-source", "my_source.py")
    assert rows(package) == ITEMS
    shown = source_guide.block("yaml", "source_file_path").removeprefix("source:\n")
    (package.work / "config.yml").write_text(config.replace("  name: myapi\n  stream: users\n", shown))
    package.bizon("config", "validate", "config.yml")


def test_children_are_read_parent_by_parent_and_each_page_says_where_it_stands(source_guide, httpserver: HTTPServer):
    answers = {
        ("/users", None): {"items": [{"id": 1}, {"id": 2}], "next_cursor": "p2"},
        ("/users", "p2"): {"items": [], "next_cursor": "p3"},
        ("/users", "p3"): {"items": [{"id": 3}]},
        ("/users/1/orders", None): {"items": [{"id": "a"}], "next_cursor": "o2"},
        ("/users/1/orders", "o2"): {"items": [{"id": "b"}]},
        ("/users/2/orders", None): {"items": []},
        ("/users/3/orders", None): {"items": [{"id": "c"}]},
    }

    def answer(request: Request) -> Response:
        return Response(json.dumps(answers[request.path, request.args.get("cursor")]), content_type="application/json")

    httpserver.expect_request(re.compile("/users")).respond_with_handler(answer)
    names: dict[str, type] = {}
    exec(source_guide.block("python", "# bizon/connectors/sources/myapi/src/source.py"), names)
    block = next(each for each in source_guide.blocks("python") if "_page_of_users" in each)
    exec(f"from typing import Any\nclass Orders(MyApiSource):\n{block}", names)
    config = {"name": "n", "stream": "orders", "base_url": httpserver.url_for("").rstrip("/")}
    key = {"type": "api_key", "params": {"token": "t"}}
    make = names["Orders"]
    ids, pagination, places = [], {}, []
    while pagination or not places:
        source = make(make.get_config_class()(**config, authentication=key))  # as after a crash before each page
        page = source.get(pagination)
        ids += [record.id for record in page.records]
        pagination = page.next_pagination
        places.append(pagination)
    assert ids == ["a", "b", "c"]
    assert max(len(json.dumps(place)) for place in places) < 100


def test_the_documented_test_passes(package, folder, source_guide):
    test = package.write("test_myapi.py", source_guide.block("python", "def test_a_page_leads_to_the_next"))
    package.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", str(test))
