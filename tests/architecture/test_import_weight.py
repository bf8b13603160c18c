"""The modules that a command loads and the packages that a bare install brings along."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SERVERS = {"google", "confluent_kafka", "pika"}
CONFIG = """\
name: weight
source: {name: dummy, stream: creatures, authentication: {type: api_key, params: {token: x}}}
destination: {name: file, config: {destination_id: out}}
engine: {backend: {type: sqlite, config: {database: state}}}
"""


def loaded_by(*arguments: str) -> set[str]:
    """Every module that Python loads while the CLI runs with these arguments, by its full name."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bizon", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    modules = set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", done.stderr, re.MULTILINE))
    assert "bizon.cli.main" in modules, "importtime reported nothing about bizon"
    return modules


def among(modules: set[str], packages: set[str]) -> set[str]:
    return {package for package in packages if any(f"{name}.".startswith(f"{package}.") for name in modules)}


def test_help_loads_nothing_heavy() -> None:
    assert among(loaded_by("--help"), {"pydantic", "polars", "sqlalchemy", "requests", *SERVERS}) == set()


@pytest.mark.parametrize("command", ["run", "config validate", "stream list"])
def test_help_of_a_command_loads_nothing_of_the_engine(command: str) -> None:
    # pydantic is not on the list: typer takes it for the parameters of a command
    modules = loaded_by(*command.split(), "--help")
    assert among(modules, {"bizon.common.models", "polars", "sqlalchemy", "requests", *SERVERS}) == set()


def test_validating_a_config_loads_no_engine(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(CONFIG)
    modules = loaded_by("config", "validate", "config.yml")
    assert among(modules, {"polars", "sqlalchemy", *SERVERS}) == set()
    assert among(modules, {"pydantic", "bizon.common.models"}) == {"pydantic", "bizon.common.models"}


def test_listing_sources_imports_no_connector() -> None:
    assert {name for name in loaded_by("source", "list") if name.startswith("bizon.connectors.")} == set()


def test_listing_streams_imports_no_other_connector() -> None:
    connectors = {name for name in loaded_by("stream", "list", "dummy") if name.startswith("bizon.connectors.sources.")}
    assert {name for name in connectors if not name.startswith("bizon.connectors.sources.dummy")} == set()


def beyond(imports: str, *arguments: str) -> set[str]:
    """Modules that a command loads beyond ``imports``, without pydantic, which loads its parts on demand."""
    script = f"import sys, {imports}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name for name in loaded_by(*arguments) if name.partition(".")[0] not in ("pydantic", "annotated_types")}
    return loaded - set(done.stdout.split())


def test_listing_sources_loads_little_more_than_typer() -> None:
    """It took 3.4 times as long as to import typer: typer and the message of an error each loaded pydantic."""
    modules = loaded_by("source", "list")
    assert among(modules, {"pydantic", "yaml", "loguru", "rich", "polars", "sqlalchemy", "requests"}) == set()
    ours = {name for name in modules if name.startswith("bizon.")}
    assert len(ours) <= 19, ours
    assert len(beyond("typer", "source", "list") - ours) <= 64  # most of them are importlib.metadata's, for plug-ins


def test_a_small_run_loads_little_more_than_its_libraries(tmp_path: Path) -> None:
    """Seconds say nothing on a busy machine; the modules beyond polars, sqlalchemy, pydantic, requests and typer do."""
    (tmp_path / "config.yml").write_text(CONFIG)
    modules = beyond("polars, sqlalchemy, pydantic, requests, typer", "run", "config.yml")
    unneeded = {
        "rich",
        "asyncio",
        "pika",
        "psycopg",
        "bizon.cli.commands.listing",
        "bizon.cli.commands.state",
        *SERVERS,
    }
    assert among(modules, unneeded) == set()
    ours = {name for name in modules if name.startswith("bizon.")}
    assert len(ours) <= 200, sorted(ours)
    foreign = modules - ours
    assert len(foreign) <= 95, sorted(foreign)


def test_the_blocks_of_a_configuration_are_compiled_with_the_file_they_are_in() -> None:
    """Each by itself as well took a tenth of a small run."""
    script = "from bizon.common.models import BizonConfig as c; from bizon.config.strict import StrictModel as s\n"
    script += "print(*(m.__name__ for m in s.__subclasses__() if m.__pydantic_complete__))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def requirements_of(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    """The requirements of an installed package with these extras, on this machine."""
    for requirement in map(Requirement, requires(name) or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def bare_install() -> set[str]:
    """The packages that ``pip install bizon`` brings, by the metadata of what is installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = [Requirement(text) for text in project["dependencies"]]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        entry = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if entry not in seen:
            seen.add(entry)
            waiting += requirements_of(*entry)
    return {name for name, _ in seen}


def test_a_bare_install_has_no_package_of_google_kafka_amqp_arrow_or_postgres() -> None:
    packages = bare_install()
    assert {"pydantic-core", "urllib3"} <= packages, "the walk stops before it gets anywhere"
    unwanted = re.compile(r"google|grpc|proto|kafka|pika|amqp|arrow|psycopg|pandas|numpy")
    assert {name for name in packages if unwanted.search(name)} == set()
