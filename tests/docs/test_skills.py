"""Every skill is well formed, and every command that it prints is accepted by the command line, or works when run."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import typer
import yaml
from docs.conftest import ROOT, Page

from bizon.cli.main import cli

SKILLS = sorted((ROOT / ".claude/skills").iterdir())
MOST_LINES = 200
MOST_CHARACTERS = 1024  # of a description
FRONTMATTER = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)


def frontmatter(folder: Path) -> dict[str, str]:
    found = FRONTMATTER.match((folder / "SKILL.md").read_text(encoding="utf-8"))
    assert found is not None
    return yaml.safe_load(found[1])


def commands_of(folder: Path) -> list[list[str]]:
    blocks = Page(folder / "SKILL.md").blocks("bash")
    lines = [line for block in blocks for line in block.splitlines()]
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


BIZON = [words for folder in SKILLS for words in commands_of(folder) if words[0] == "bizon"]
NEW_SOURCE = [words for words in commands_of(ROOT / ".claude/skills/new-source") if words[0] == "bizon"]


@pytest.mark.parametrize("folder", SKILLS, ids=lambda folder: folder.name)
def test_a_skill_is_a_folder_whose_head_says_what_and_when(folder):
    head = frontmatter(folder)
    assert set(head) == {"name", "description"}
    assert head["name"] == folder.name
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,63}", head["name"])
    assert re.search(r"\. Use (when|before|after) ", head["description"])
    assert len(head["description"]) <= MOST_CHARACTERS


@pytest.mark.parametrize("folder", SKILLS, ids=lambda folder: folder.name)
def test_a_skill_is_short_and_consists_of_steps(folder):
    text = (folder / "SKILL.md").read_text(encoding="utf-8")
    assert text.count("\n") < MOST_LINES
    assert re.search(r"^## ", text, re.MULTILINE)
    assert commands_of(folder)


@pytest.mark.parametrize("words", BIZON, ids=" ".join)
def test_the_command_line_accepts_a_command_with_its_arguments(words, tmp_path):
    for name in ("acme.example.yml", "config.yml"):
        (tmp_path / name).touch()
    for name in ("recording", "connectors"):
        (tmp_path / name).mkdir()
    command, context = typer.main.get_command(cli), None
    arguments = words[1:]
    name = "bizon"
    while True:
        context = command.make_context(name, arguments, parent=context)
        if not hasattr(command, "resolve_command"):
            return
        name, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])


@pytest.fixture
def stand_in(run_cli, tmp_path, monkeypatch) -> Iterator[None]:
    """The first source that the skill creates, and the server of its test with its variables set."""
    first = next(words for words in NEW_SOURCE if words[1:3] == ["source", "new"])
    assert run_cli(*first[1:]).returncode == 0
    with subprocess.Popen([sys.executable, "test_acme.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            for _ in ("URL", "TOKEN"):
                _, assignment = server.stdout.readline().split()
                monkeypatch.setenv(*assignment.split("=", 1))
            yield
        finally:
            server.terminate()


def test_the_commands_of_the_new_source_skill_work_in_its_order(run_cli, stand_in, tmp_path):
    """All but those that create another source, and the one for a source in the tree."""
    done: set[tuple[str, ...]] = set()
    for words in (words for words in commands_of(ROOT / ".claude/skills/new-source") if words[0] in ("bizon", "curl")):
        if words[0] == "curl":
            requests.post(words[-1].replace("$ACME_URL", os.environ["ACME_URL"]), timeout=10).raise_for_status()
            done.clear()  # the run after it is another one
            continue
        if words[1:3] == ["source", "new"] or words[1:3] == ["stream", "list"] or tuple(words) in done:
            continue
        done.add(tuple(words))
        outcome = run_cli(*words[1:])
        assert outcome.returncode == 0, f"{' '.join(words)}\n{outcome.stdout}\n{outcome.stderr}"
    assert ("bizon", "run", "acme.example.yml") in done
    ids = [json.loads(line)["source_record_id"] for line in (tmp_path / "users.json").read_text().splitlines()]
    assert ids == ["1", "2", "3", "4", "5", "3"]
