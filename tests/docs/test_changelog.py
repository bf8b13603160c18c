"""The changelog fits the version of the project."""

import re
import tomllib

from docs.conftest import ROOT


def test_the_changelog_has_an_unreleased_section_and_the_version_of_the_project():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.search(r"^## \[Unreleased\]$", text, re.MULTILINE)
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", text, re.MULTILINE)
    assert not released or released[0] == version
