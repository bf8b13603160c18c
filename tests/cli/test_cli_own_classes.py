"""A connector in the user's file whose config class fails: a mistake in the configuration, in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from textwrap import indent

import pytest

RunCli = Callable[..., CompletedProcess[str]]
SECRET = "hush-hush-77"
MASK = "**********"

SHOP = """\
import sys
from pydantic import Field, field_validator, model_validator
from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration
from bizon.source.source import AbstractSource

class RegionError(Exception):
    pass

def fail(key):
    STATEMENT

class ShopConfig(SourceConfig):
    key: str
CHECK

class Shop(AbstractSource):
    @staticmethod
    def streams(): return ["orders"]
    @staticmethod
    def get_config_class(): return ShopConfig
    def get_authenticator(self): return None
    def check_connection(self): return True, None
    def get(self, pagination=None): return SourceIteration({}, [])
"""
NOTES = """\
import sys
from pydantic import Field, field_validator, model_validator
from bizon.destination.config import AbstractDestinationDetailsConfig
from bizon.destination.destination import AbstractDestination

class RegionError(Exception):
    pass

def fail(key):
    STATEMENT

class NotesConfig(AbstractDestinationDetailsConfig):
    key: str
CHECK

class Notes(AbstractDestination):
    @staticmethod
    def get_config_class(): return NotesConfig
    def check_connection(self): return True
    def write_records(self, df_destination_records): return True, None
"""
WITH_SHOP = """\
name: pipe
source:
  name: shop
  stream: orders
  source_file_path: own.py
  key: KEY
destination:
  name: file
  config:
    destination_id: out
"""
WITH_NOTES = """\
name: pipe
source:
  name: dummy
  stream: creatures
  authentication: {type: api_key, params: {token: any}}
destination:
  name: custom
  config:
    destination_file_path: own.py
    key: KEY
"""
CONNECTORS = {
    "source": (SHOP, WITH_SHOP, "pipe.yml:2:1: source: ShopConfig"),
    "destination": (NOTES, WITH_NOTES, "pipe.yml:8:3: destination.config: NotesConfig"),
}
FIELD = """
@field_validator("key")
@classmethod
def _check(cls, value):
    fail(value)
"""
BLOCK = """
@model_validator(mode="before")
@classmethod
def _check(cls, block):
    fail(block["key"])
"""
CHECKS = {
    "a field": FIELD,
    "the block": BLOCK,
    "the model": "\ndef model_post_init(self, _context):\n    fail(self.key)\n",
    "a default": "region: str = Field(default_factory=lambda: fail('none'))\n",
}
STATEMENTS = {
    "{}['region']": "KeyError: 'region'",
    "raise RuntimeError('no region')": "RuntimeError: no region",
    "raise RegionError('no region\\n  for this key')": "RegionError: no region for this key",
    "raise RegionError": "RegionError",
    "sys.exit(0)": "SystemExit: 0",
    "sys.exit('no region')": "SystemExit: no region",
    "raise MemoryError": "MemoryError",
}
LEAKS = {
    "{}[key]": f"KeyError: '{MASK}'",
    "raise RuntimeError(f'no region for {key}')": f"RuntimeError: no region for {MASK}",
    "sys.exit(f'no region for {key}')": f"SystemExit: no region for {MASK}",
    "raise RegionError({'key': key.encode().hex()})": f"RegionError: {{'key': '{MASK}'}}",
}


def write(folder: Path, connector: str, statement: str, check: str = FIELD, key: str = "of-the-shop") -> str:
    """Write a pipeline whose class executes the statement. Returns the beginning of its error, up to the reason."""
    code, pipeline, place = CONNECTORS[connector]
    text = code.replace("CHECK", indent(check, "    ")).replace("STATEMENT", statement)
    (folder / "own.py").write_text(text)
    (folder / "pipe.yml").write_text(pipeline.replace("KEY", key))
    line = next(number for number, line in enumerate(text.splitlines(), 1) if line == f"    {statement}")
    return f"Error: {place} failed at {folder / 'own.py'}:{line}: "


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("connector", CONNECTORS)
def test_a_config_class_may_raise_anything(run_cli: RunCli, tmp_path: Path, connector: str, statement: str) -> None:
    """One of a destination ended the command as an unexpected error, without line and key."""
    begin = write(tmp_path, connector, statement)
    done = run_cli("config", "validate", "pipe.yml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{begin}{STATEMENTS[statement]}; a validator has to raise ValueError\n"


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("connector", CONNECTORS)
def test_a_config_class_may_fail_anywhere(run_cli: RunCli, tmp_path: Path, connector: str, check: str) -> None:
    begin = write(tmp_path, connector, "raise RegionError('no region')", CHECKS[check])
    done = run_cli("config", "validate", "pipe.yml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{begin}RegionError: no region; a validator has to raise ValueError\n"


@pytest.mark.parametrize("key", [SECRET, "BIZON_ENV_KEY"], ids=["in the YAML", "in .env"])
@pytest.mark.parametrize("statement", LEAKS)
@pytest.mark.parametrize("connector", CONNECTORS)
def test_a_failing_config_class_shows_no_secret(
    run_cli: RunCli, tmp_path: Path, connector: str, statement: str, key: str
) -> None:
    begin = write(tmp_path, connector, statement, key=key)
    (tmp_path / ".env").write_text(f"BIZON_ENV_KEY={SECRET}\n")
    done = run_cli("run", "pipe.yml", "--result-json", "result.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{begin}{LEAKS[statement]}; a validator has to raise ValueError\n"
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["status"], result["failure_class"]) == ("failure", "config")
    assert f"Error: {result['error']}\n" == done.stderr


@pytest.mark.parametrize("statement", ["raise KeyError('region')", "sys.exit('region')"])
@pytest.mark.parametrize("connector", CONNECTORS)
def test_a_connector_that_cannot_name_its_config_class_is_a_mistake_too(
    run_cli: RunCli, tmp_path: Path, connector: str, statement: str
) -> None:
    """``sys.exit`` there ended the command with exit code 1."""
    code, pipeline, _ = CONNECTORS[connector]
    named = "def get_config_class(): "
    (tmp_path / "own.py").write_text(
        code.replace("CHECK", "").replace("STATEMENT", "pass").replace(f"{named}return", f"{named}{statement};")
    )
    (tmp_path / "pipe.yml").write_text(pipeline)
    done = run_cli("config", "validate", "pipe.yml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: pipe.yml:")
    assert "get_config_class() of " in done.stderr
    assert "region" in done.stderr
    assert "Traceback" not in done.stderr
