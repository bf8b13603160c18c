"""For every test: a clean environment, a separate folder, and fresh logging."""

import gc
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Generator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import commands
import pytest
import typer.testing
import yaml
from fakes import FakeClock
from hypothesis import settings
from loguru import logger

pytest_plugins = (
    "bigquery",
    "inner",
    "kafka",
    "mariadb",
    "matrices",
    "postgres",
    "profiling",
    "pytester",
    "workers",
)  # fixtures: real servers, and pytest itself; the choice of the cases, what they cost, and who runs them
pytest.register_assert_rewrite("bizon.testing")
sys.path.append(str(Path(__file__).parents[1]))  # for benchmarks/; last, so that a copy of bizon under test comes first
settings.register_profile("default", deadline=None)  # a busy machine must not fail a test
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=15)  # the same examples each time
settings.register_profile("long", deadline=None, print_blob=True)  # other ones each time
settings.load_profile("long" if os.environ.get("BIZON_TEST_LONG") else "ci" if os.environ.get("CI") else "default")

# BIZON_TEST_* stays: the server fixtures read the addresses of servers from it.
_OURS, _KEPT = ("BIZON_", "LOGURU_"), "BIZON_TEST_"
_FORCE_COLOURS = ("FORCE_COLOR", "PY_COLORS", "CLICOLOR_FORCE", "GITHUB_ACTIONS")  # rich and typer obey these


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """The garbage collector never looks at what collecting tests makes: a million objects, which all stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _quick_commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Commands are forked; the others share their compiled modules."""
    folder = tmp_path_factory.getbasetemp()
    workers_share = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with pytest.MonkeyPatch.context() as patch:
        for name, value in commands.bytecode_kept_in(workers_share / "bytecode").items():
            patch.setenv(name, value)
        with commands.forked():
            yield


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine reaches a test, and no setting of a test the next one. Relative paths are below
    ``tmp_path``."""
    for name in list(os.environ):
        if (name.startswith(_OURS) and not name.startswith(_KEPT)) or name in _FORCE_COLOURS:
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "localhost,127.0.0.1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def _quick_logging() -> Iterator[None]:
    """Loguru asks for the folders of all libraries for each sink that it adds: 5 ms, twice per test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sysconfig, "get_path", cache(sysconfig.get_path))
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_command_line() -> Iterator[None]:
    """Typer makes all commands of the application for each call of one: 20 ms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.testing, "_get_command", cache(typer.main.get_command))
        yield


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    """Each test starts with one sink, to the current standard error, and leaves no change in loguru."""
    _reset_logging()
    yield
    _reset_logging()


def _reset_logging() -> None:
    logger.configure(
        handlers=[{"sink": _to_stderr, "level": "DEBUG", "format": "{level} {name}: {message}"}],
        extra={},
        patcher=_no_patch,
        activation=[("", True)],
    )


def _to_stderr(message: str) -> None:
    sys.stderr.write(message)


def _no_patch(_record: Any) -> None:
    """Replaces the patcher of a test: loguru has no call to remove one."""


@pytest.fixture
def clock() -> FakeClock:
    """A monotonic clock that stands still until ``clock.advance(seconds)``."""
    return FakeClock()


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., Path]:
    """``write_config(dict_or_text, name="config.yml")``: write a pipeline's YAML below ``tmp_path`` and return its
    path."""

    def write(config: dict[str, Any] | str, name: str = "config.yml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def run_cli() -> Callable[..., subprocess.CompletedProcess[str]]:
    """``run_cli("run", path)``: the real CLI in a child process (``commands.py``), its output as text.

    ``env`` is added to the test's environment; the value None removes a variable. After ``timeout`` seconds the child
    is killed and the test fails. No exit code raises."""

    def run(
        *args: str | Path,
        cwd: Path | None = None,
        env: dict[str, str | None] | None = None,
        timeout: float = 60,
        input: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        merged = {**os.environ, **(env or {})}
        return commands.run(
            [*commands.BIZON, *map(str, args)],
            cwd=cwd,
            env={name: value for name, value in merged.items() if value is not None},
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout,
        )

    return run


@pytest.fixture
def wait_for() -> Callable[[Callable[[], bool]], None]:
    """Wait until a condition is true, within a bound."""
    from time import monotonic, sleep

    def wait(condition: Callable[[], bool], seconds: float = 30) -> None:
        deadline = monotonic() + seconds
        while not condition():
            assert monotonic() < deadline, "waited in vain"
            sleep(0.02)

    return wait
