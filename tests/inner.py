"""pytest and mypy for code that was generated, or copied out of a page, in processes of their own."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

ROOT = Path(__file__).parents[1]
MEMORY = Path("/dev/shm")
ALONE = (
    "-c",
    os.devnull,
    "--noconftest",
)  # for a test of this repository: without the fixtures and settings of the rest


class TypeChecker:
    """mypy as the project calls it. The runs of a session share a cache, which begins as the one of ``make types``:
    without it each reads everything that bizon imports, which takes seven seconds."""

    def __init__(self, folder: Path) -> None:
        self._cache, self._lock = folder / "mypy", folder / "mypy.lock"

    def check(self, *files: str | Path, cwd: Path = ROOT, config: Path | None = ROOT / "pyproject.toml") -> None:
        """Fails unless the types of the files are right. ``config``: None for mypy's own settings."""
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            cache = self._cache if config else self._cache.with_name("mypy_without_config")
            if config and not cache.exists() and (ROOT / ".mypy_cache").is_dir():
                shutil.copytree(ROOT / ".mypy_cache", cache)
            options = ["--strict", f"--config-file={config or ''}", f"--cache-dir={cache}"]
            python("-m", "mypy", *options, *map(str, files), cwd=cwd)


@pytest.fixture(scope="session")
def types(tmp_path_factory: pytest.TempPathFactory) -> TypeChecker:
    folder = tmp_path_factory.getbasetemp()
    return TypeChecker(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder)


def python(*arguments: str, cwd: Path, timeout: float = 280, **variables: str) -> str:
    """The output of a new process of Python that succeeds."""
    done = subprocess.run(
        [sys.executable, *arguments],
        **{"cwd": cwd, "env": {**os.environ, **variables}, "timeout": timeout},
        **{"capture_output": True, "text": True, "check": False},
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return str(done.stdout)


def passes(*arguments: str | Path, cwd: Path, plugins: tuple[str, ...] = (), **variables: str) -> str:
    """The output of a run of pytest that passes, and skips nothing. It loads only these plugins, since the plugins of
    the project take a second, and its temporary folders do not wait for a disk."""
    with in_memory() as folder:
        options = ["-q", "-rs", "-p", "no:cacheprovider", f"--basetemp={folder}"]
        for plugin in plugins:
            options += ["-p", plugin]
        said = python(
            "-m", "pytest", *options, *map(str, arguments), cwd=cwd, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", **variables
        )
    assert " passed" in said
    assert "skipped" not in said, said
    return said


@contextmanager
def in_memory() -> Iterator[Path]:
    """Within: a folder in memory, where the system has one: a test of SQLite waits for the disk 200 times."""
    with TemporaryDirectory(prefix="bizon-tests-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        yield Path(folder) / "base"
