"""The commands that only print, and the few modules they load."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import bizon as package
from bizon.common.errors.errors import ConfigError

if TYPE_CHECKING:
    from conftest import Bizon

CUSTOM = """
from bizon.source.source import AbstractSource
from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration

class Mine(AbstractSource):
    @staticmethod
    def streams(): return ["one", "two"]
    @staticmethod
    def get_config_class(): return SourceConfig
    def get_authenticator(self): return None
    def check_connection(self): return True, None
    def get(self, pagination=None): return SourceIteration(records=[], next_pagination={})
"""

HEAVY = ["pydantic", "polars", "sqlalchemy", "requests"]


def modules_after(arguments: list[str]) -> set[str]:
    """The modules that a child process has loaded once the command is done."""
    script = (
        "import sys\nfrom bizon.cli.main import cli\n"
        f"try: cli({arguments!r})\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('loaded:', *sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("loaded:")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert modules_after(arguments).isdisjoint(HEAVY)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["config", "validate", "--help"]])
def test_help_loads_nothing_of_bizon_but_the_command(arguments: list[str]) -> None:
    loaded = modules_after(arguments)  # typer itself may load pydantic for a command
    assert {name for name in loaded if name.startswith("bizon")} == {
        "bizon",
        "bizon.cli",
        "bizon.cli.main",
        "bizon.cli.authors",
        "bizon.cli.options",
    }


@pytest.mark.parametrize("arguments", [["source", "list"], ["stream", "list", "dummy"]])
def test_listing_sources_imports_no_connector(arguments: list[str]) -> None:
    loaded = modules_after(arguments)
    assert loaded.isdisjoint(["polars", "sqlalchemy", "requests"])
    assert not [name for name in loaded if name.startswith("bizon.connectors.")]


def test_validating_loads_no_engine(tmp_path: Path) -> None:
    path = tmp_path / "pipe.yml"
    path.write_text(
        "name: p\ndestination: {name: file}\n"
        "source: {name: dummy, stream: plants, authentication: {type: api_key, params: {token: x}}}\n"
    )
    assert modules_after(["config", "validate", str(path)]).isdisjoint(["polars", "sqlalchemy"])


@pytest.mark.parametrize(
    "arguments",
    [[], ["run"], ["source"], ["source", "list"], ["stream", "list"], ["destination", "list"], ["config", "schema"]],
)
def test_every_command_has_help(bizon: "Bizon", arguments: list[str]) -> None:
    for flag in ("--help", "-h"):
        result = bizon(*arguments, flag)
        assert result.exit_code == 0
        assert result.stdout.startswith("Usage: ")


def test_every_option_of_run_has_help(bizon: "Bizon") -> None:
    options = bizon("run", "--help").stdout.partition("Options:")[2]
    for option in ("--custom-source", "--runner", "--log-level", "--env-file", "--result-json"):
        assert f"  {option} " in options
    assert "<thread|process|stream>" in options
    assert "Overrides" in options


def test_the_version_is_the_version_of_the_package(bizon: "Bizon") -> None:
    assert bizon("--version").stdout == f"bizon {package.__version__}\n"


def test_python_m_bizon_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "bizon", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: bizon ")


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["run", "nowhere.yml"], 2)])
def test_at_its_end_the_command_runs_what_is_registered_and_removes_no_objects(arguments: list[str], code: int) -> None:
    """Searching all imported modules for garbage took a quarter of a short run, their removal another fortieth."""
    script = (
        "import atexit\nfrom bizon.__main__ import main\n"
        "class Kept:\n    def __del__(self): print('removed')\n"
        "kept = Kept()\nimport bizon.cli.main\ncommand = bizon.cli.main.cli\n"
        "bizon.cli.main.cli = lambda **names: (atexit.register(print, 'registered'), command(**names))\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert done.stdout.endswith("registered\n")
    assert "removed" not in done.stdout


def test_source_list_names_sources_and_streams(bizon: "Bizon") -> None:
    lines = bizon("source", "list").stdout.splitlines()
    assert lines[0] == "Available sources:"
    assert "dummy - [creatures, plants]" in lines


def test_stream_list_says_what_supports_incremental(bizon: "Bizon") -> None:
    assert bizon("stream", "list", "dummy").stdout.splitlines() == [
        "Available streams for dummy:",
        "[Full refresh only] - creatures",
        "[Full refresh only] - plants",
    ]


def test_stream_list_reads_a_custom_source(bizon: "Bizon", tmp_path: Path) -> None:
    body = "\n    def get_records_after(self, source_state, pagination=None): return self.get(pagination)\n"
    (tmp_path / "mine.py").write_text(CUSTOM + body)
    assert bizon("stream", "list", "mine", "--custom-source", "mine.py").stdout.splitlines() == [
        "Available streams for mine:",
        "[Supports incremental] - one",
        "[Supports incremental] - two",
    ]


@pytest.mark.lesson("F-26")
def test_stream_list_of_an_unknown_source_fails_and_names_the_nearest(bizon: "Bizon") -> None:
    """It used to print a line and to exit 0."""
    result = bizon("stream", "list", "dumy")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "there is no source 'dumy'; did you mean 'dummy'?" in result.stderr


def test_destination_list_describes_each_in_a_line(bizon: "Bizon") -> None:
    first, *lines = bizon("destination", "list").stdout.splitlines()
    assert first == "Available destinations:"
    assert {line.split(" - ")[0] for line in lines} >= {"logger", "file"}
    assert all(line.split(" - ", 1)[1] and "NOT AVAILABLE" not in line for line in lines)


def test_a_destination_whose_packages_are_missing_names_them(bizon: "Bizon", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bizon.connectors.destinations.file.src.destination", None)
    line = next(line for line in bizon("destination", "list").stdout.splitlines() if line.startswith("file - "))
    assert "(NOT AVAILABLE: install " in line


def test_the_schema_is_json(bizon: "Bizon") -> None:
    assert json.loads(bizon("config", "schema").stdout)["title"] == "bizon pipeline"


def test_a_reader_that_leaves_is_not_an_error() -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "bizon", "config", "schema"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.close()
    _, errors = child.communicate(timeout=60)
    assert (child.returncode, errors) == (0, b"")


def test_public_names_exist_and_are_loaded_on_demand() -> None:
    assert package.ConfigError is ConfigError
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = package.nonsense
    done = subprocess.run(
        [sys.executable, "-c", "import bizon, sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()).isdisjoint(HEAVY)


@pytest.mark.parametrize("given", [None, "muzzy_decay_ms:7"])
def test_polars_knows_when_to_return_memory_before_it_is_imported(tmp_path: Path, given: str | None) -> None:
    """Polars adds the variable to its own settings when it is imported, and the last one counts."""
    (tmp_path / "told.py").write_text(
        "import os\n"
        "import bizon.__main__ as command\n"
        "leave = os._exit\n"
        "os._exit = lambda code: (print(os.environ['_RJEM_MALLOC_CONF'], flush=True), leave(code))\n"
        "command.main()\n"
    )
    (tmp_path / "config.yml").write_text(
        "{name: p, source: {name: dummy, stream: creatures, "
        "authentication: {type: api_key, params: {token: t}}}, destination: {name: logger}}"
    )
    variables = {name: value for name, value in os.environ.items() if name != "_RJEM_MALLOC_CONF"}
    if given is not None:
        variables["_RJEM_MALLOC_CONF"] = given
    command = [sys.executable, "told.py", "run", "config.yml"]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True)
    (settings,) = [line for line in done.stdout.splitlines() if "decay_ms" in line]
    assert settings.startswith("dirty_decay_ms:500")
    assert settings.endswith(given or "dirty_decay_ms:100,muzzy_decay_ms:0")
