"""The code that each command executes, as docs/security.md lists it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.matrix(share=4, pool="executed code")

SOURCE = """
from pathlib import Path

def note(what):
    with (Path(__file__).parent / "ran.txt").open("a") as file:
        file.write(f"{what}\\n")

note("import")

import helper
from pydantic import field_validator
from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration, SourceRecord
from bizon.source.source import AbstractSource

class Config(SourceConfig):
    key: str = "x"

    @field_validator("key")
    @classmethod
    def check(cls, value):
        note("validator")
        return value

class Source(AbstractSource):
    def __init__(self, config):
        note("constructor")
        super().__init__(config)

    @staticmethod
    def streams():
        note("streams")
        return ["items"]

    @staticmethod
    def get_config_class():
        note("get_config_class")
        return Config

    def get_authenticator(self):
        note("get_authenticator")

    def check_connection(self):
        note("check_connection")
        return True, None

    def get(self, pagination=None):
        note("get")
        return SourceIteration(records=[SourceRecord(id=1, data={})], next_pagination={})
"""
LOADING = {"import", "helper", "streams", "get_config_class", "validator"}
RUNNING = {"constructor", "get_authenticator", "check_connection", "get", "transform"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration with a source and its helper in ``pipe``, and a working directory with another helper."""
    pipe, work = tmp_path / "pipe", tmp_path / "work"
    pipe.mkdir()
    work.mkdir()
    ran = pipe / "ran.txt"
    (pipe / "source.py").write_text(SOURCE)
    (pipe / "helper.py").write_text(f"open({str(ran)!r}, 'a').write('helper\\n')\n")
    for planted in ("helper", "planted"):
        (work / f"{planted}.py").write_text(f"open({str(ran)!r}, 'a').write('planted\\n')\n")
    config = {
        "name": "pipe",
        "source": {"name": "mine", "stream": "items", "source_file_path": "source.py", "key": "a key"},
        "transforms": [{"label": "note", "python": f"open({str(ran)!r}, 'a').write('transform\\n')"}],
        "destination": {"name": "file", "config": {"destination_id": "out"}},
    }
    (pipe / "config.yml").write_text(yaml.safe_dump(config))
    return tmp_path


def executed(folder: Path, *words: str, expect: int = 0) -> set[str]:
    """The code that the installed command ran, started in the working directory."""
    command = [str(Path(sys.executable).with_name("bizon")), *words]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder / "work", env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == expect, done.stderr
    ran = folder / "pipe" / "ran.txt"
    return set(ran.read_text().split()) if ran.exists() else set()


def test_status_executes_nothing(folder: Path) -> None:
    assert executed(folder, "status", "../pipe/config.yml") == set()


@pytest.mark.parametrize("words", [("config", "validate"), ("stream", "reset")])
def test_validate_and_reset_load_the_source_class_and_create_no_instance(folder: Path, words: tuple[str, ...]) -> None:
    assert executed(folder, *words, "../pipe/config.yml") == LOADING


def test_a_run_executes_all_of_it(folder: Path) -> None:
    assert executed(folder, "run", "../pipe/config.yml") == LOADING | RUNNING


def test_a_custom_source_is_imported_to_list_its_streams(folder: Path) -> None:
    found = executed(folder, "stream", "list", "mine", "--custom-source", "../pipe/source.py")
    assert found == {"import", "helper", "streams"}


@pytest.mark.parametrize("words", [("source", "list"), ("destination", "list"), ("config", "schema")])
def test_the_lists_execute_nothing_of_a_folder(folder: Path, words: tuple[str, ...]) -> None:
    assert executed(folder, *words) == set()


def test_a_module_in_the_working_directory_is_not_found(folder: Path) -> None:
    source = folder / "pipe" / "source.py"
    source.write_text(source.read_text().replace("import helper", "import helper, planted"))
    assert executed(folder, "config", "validate", "../pipe/config.yml", expect=2) == {"import", "helper"}
