"""``bizon preview``: tables for any width, JSON, and errors."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rich.cells import cell_len
from typer.testing import CliRunner

from bizon.cli.main import cli

ROOT = Path(__file__).parents[2]
SECRET = "hunter22-secret"
SOURCE = f"""
from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration, SourceRecord
from bizon.source.source import AbstractSource

ROW = {{
    "text": "a\\nb\\x1b[31mred\\u202eevil",
    "wide": "日本語のとても長いテキストは表の中で切られます",
    "nested": {{"list": [1, {{"deep": None}}]}},
    "note": "the key is {SECRET}",
    "password": "plain",
    **{{f"more{{number}}": number for number in range(9)}},
}}


class Odd(AbstractSource):
    fetches_over_http = False
    pages = 0

    @staticmethod
    def streams():
        return ["rows", "none", "broken"]

    @staticmethod
    def get_config_class():
        return SourceConfig

    def get_authenticator(self):
        return None

    def check_connection(self):
        return True, None

    def get(self, pagination=None):
        page = pagination["page"] if pagination else 0
        if self.config.stream == "broken" or page > 2:
            raise RuntimeError("no page with {SECRET}")
        ids = () if self.config.stream == "none" else (1, 2)
        rows = [SourceRecord(f"{{page}}-{{number}}", {{"id": number, **ROW}}) for number in ids]
        return SourceIteration(records=rows, next_pagination={{"page": page + 1}} if rows else {{}})
"""


@pytest.fixture
def odd(tmp_path):
    """A pipeline whose records are hard to show; it fails on the fourth page."""
    (tmp_path / "odd.py").write_text(SOURCE, encoding="utf-8")
    source = {"name": "odd", "stream": "rows", "source_file_path": "odd.py", "sync_mode": "full_refresh"}
    source["authentication"] = {"type": "api_key", "params": {"token": SECRET}}
    (tmp_path / "odd.yml").write_text(
        yaml.safe_dump({"name": "p", "source": source, "destination": {"name": "logger"}})
    )
    return tmp_path / "odd.yml"


def preview(*arguments: object, width: int = 80):
    return CliRunner().invoke(cli, ["preview", *map(str, arguments)], env={"COLUMNS": str(width)})


@pytest.mark.parametrize("width", [80, 40])
def test_no_line_is_wider_than_the_terminal_and_columns_left_out_are_counted(odd, width):
    done = preview(odd, "-n", 3, width=width)
    assert done.exit_code == 0, done.stderr
    table, columns = done.stdout.split("\n\n")[1:]
    assert max(map(cell_len, done.stdout.splitlines())) <= width
    shown = len(re.split(r"\s{2,}", table.splitlines()[0].strip()))
    assert table.splitlines()[-1] == f"+{15 - shown} columns"
    assert len(table.splitlines()) == 1 + 3 + 1
    assert len(columns.splitlines()) == 1 + 15


def test_wide_characters_keep_the_columns_aligned(odd):
    lines = preview(odd, "-n", 2, width=200).stdout.split("\n\n")[1].splitlines()
    places = {
        cell_len(line[: line.index(word)]) for line, word in zip(lines, ["nested", '{"list', '{"list'], strict=False)
    }
    assert len(places) == 1


def test_control_characters_are_visible_and_move_nothing(odd):
    done = preview(odd, "-n", 1, width=200)
    assert r"a\nb\x1b[31mred\u202eev" in done.stdout
    assert "\x1b" not in done.stdout


def test_secrets_are_masked_in_tables_and_json(odd):
    for arguments in ([], ["--json"]):
        done = preview(odd, "-n", 1, *arguments, width=400)
        assert SECRET not in done.output
        assert "plain" not in done.output


def test_pages_are_fetched_until_there_are_enough_records(odd):
    assert "rows: 5 records" in preview(odd, "-n", 5).stdout


def test_json_is_one_document_with_records_and_columns(odd):
    document = json.loads(preview(odd, "-n", 2, "--json").stdout)
    assert [record["id"] for record in document["records"]] == [1, 2]
    assert document["columns"][0] == {"name": "id", "type": "integer", "nulls": 0.0}
    assert document["stream"] == "odd.rows"


def test_transforms_apply(odd):
    config = yaml.safe_load(odd.read_text())
    config["transforms"] = [{"label": "only id", "python": "data = {'only': data['id'] * 10}"}]
    odd.write_text(yaml.safe_dump(config))
    assert json.loads(preview(odd, "-n", 1, "--json").stdout)["records"] == [{"only": 10}]


def test_a_stream_without_records_says_so(odd):
    assert preview(odd, "--stream", "none").stdout == "odd.none: 0 records, 0 columns\n"


def test_a_broken_source_is_one_line_without_secrets(odd):
    done = preview(odd, "--stream", "broken")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr == "Error: stream 'odd.broken', iteration 0: RuntimeError: no page with **********\n"


def test_a_stream_that_does_not_exist_is_a_mistake_of_the_configuration(odd):
    done = preview(odd, "--stream", "row")
    assert done.exit_code == 2
    assert "did you mean 'rows'?" in done.stderr


def test_nothing_is_written(odd):
    before = sorted(odd.parent.iterdir())
    preview(odd)
    assert [path for path in sorted(odd.parent.iterdir()) if path.name != "__pycache__"] == before


def test_the_quickstart_on_a_terminal(tmp_path):
    """A real pseudo-terminal of 40 columns: bold heads, and no line that wraps."""
    reader, terminal = pty.openpty()
    os.set_blocking(reader, True)
    command = [sys.executable, "-m", "bizon", "preview", str(ROOT / "examples/quickstart.yml"), "-n", "2"]
    variables = {**os.environ, "COLUMNS": "40", "TERM": "xterm"}
    done = subprocess.run(
        command, cwd=tmp_path, env=variables, stdout=terminal, stderr=terminal, timeout=60, check=False
    )
    os.close(terminal)
    text = b""
    while True:
        try:
            read = os.read(reader, 65536)
        except OSError:  # the other end is closed
            break
        if not read:
            break
        text += read
    os.close(reader)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text.decode()).replace("\r\n", "\n")
    assert done.returncode == 0, plain
    assert b"\x1b[1m" in text
    assert [line.split() for line in plain.splitlines()[2:5]] == [
        ["id", "name", "age"],
        ["9898", "bizon", "26"],
        ["88787", "croco", "23"],
    ]
    assert max(map(cell_len, plain.splitlines())) <= 40
