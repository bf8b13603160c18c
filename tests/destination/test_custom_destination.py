"""``destination: {name: custom}``: a class in a user's file, as sources have had it."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from bizon.cli.main import cli
from bizon.common.errors.errors import ConfigError
from bizon.engine.engine import RunnerFactory, load_config

FILE = """\
import json

from pydantic import Field

from bizon.common.secret import SecretText
from bizon.destination.config import AbstractDestinationDetailsConfig
from bizon.destination.destination import AbstractDestination

import helper


class NotesConfig(AbstractDestinationDetailsConfig):
    place: str = Field(description="File.")
    password: SecretText = Field(default="", description="Not used.")


class Notes(AbstractDestination):
    @staticmethod
    def get_config_class():
        return NotesConfig

    def check_connection(self):
        return True

    def write_records(self, df_destination_records):
        with open(self.config.place, "a") as file:
            file.write("".join(json.loads(each)["name"] + helper.END for each in df_destination_records["source_data"]))
        return True, None
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Writes a pipeline whose destination is in ``notes.py`` of the same folder; returns its path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.py").write_text(FILE)
    (tmp_path / "helper.py").write_text('END = "\\n"\n')

    def write(runner: str = "thread", **details: object) -> Path:
        settings = {"destination_file_path": "notes.py", "place": str(tmp_path / "notes.txt"), **details}
        data = {
            "name": "custom notes",
            "source": {
                "name": "dummy",
                "stream": "creatures",
                "authentication": {"type": "api_key", "params": {"token": "x"}},
            },
            "destination": {"name": "custom", "config": {k: v for k, v in settings.items() if v is not None}},
            "engine": {
                "backend": {"type": "sqlite", "config": {"database": "state"}},
                "runner": {"type": runner},
            },
        }
        file = tmp_path / "c.yml"
        file.write_text(yaml.safe_dump(data, sort_keys=False))
        return file

    return write


@pytest.mark.parametrize("runner", ["thread", "process"])
def test_a_pipeline_writes_to_the_class_in_the_file(config, tmp_path, runner):
    assert RunnerFactory.create_from_yaml(config(runner)).run().is_success
    assert (tmp_path / "notes.txt").read_text().split() == ["bizon", "croco", "froggy", "turtle", "poulpo"]


def test_the_file_is_looked_for_next_to_the_configuration(config, tmp_path, monkeypatch):
    file = config()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_config(file).config.destination.config.destination_file_path == str(tmp_path / "notes.py")


@pytest.mark.parametrize(("alias", "shown"), [(None, "notes"), ("my notes", "my notes")])
def test_answers_call_it_by_its_file_or_its_alias(config, tmp_path, alias, shown):
    """They all called it `custom`."""
    (tmp_path / "notes_destination.py").write_text(FILE)
    file = config(destination_file_path="notes_destination.py", destination_id="rows")
    if alias:
        file.write_text(file.read_text().replace("name: custom\n", f"name: custom\n  alias: {alias}\n"))

    def said(*words: str) -> str:
        return CliRunner().invoke(cli, [*words, str(file)]).output

    assert f"-> {shown}, sync mode" in said("config", "validate")
    assert f"destination  {shown} rows\n" in said("check")
    assert f"destination '{shown}' has no table to show: Notes does not override `reading`" in said("show")
    assert f"destination '{shown}' infers no columns here" in said("schema", "diff")


def test_a_run_that_it_refuses_calls_it_by_its_file(config, tmp_path):
    (tmp_path / "closed_destination.py").write_text(FILE.replace("return True\n", "return False\n"))
    done = CliRunner().invoke(cli, ["run", str(config(destination_file_path="closed_destination.py"))])
    assert "check_connection of destination 'closed' failed" in done.output


def test_its_own_secrets_are_known(config):
    loaded = load_config(config(password="hush-hush"))
    assert "hush-hush" in loaded.secrets
    assert "hush-hush" not in repr(loaded.config)


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ({"place": None}, "destination.config.place: required key is missing"),
        ({"plase": "x"}, "destination.config.plase: unknown key"),
        ({"buffer_size": -1}, "destination.config.buffer_size: must be at least 0"),
        ({"destination_file_path": None}, "destination.config.destination_file_path: required key is missing"),
        ({"destination_file_path": "nope.py"}, "custom destination nope.py does not exist"),
        ({"destination_file_path": "helper.py"}, "no class in it extends bizon.destination.destination"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_key(config, details, message):
    with pytest.raises(ConfigError) as error:
        load_config(config(**details))
    (line,) = str(error.value).splitlines()
    assert line.startswith("c.yml:") or "/c.yml:" in line
    assert message.replace("nope.py", str(Path.cwd() / "nope.py")) in line


def test_an_error_in_the_file_names_its_line(config, tmp_path):
    (tmp_path / "helper.py").write_text("1 / 0\n")
    done = CliRunner().invoke(cli, ["config", "validate", str(config())])
    assert done.exit_code == 2
    assert "notes.py:9: ZeroDivisionError: division by zero" in done.output


def test_the_key_belongs_to_custom_destinations_alone(config, tmp_path):
    file = config()
    file.write_text(file.read_text().replace("name: custom\n", "name: file\n").replace("place:", "destination_id:"))
    with pytest.raises(ConfigError, match="`destination_file_path` is for `name: custom` only"):
        load_config(file)


def test_several_destinations_in_a_file_are_refused(config, tmp_path):
    twice = FILE + "\n\n" + FILE[FILE.index("class Notes(") :].replace("class Notes(", "class Others(")
    (tmp_path / "notes.py").write_text(twice)
    with pytest.raises(ConfigError, match="defines several destinations, Notes, Others: put each into a file"):
        load_config(config())
