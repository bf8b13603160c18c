"""Every mistake in a configuration: exit code 2, one line with file, line, column, key and remedy, no traceback."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Bizon

VALID = """\
name: pipe
source:
  name: dummy
  stream: creatures
  authentication:
    type: api_key
    params:
      token: s3kret-token
transforms:
  - label: keep
    python: data['n'] = 1
destination:
  name: file
  config:
    destination_id: out
engine:
  backend:
    type: sqlite
    config:
      database: state
      syncCursorInDBEvery: 3
  queue:
    type: python_queue
  runner:
    type: thread
    log_level: INFO
"""

# the replaced text, its replacement, and the message after the name of the file
MISTAKES = {
    "key at the top": ("name: pipe\n", "nam: pipe\n", ":1:1: nam: unknown key; allowed: name, id, source, ", "'name'"),
    "key missing at the top": ("name: pipe\n", "", ":1:1: name: required key is missing"),
    "source missing": (VALID[VALID.index("source:") : VALID.index("transforms:")], "", ":1:1: source: required key"),
    "source null": (VALID[VALID.index("  name: dummy") : VALID.index("transforms:")], "", ":2:1: source: expected a"),
    "source key": ("  stream: creatures\n", "  strem: creatures\n", ":4:3: source.strem: unknown key", "'stream'"),
    "source key missing": ("  stream: creatures\n", "", ":2:1: source.stream: required key is missing"),
    "connector key": ("  stream:", "  slep: 1\n  stream:", ":4:3: source.slep: unknown key", "'sleep'"),
    "connector type": ("  stream:", "  sleep: long\n  stream:", ":4:10: source.sleep: expected a number, found a text"),
    "source": ("name: dummy", "name: dumy", ":3:9: source.name: there is no source 'dumy'", "'dummy'"),
    "stream": ("stream: creatures", "stream: creature", "source 'dummy' has no stream 'creature'", "'creatures'"),
    "sync mode": ("  stream:", "  sync_mode: incremenal\n  stream:", ":4:14: source.sync_mode: ", "'incremental'"),
    "no incremental": ("  stream:", "  sync_mode: incremental\n  stream:", "does not support sync_mode incremental"),
    "auth type": ("api_key", "apikey", ":6:11: source.authentication.type: ", "allowed: api_key, oauth", "'api_key'"),
    "auth type of another": ("api_key", "basic", ":6:11: source.authentication.type: unknown value 'basic'; allow"),
    "auth params of another": ("token: s3kret-token", "username: s3kret-token", ":8:7: source.authentication.params.u"),
    "auth params null": ("\n      token: s3kret-token", "", ":7:5: source.authentication.params: expected a mapping"),
    "secret of wrong type": ("s3kret-token", "[s3kret-token]", ":8:14: source.authentication.params.token: expected a"),
    "unset variable": ("s3kret-token", "BIZON_ENV_NOPE", ":8:14: source.authentication.params.token: ", "V_NOPE"),
    "unset inline variable": ("s3kret-token", "x${env://NOPE}", ":8:14: ", "environment variable NOPE is not set"),
    "unknown reference": ("s3kret-token", "x${gsm://NOPE}", ":8:14: ", "unknown reference ${gsm://...}"),
    "transform key": ("label: keep", "lable: keep", ":10:5: transforms[0].lable: unknown key", "'label'"),
    "name too long": ("name: pipe", "name: " + "p" * 101, ":1:7: name: must have at most 100 characters"),
    "id too long": ("name: pipe", "name: pipe\nid: " + "p" * 101, ":2:5: id: must have at most 100 characters"),
    "stream too long": ("stream: creatures", "stream: " + "s" * 101, ":4:11: source.stream: must have at most 100 ch"),
    "transform too deep to read": ("data['n'] = 1", "-" * 100_000 + "1", ":10:5: transforms[0]: ", "nested too deeply"),
    "too deep to compile": ("data['n'] = 1", "data" + ".a" * 100_000, ":10:5: transforms[0]: ", "nested too deeply"),
    "transform code": ("data['n'] = 1", "data[", ":10:5: transforms[0]: `python` of transform 'keep' is not valid"),
    "destination": ("name: file", "name: fil", ":13:9: destination.name: unknown value 'fil'; allowed: ", "'file'"),
    "destination name missing": ("name: file", "alias: file", "destination.name: required key is missing; allowed: l"),
    "destination key": ("config:\n    dest", "confg:\n    dest", ":14:3: destination.confg: unknown key", "'config'"),
    "destination detail": ("destination_id", "destinationid", ":15:5: destination.config.destinationid: ", "_id'?"),
    "one level too high": ("  config:\n    destination_id", "  destination_id", "mean 'config.destination_id'?"),
    "engine null": (VALID[VALID.index("  backend:") :], "", ":16:1: engine: expected a mapping of keys, found nothing"),
    "engine key": ("backend:", "bakend:", ":17:3: engine.bakend: unknown key; allowed: backend, queue, runner", "'b"),
    "backend type": ("type: sqlite", "type: sqlit", ":18:11: engine.backend.type: unknown value 'sqlit'", "'sqlite'?"),
    "backend key": ("CursorInDBEvery", "CursorInDBEverry", ":21:7: engine.backend.config.s", "'syncCursorInDBEvery'"),
    "backend number": ("Every: 3", "Every: 0", ":21:28: engine.backend.config.syncCursorInDBEvery: must be at least 1"),
    "queue type": ("python_queue", "kafk", ":23:11: engine.queue.type: unknown value 'kafk'; allowed: "),
    "runner type": ("type: thread", "type: thred", ":25:11: engine.runner.type: ", "process, stream", "'thread'"),
    "runner key": ("log_level", "loglevel", ":26:5: engine.runner.loglevel: unknown key", "'log_level'"),
    "log level": ("INFO", "INF", ":26:16: engine.runner.log_level: unknown value 'INF'", "'INFO'"),
    "given twice": ("  stream:", "  name: dummy\n  stream:", ":4:3: source.name: given twice, first in line 3"),
    "empty": (VALID, "", ":1:1: the file is empty"),
    "list": (VALID, "- name: pipe\n", ":1:1: a pipeline is a mapping", "this is a list"),
    "syntax": ("name: dummy", "name: [dummy", ":4:", "not valid YAML"),
}  # fmt: skip


@pytest.mark.lesson("F-25", "F-26", "F-27", "F-28")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_clear_line(bizon: "Bizon", tmp_path: Path, mistake: str) -> None:
    """They used to end in tracebacks that showed secrets; misspelt keys were ignored."""
    old, new, *expected = MISTAKES[mistake]
    assert old in VALID
    (tmp_path / "pipe.yml").write_text(VALID.replace(old, new, 1))
    for command in (["config", "validate"], ["run"]):
        result = bizon(*command, "pipe.yml")
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert result.stderr.startswith("Error: pipe.yml:")
        for each in expected:
            assert each in result.stderr
        assert "Traceback" not in result.stderr
        assert "s3kret" not in result.stderr
    assert not (tmp_path / "state.sqlite3").exists()


def test_the_configuration_they_are_made_from_is_valid(bizon: "Bizon", tmp_path: Path) -> None:
    (tmp_path / "pipe.yml").write_text(VALID.replace("name: pipe", f"name: {'p' * 100}\nid: {'q' * 100}"))
    result = bizon("config", "validate", "pipe.yml")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "pipe.yml is valid: dummy.creatures -> file, sync mode full_refresh, runner thread\n"


@pytest.mark.lesson("F-26")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["none.yml"], "none.yml: cannot be read: No such file or directory"),
        (["."], ".: cannot be read: Is a directory"),
        (["pipe.yml", "--custom-source", "none.py"], "pipe.yml (overridden): source.source_file_path: "),
        (["pipe.yml", "--custom-source", "pipe.yml"], "must be a Python file"),
        (["pipe.yml", "--custom-source", "broken.py"], "broken.py:2: "),
        (["pipe.yml", "--env-file", "none.env"], "--env-file none.env: no such file"),
    ],
)
def test_a_wrong_file_is_one_clear_line(bizon: "Bizon", tmp_path: Path, arguments: list[str], expected: str) -> None:
    (tmp_path / "pipe.yml").write_text(VALID)
    (tmp_path / "broken.py").write_text("x = 1\nx = (\n")
    result = bizon("config", "validate", *arguments)
    assert result.exit_code == 2
    assert expected in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr


@pytest.mark.lesson("F-26", "F-27")
def test_the_real_command_shows_no_traceback_and_no_secret(tmp_path: Path) -> None:
    """An unknown destination used to print the block with its password."""
    (tmp_path / "pipe.yml").write_text(VALID.replace("name: file", "name: oracle\n  password: s3kret"))
    command = [sys.executable, "-m", "bizon", "run", "pipe.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Error: pipe.yml:13:9: destination.name: unknown value 'oracle'" in done.stderr
    assert "Traceback" not in done.stderr
    assert "s3kret" not in done.stderr


@pytest.mark.lesson("F-23")
def test_the_env_file_of_the_working_directory_is_read(bizon: "Bizon", tmp_path: Path) -> None:
    """It used to be searched next to the installed package, and the reference stayed unresolved."""
    (tmp_path / "pipe.yml").write_text(VALID.replace("s3kret-token", "BIZON_ENV_FOR_THIS_TEST"))
    assert bizon("config", "validate", "pipe.yml").exit_code == 2
    (tmp_path / ".env").write_text("BIZON_ENV_FOR_THIS_TEST=s3kret-token\n")
    assert bizon("config", "validate", "pipe.yml").exit_code == 0
