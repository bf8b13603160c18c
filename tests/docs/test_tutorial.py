"""The tutorial, from its own page: the files are saved, and the commands run in one shell, in order."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from ports import free_port

PAGE = (Path(__file__).parents[2] / "docs/tutorial.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
FILE = re.compile(r"`(\w+\.(?:py|yml))`")
PORT = "8765"
PATIENCE = 600  # seconds
MARK = "== block "


class Block(NamedTuple):
    """A block of the page. ``file``: the name under which a reader saves it."""

    kind: str
    text: str
    file: str | None


def blocks() -> list[Block]:
    found = []
    for each in BLOCK.finditer(PAGE):
        kind, text = each.groups()
        is_file = kind in ("python", "yaml")
        found.append(Block(kind, text, FILE.findall(PAGE[: each.start()])[-1] if is_file else None))
    return found


def lines_of(text: str) -> list[str]:
    """Lines without the width of columns, which depends on what else is in a table."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


@pytest.fixture
def outputs(tmp_path: Path) -> list[str]:
    """The output of each block of commands."""
    port, script = str(free_port()), ["set -e"]
    for block in blocks():
        text = block.text.replace(PORT, port)
        if block.file:
            (tmp_path / block.file).write_text(text)
        elif block.kind == "bash":
            script += [f"echo '{MARK}'", text]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (tmp_path / "output").open("w+") as output:
        shell = subprocess.Popen(
            ["bash", "-c", "\n".join(script)],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = shell.wait(PATIENCE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
    text = (tmp_path / "output").read_text()
    assert code == 0, text
    return text.split(MARK)[1:]


@pytest.mark.timeout(PATIENCE + 60)
def test_the_commands_of_the_tutorial_show_what_the_page_says(outputs: list[str]) -> None:
    shown: list[list[str]] = []
    expected: list[tuple[int, str]] = []
    for block in blocks():
        if block.kind == "bash":
            shown.append(lines_of(outputs[len(shown)]))
        elif block.kind == "text":
            expected += [(len(shown) - 1, line) for line in lines_of(block.text)]
    assert expected
    missing = [line for number, line in expected if not any(each.startswith(line) for each in shown[number])]
    assert missing == [], "\n".join(outputs)


def test_the_files_of_the_tutorial_have_the_names_that_its_commands_use() -> None:
    assert {block.kind for block in blocks()} == {"python", "yaml", "bash", "text"}
    assert [block.file for block in blocks() if block.file] == ["shop_api.py", "shop.yml", "visits.yml"]
