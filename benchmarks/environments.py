"""Separate environments for packages that the project does not depend on: the peers, a bare install, the chart.

They are in ``benchmarks/.envs/``. Each is created when it is first needed, and kept until its requirement changes.
"""

import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / "benchmarks" / ".envs"
_STAMP = ".made-of"
_TIMEOUT = 900  # seconds for one installation


class CannotInstallError(RuntimeError):
    """The environment does not exist and could not be created."""


@dataclass(frozen=True)
class Environment:
    """``requirement``: for pip, several with blanks between them. ``made_of``: a text that changes with the content;
    None = the requirement."""

    name: str
    requirement: str
    made_of: str | None = None

    @property
    def folder(self) -> Path:
        return ENVIRONMENTS / self.name

    @property
    def python(self) -> str:
        return self.command("python")

    def command(self, name: str) -> str:
        return str(self.folder / "bin" / name)

    @property
    def is_ready(self) -> bool:
        stamp = self.folder / _STAMP
        return stamp.exists() and stamp.read_text(encoding="utf-8") == self._wanted

    @property
    def _wanted(self) -> str:
        return f"{self.made_of or self.requirement} on Python {sys.version_info.major}.{sys.version_info.minor}"

    def prepare(self, may_install: bool) -> None:
        """Create the environment unless it exists.

        Raises:
            CannotInstallError: it does not exist and may not be created, or pip failed; the text says which.
        """
        if self.is_ready:
            return
        if not may_install:
            raise CannotInstallError("not installed; make bench does that")
        shutil.rmtree(self.folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", "--without-pip", str(self.folder)])
        _run(
            [_pip(), "--python", self.python, "install", "-q", "--disable-pip-version-check", *self.requirement.split()]
        )
        (self.folder / _STAMP).write_text(self._wanted, encoding="utf-8")

    def packages(self) -> dict[str, str]:
        """Name and version of everything installed in it."""
        code = "import importlib.metadata as m\nfor d in m.distributions(): print(d.name, d.version)"
        lines = _run([self.python, "-I", "-c", code]).splitlines()
        return {name.lower().replace("_", "-"): version for name, version in (line.split() for line in lines)}

    def megabytes(self) -> float:
        """Size of the installed packages, in 10^6 bytes."""
        files = (file for file in (self.folder / "lib").rglob("*") if file.is_file() and not file.is_symlink())
        return sum(file.stat().st_size for file in files) / 1e6


def _pip() -> str:
    folder = ENVIRONMENTS / "pip"
    if not (folder / "bin" / "pip").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
    return str(folder / "bin" / "pip")


def _run(arguments: list[str]) -> str:
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=_TIMEOUT, check=False, cwd=ROOT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstallError(str(error)) from error
    if done.returncode != 0:
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise CannotInstallError(f"{Path(arguments[0]).name}: {reason[-1] if reason else done.returncode}")
    return done.stdout


PUBLIC_BIZON = Environment("public-bizon", "bizon==0.6.4")
DLT = Environment("dlt", "dlt[filesystem]==1.31.0")
DLT_POSTGRES = Environment("dlt-postgres", "dlt[postgres]==1.31.0")
DLT_DUCKDB = Environment("dlt-duckdb", "dlt[duckdb,parquet]==1.31.0")
DLT_SQL = Environment(
    "dlt-sql", "dlt[filesystem,parquet]==1.31.0 sqlalchemy<2.1 psycopg2-binary==2.9.12 connectorx==0.4.6"
)
SLING = Environment("sling", "sling==1.4.11 sling-linux-amd64==1.4.11")  # the second one has the binary
CHART = Environment("chart", "matplotlib")


def bare_install() -> Environment:
    """This project as ``pip install`` installs it, without extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return Environment("bare", str(ROOT), made_of=" ".join(sorted(project["dependencies"])))
