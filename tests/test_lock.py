"""requirements.lock: the packages that `make` installs, from any index."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PINNED = re.findall(r"^([\w.-]+)==([^\s;]+)", LOCK, re.MULTILINE)
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def declared() -> list[str]:
    """Dependencies, extras and groups of pyproject.toml. Extra `ray` is too large for every environment."""
    extras = (texts for extra, texts in PROJECT["project"]["optional-dependencies"].items() if extra != "ray")
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


def test_the_lock_names_no_index() -> None:
    assert "//" not in LOCK
    assert "index-url" not in LOCK


def test_every_locked_package_has_a_hash() -> None:
    blocks = re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(PINNED) > 40
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []
