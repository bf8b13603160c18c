"""A reader follows adding-sources.md: pastes its code where the page says, and runs its commands."""

import json

import pytest
from docs.guide_code import MODULE
from docs.standin import USERS, Api
from pytest_httpserver import HTTPServer

CONFIG = "config/myapi.example.yml"
AT = "bizon/connectors/sources/myapi"


@pytest.fixture
def api(httpserver: HTTPServer, package) -> Api:
    served = Api(httpserver)
    package.env |= {"MYAPI_URL": served.url, "BIZON_ENV_MYAPI_TOKEN": "s3cret"}
    return served


@pytest.fixture
def folder(package, source_guide) -> str:
    """The source that the first part of the guide builds."""
    package.write(f"{AT}/src/__init__.py", "")
    package.write(f"{AT}/src/source.py", source_guide.block("python", MODULE))
    package.write(f"{AT}/{CONFIG}", source_guide.block("yaml", "name: myapi_to_file"))
    return AT


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
    assert rows(package) == USERS
    assert [request.get("cursor") for request in api.requests][-3:] == [None, "2", "4"]


def test_a_wrong_token_ends_the_run_before_the_first_page(package, folder, api):
    package.env["BIZON_ENV_MYAPI_TOKEN"] = "wrong"
    package.bizon("run", str(package.root / folder / CONFIG), expect=1)
    assert api.requests == []
    assert not (package.work / "users.json").exists()


def test_incremental_is_refused_before_the_method_exists(package, folder, api, source_guide):
    config = package.write(f"{folder}/{CONFIG}", source_guide.block("yaml", "cursor_field: updated_at"))
    package.bizon("config", "validate", str(config), expect=2)


def test_the_dispatching_variant_is_valid_python(source_guide):
    compile(f"class Source:\n{source_guide.block('python', 'case stream:')}", "guide", "exec", flags=0x1000000)


def test_the_source_works_as_a_custom_file(package, folder, api, source_guide):
    text = (package.root / folder / "src/source.py").read_text()
    (package.work / "my_source.py").write_text(text)
    config = (package.root / folder / CONFIG).read_text()
    (package.root / folder / "src/source.py").unlink()
    (package.work / "config.yml").write_text(config.replace("name: myapi\n", "name: anything\n"))
    package.bizon("run", "config.yml", "--custom-source", "my_source.py")
    assert rows(package) == USERS
    shown = source_guide.block("yaml", "source_file_path").removeprefix("source:\n")
    (package.work / "config.yml").write_text(config.replace("  name: myapi\n  stream: users\n", shown))
    package.bizon("config", "validate", "config.yml")
