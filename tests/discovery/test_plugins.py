"""Connectors of other packages: found by the metadata of what is installed, imported when they are used."""

import sys
from pathlib import Path

import pytest
import yaml

from bizon.cli.commands.listing import print_destinations, print_sources
from bizon.common.errors.errors import ConfigError
from bizon.discovery.plugins import DESTINATIONS, SOURCES, plugins
from bizon.engine.engine import RunnerFactory
from bizon.source.discover import load_source, streams_of

SOURCE = """\
from bizon.connectors.sources.dummy.src.source import DummySource


class {name}(DummySource):
    @staticmethod
    def streams():
        return ["{stream}"]

    def get(self, pagination=None):
        page = super().get(pagination)
        return page
"""
DESTINATION = """\
import json
from pathlib import Path

from pydantic import Field

from bizon.destination.config import AbstractDestinationDetailsConfig
from bizon.destination.destination import AbstractDestination


class NotesConfig(AbstractDestinationDetailsConfig):
    folder: str = Field(description="Where the notes go.")


class NotesDestination(AbstractDestination):
    @staticmethod
    def get_config_class():
        return NotesConfig

    def check_connection(self):
        return True

    def write_records(self, df_destination_records):
        lines = [json.loads(each)["name"] for each in df_destination_records["source_data"]]
        with open(Path(self.config.folder) / "notes.txt", "a") as file:
            file.write("".join(line + "\\n" for line in lines))
        return True, None
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a package with entry points on the path."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))

    def _install(package: str, entries: dict[str, dict[str, str]], **modules: str) -> None:
        folder = site / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        for name, text in modules.items():
            (folder / f"{name}.py").write_text(text)
        info = site / f"{package}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        groups = (f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in each.items()) for group, each in entries.items())
        (info / "entry_points.txt").write_text("\n".join(groups))
        monkeypatch.setitem(sys.modules, package, None)
        del sys.modules[package]

    return _install


def pipeline(tmp_path: Path, **blocks: object) -> dict[str, object]:
    source = {"name": "dummy", "stream": "creatures", "authentication": {"type": "api_key", "params": {"token": "x"}}}
    return {
        "name": "plugged",
        "source": source,
        "destination": {"name": "file", "config": {"destination_id": str(tmp_path / "out")}},
        "engine": {"backend": {"type": "sqlite_in_memory"}},
        **blocks,
    }


def test_a_plugin_is_listed_without_an_import(install, capsys):
    install(
        "acme_zoo", {SOURCES: {"zoo": "acme_zoo.broken:Zoo"}, DESTINATIONS: {"notes": "acme_zoo.broken"}}, broken="1/0"
    )
    print_sources()
    print_destinations()
    said = capsys.readouterr().out
    assert "zoo - plug-in of acme_zoo 1.2, see `bizon stream list zoo`" in said
    assert "notes - plug-in of acme_zoo 1.2" in said
    assert "acme_zoo.broken" not in sys.modules


def test_the_source_of_a_plugin_is_its_class_or_a_class_of_its_module(install):
    install(
        "acme_two",
        {SOURCES: {"zoo": "acme_two.both:Zoo", "park": "acme_two.both"}},
        both=SOURCE.format(name="Zoo", stream="animals")
        + "\n\n"
        + SOURCE.format(name="Park", stream="trees").split("\n\n\n", 1)[1],
    )
    assert streams_of(load_source("zoo")) == ["animals"]
    assert streams_of(load_source("park", "trees")) == ["trees"]
    with pytest.raises(ConfigError, match="source 'park' has no stream 'birds'"):
        load_source("park", "birds")


@pytest.mark.parametrize("runner", ["thread", "process"])
def test_a_pipeline_writes_to_the_destination_of_a_plugin(install, tmp_path, runner, monkeypatch):
    install("acme_notes", {DESTINATIONS: {"notes": "acme_notes.main:NotesDestination"}}, main=DESTINATION)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    destination = {"name": "notes", "config": {"folder": str(tmp_path)}}
    state = {"backend": {"type": "sqlite", "config": {"database": str(tmp_path / "s")}}, "runner": {"type": runner}}
    runner = RunnerFactory.create_from_config_dict(pipeline(tmp_path, destination=destination, engine=state))
    assert runner.bizon_config.destination.alias == "notes"
    assert runner.run().is_success
    assert (tmp_path / "notes.txt").read_text().split() == ["bizon", "croco", "froggy", "turtle", "poulpo"]


def test_the_keys_of_a_plugin_are_checked(install, tmp_path):
    install("acme_keys", {DESTINATIONS: {"notes": "acme_keys.main:NotesDestination"}}, main=DESTINATION)
    file = tmp_path / "c.yml"
    file.write_text(yaml.safe_dump(pipeline(tmp_path, destination={"name": "notes", "config": {"foldr": "x"}})))
    with pytest.raises(ConfigError) as error:
        RunnerFactory.create_from_yaml(file)
    assert "destination.config.foldr: unknown key" in str(error.value)
    assert "did you mean 'folder'?" in str(error.value)
    assert "destination.config.folder: required key is missing" in str(error.value)


def test_two_packages_with_one_name_are_refused(install):
    install("acme_a", {SOURCES: {"zoo": "acme_a:Zoo"}})
    install("acme_b", {SOURCES: {"zoo": "acme_b:Zoo"}})
    with pytest.raises(ConfigError, match=r"source 'zoo' is announced by acme_a 1\.2 and acme_b 1\.2: uninstall one"):
        load_source("zoo")
    assert len(plugins(SOURCES)) == 2


def test_a_built_in_connector_wins_and_the_list_says_so(install, capsys):
    install("acme_dummy", {SOURCES: {"dummy": "acme_dummy:Zoo"}})
    assert load_source("dummy").__module__.startswith("bizon.")
    print_sources()
    assert "dummy - NOT AVAILABLE: acme_dummy 1.2 has it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("1/0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("import nowhere", "cannot be imported: module nowhere is missing; install it"),
        ("Zoo = 5", "must be a complete class that extends bizon.destination.destination.AbstractDestination"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named_at_the_key(install, tmp_path, module, message):
    install("acme_bad", {DESTINATIONS: {"bad": "acme_bad.main:Zoo"}}, main=module)
    file = tmp_path / "c.yml"
    file.write_text(yaml.safe_dump(pipeline(tmp_path, destination={"name": "bad", "config": {}})))
    with pytest.raises(ConfigError) as error:
        RunnerFactory.create_from_yaml(file)
    assert "destination.name: destination 'bad' of acme_bad 1.2" in str(error.value)
    assert message in str(error.value)


def test_an_unknown_destination_lists_the_plugins_too(install, tmp_path):
    install("acme_notes2", {DESTINATIONS: {"notes": "acme_notes2:N"}})
    with pytest.raises(ConfigError, match=r"unknown value 'note'; allowed: logger.*, custom, notes; did you mean"):
        RunnerFactory.create_from_config_dict(pipeline(tmp_path, destination={"name": "note", "config": {}}))
