"""A pipeline file, the command in this process, and a fake runner."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from loguru import logger
from typer.testing import CliRunner, Result

from bizon.cli.commands import run as run_module
from bizon.cli.main import cli
from bizon.common.models import BizonConfig
from bizon.engine.pipeline.models import PipelineReturnStatus, ProgressSnapshot
from bizon.engine.runner.models import RunnerStatus
from bizon.engine.runner.windows import Scope

SUCCESS = PipelineReturnStatus.SUCCESS
DUMMY: dict[str, Any] = {
    "name": "pipe",
    "source": {
        "name": "dummy",
        "stream": "creatures",
        "authentication": {"type": "api_key", "params": {"token": "s3kret-token"}},
    },
    "destination": {"name": "logger"},
}

Bizon = Callable[..., Result]


class FakeRunner:
    """The parts of a runner that ``bizon run`` uses. ``work`` replaces the run; it may raise."""

    def __init__(self, config: BizonConfig, work: Callable[["FakeRunner"], None], status: RunnerStatus) -> None:
        self.bizon_config = config
        self.secrets = frozenset({"from-the-environment"})
        self.scope = Scope()
        self.stopped = threading.Event()
        self._work = work
        self._status = status

    def run(self) -> RunnerStatus:
        self._work(self)
        return self._status

    def stop(self) -> None:
        self.stopped.set()

    def progress(self) -> ProgressSnapshot:
        return ProgressSnapshot(pages=1, records_fetched=2, bytes_fetched=3, records_written=4, total_records=None)


class Factory:
    """Replaces RunnerFactory, and records the arguments of the call."""

    def __init__(self) -> None:
        self.status = RunnerStatus("job-1", producer=SUCCESS, consumer=SUCCESS, published=True, records_written=5)
        self.work: Callable[[FakeRunner], None] = lambda _runner: None
        self.config = BizonConfig.model_validate(DUMMY)
        self.error: Exception | None = None
        self.asked: dict[str, Any] = {}

    def create_from_yaml(
        self,
        filepath: str,
        *,
        env_file: str | None,
        overrides: dict[str, Any],
        role: str | None = None,
        streams: tuple[str, ...] = (),
        **_joining: Any,
    ) -> FakeRunner:
        self.asked = {"filepath": filepath, "env_file": env_file, "overrides": overrides}
        if self.error is not None:
            raise self.error
        return FakeRunner(self.config, self.work, self.status)


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch) -> Factory:
    fake = Factory()
    monkeypatch.setattr(run_module, "RunnerFactory", fake)
    return fake


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A valid pipeline file."""
    path = tmp_path / "pipe.yml"
    path.write_text(yaml.safe_dump(DUMMY, sort_keys=False))
    return path


@pytest.fixture
def bizon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bizon]:
    """The command, in its own working directory."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    yield invoke
    logger.remove()
