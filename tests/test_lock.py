"""The locks of the packages that `make` installs: pinned by hash, and from any index."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
EMULATOR, SERVERS, NODE = (ROOT / "tests" / name for name in ("emulator", "postgres_versions", "npm_servers"))
LOCKS = {
    name: path.read_text(encoding="utf-8")
    for name, path in {"all": ROOT / "requirements.lock", "emulator": EMULATOR / "requirements.lock"}.items()
}
PINNED = re.findall(r"^([\w.-]+)==([^\s;]+)", LOCKS["all"], re.MULTILINE)
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def declared() -> list[str]:
    """Dependencies, extras and groups of pyproject.toml."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    groups = PROJECT["dependency-groups"].values()
    texts = [*PROJECT["project"]["dependencies"], *(text for part in (*extras, *groups) for text in part)]
    return [text for text in texts if isinstance(text, str)]  # other entries include a group


@pytest.mark.parametrize("text", declared())
def test_every_requirement_of_pyproject_is_locked(text: str) -> None:
    requirement = Requirement(text)
    if canonicalize_name(requirement.name) == "bizon":
        return  # an extra that consists of other extras
    versions = [Version(version) for name, version in PINNED if name == canonicalize_name(requirement.name)]
    assert versions, f"{requirement.name} is not in requirements.lock: run `make lock`"
    assert all(version in requirement.specifier for version in versions), f"{text}, locked {versions}: run `make lock`"


def test_every_package_of_the_emulator_is_locked() -> None:
    lines = (EMULATOR / "requirements.in").read_text(encoding="utf-8").splitlines()
    asked = [line for line in lines if line and not line.startswith("#")]
    assert len(asked) > 5
    assert [line for line in asked if f"\n{line} " not in f"\n{LOCKS['emulator']}"] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index(lock: str) -> None:
    assert "//" not in LOCKS[lock]
    assert "index-url" not in LOCKS[lock]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash(lock: str) -> None:
    packages = re.split(r"^(?=[^\s#])", LOCKS[lock], flags=re.MULTILINE)[1:]
    assert len(packages) > 40
    pinned = re.compile(r"[\w.-]+==\S+.*--hash=sha256:[0-9a-f]{64}", re.DOTALL)
    assert [package.split()[0] for package in packages if not pinned.match(package)] == []


def test_every_postgres_server_has_a_version_and_a_hash() -> None:
    """npm installs a package without a hash, and says nothing."""
    locked: dict[str, Any] = json.loads((SERVERS / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    asked = json.loads((SERVERS / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert locked.pop("")["dependencies"] == asked
    assert {f"node_modules/{name}" for name in asked} == locked.keys()
    for name, wanted in asked.items():
        package = locked[f"node_modules/{name}"]
        assert wanted == f"npm:{package['name']}@{package['version']}"
        assert package["integrity"].startswith("sha512-")


def test_every_package_of_a_server_in_node_has_a_version_and_a_hash() -> None:
    locked: dict[str, Any] = json.loads((NODE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    asked = json.loads((NODE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert locked.pop("")["dependencies"] == asked
    assert {name: locked[f"node_modules/{name}"]["version"] for name in asked} == asked
    assert len(locked) > 300
    assert [name for name, package in locked.items() if not package["integrity"].startswith("sha512-")] == []
    assert [name for name, package in locked.items() if "resolved" in package] == [], "it is from any registry"


@pytest.mark.parametrize("folder", [SERVERS, NODE], ids=lambda folder: folder.name)
def test_no_script_of_a_package_of_npm_runs(folder: Path) -> None:
    assert "ignore-scripts=true" in (folder / ".npmrc").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("lock", ["requirements.lock", "tests/emulator/requirements.lock"])
def test_make_installs_a_lock_by_its_hashes(lock: str) -> None:
    installing = re.findall(r"pip (?:sync|install) .*", (ROOT / "Makefile").read_text(encoding="utf-8"))
    of_the_lock = [line for line in installing if lock in line.split()]
    assert of_the_lock
    assert all(f"--require-hashes {lock}" in line for line in of_the_lock)
