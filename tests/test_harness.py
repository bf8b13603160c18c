"""The promises of the test harness: tests/conftest.py and tests/servers.py."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml
from fakes import FakeClock
from loguru import logger
from servers import server_or_skip


def test_an_absent_server_skips_on_a_laptop_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="postgres is not available: nothing on port 5432"):
        server_or_skip("postgres", "nothing on port 5432")


def test_an_absent_server_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    text = "postgres is not available, and CI must have it: nothing on port 5432"
    with pytest.raises(pytest.fail.Exception, match=text):
        server_or_skip("postgres", "nothing on port 5432")


def test_ci_set_to_false_is_a_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "false")
    with pytest.raises(pytest.skip.Exception):
        server_or_skip("postgres", "nothing on port 5432")


MAY_SKIP = {
    "common/test_interpreter.py": "a C library that is not glibc",
    "e2e/crash/hosts.py": "hosts, which need root",
    "e2e/crash/test_chaos_slice.py": "hosts, which need root",
    "engine/backend/test_postgres_leases.py": "PostgreSQL 13 lacks the setting",
    "servers.py": "never with CI",
    "test_commands.py": "a system that cannot fork commands",
    "test_fork_server.py": "a system that cannot fork commands",
}
"""The files that skip a test, and for want of what. `docs/contributing/releasing.md` names what CI lacks."""


def test_no_other_file_skips_a_test_when_ci_is_set() -> None:
    """Tests that needed root were skipped by CI, which said that nothing is."""
    tests = Path(__file__).parent
    skips = re.compile(r"pytest\.(?:skip\(|importorskip\(|mark\.skip)")
    found = {
        path.relative_to(tests).as_posix() for path in tests.rglob("*.py") if skips.search(path.read_text("utf-8"))
    }
    assert found == set(MAY_SKIP)


def test_a_test_runs_in_its_own_folder(tmp_path: Path) -> None:
    assert Path.cwd() == tmp_path


@pytest.fixture(scope="module")
def _settings_of_the_machine() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIZON_ENV_TOKEN", "from outside")
        patch.setenv("BIZON_TEST_POSTGRES_URL", "postgresql://outside")
        patch.setenv("LOGURU_LEVEL", "ERROR")
        yield


@pytest.mark.usefixtures("_settings_of_the_machine")
def test_settings_of_the_machine_are_hidden_but_for_test_servers() -> None:
    assert "BIZON_ENV_TOKEN" not in os.environ
    assert "LOGURU_LEVEL" not in os.environ
    assert os.environ["BIZON_TEST_POSTGRES_URL"] == "postgresql://outside"


@pytest.mark.parametrize("_round", [1, 2])
def test_logging_is_restored_after_a_test_that_removed_it(_round: int, capsys: pytest.CaptureFixture[str]) -> None:
    logger.info("hello")
    assert capsys.readouterr().err == f"INFO {__name__}: hello\n"
    logger.remove()
    logger.disable(__name__)
    logger.configure(patcher=lambda record: record.update(message="spoilt"))


def test_the_clock_moves_only_by_advance(clock: FakeClock) -> None:
    before = clock()
    clock.advance(2.5)
    assert clock() - before == 2.5


def test_write_config_writes_a_dict_and_a_text(write_config: Callable[..., Path], tmp_path: Path) -> None:
    config = {"name": "crème 🦬", "source": {"name": "dummy"}}
    assert yaml.safe_load(write_config(config).read_text(encoding="utf-8")) == config
    assert write_config("a: [", "below/broken.yml") == tmp_path / "below" / "broken.yml"
    assert (tmp_path / "below" / "broken.yml").read_text() == "a: ["


def test_run_cli_starts_a_child_with_arguments_folder_environment_and_input(
    run_cli: Callable[..., CompletedProcess[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GONE", "1")
    (tmp_path / "bizon.py").write_text(
        "import os, sys\n"
        "print(sys.argv[1:], os.getcwd(), os.environ.get('GONE'), os.environ['NEW'], sys.stdin.read())\n"
        "sys.exit(3)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = run_cli("run", tmp_path, cwd=tmp_path, env={"GONE": None, "NEW": "x"}, input="typed")
    assert done.stdout == f"['run', '{tmp_path}'] {tmp_path} None x typed\n", done.stderr
    assert done.returncode == 3
