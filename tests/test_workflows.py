"""The workflows run only pinned actions, with the permissions that they need; CI also runs zizmor."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
MAY_WRITE = {"publish.yml": {("publish", "id-token"), ("release", "contents")}}


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
class TestWorkflow:
    def test_actions_are_pinned_by_hash_and_name_their_version(self, path: Path) -> None:
        used = re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))
        assert used
        assert [each for each in used if not PINNED.match(each)] == []

    def test_images_are_pinned_by_digest(self, path: Path) -> None:
        images = re.findall(r"image: (.+)", path.read_text(encoding="utf-8"))
        assert [each for each in images if not re.search(r"@sha256:[0-9a-f]{64}$", each)] == []

    def test_tools_are_pinned_by_version(self, path: Path) -> None:
        tools = re.findall(r"pipx run (.+)", path.read_text(encoding="utf-8"))
        assert [each for each in tools if not re.match(r"--spec [\w-]+==[\d.]+ ", each)] == []

    def test_permissions_are_given_job_by_job_and_only_a_release_writes(self, path: Path) -> None:
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["permissions"] == {}
        rights = {(name, scope): kind for name, job in jobs(path).items() for scope, kind in job["permissions"].items()}
        assert {each for each, kind in rights.items() if kind != "read"} == MAY_WRITE.get(path.name, set())

    def test_a_clone_keeps_no_token_and_a_job_has_an_end(self, path: Path) -> None:
        for job in jobs(path).values():
            assert job["timeout-minutes"] <= 45
            for step in job["steps"]:
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False


def test_a_release_waits_for_each_check_that_ci_has() -> None:
    """The release counts successful jobs by their names in CI."""
    checks = jobs(ROOT / ".github" / "workflows" / "ci.yml")["checks"]
    text = (ROOT / ".github" / "workflows" / "publish.yml").read_text(encoding="utf-8")
    assert checks["name"].split("$")[0].strip() == re.search(r'startswith\("(.+?)"\)', text)[1]  # type: ignore[index]
    assert len(checks["strategy"]["matrix"]["python"]) == int(re.search(r"-lt (\d+)", text)[1])  # type: ignore[index]
