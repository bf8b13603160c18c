"""Runner `ray`: what is refused before a cluster is asked for."""

import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from fakes import memory_backend, pipeline

from bizon import RunnerFactory
from bizon.common.errors.errors import ConfigError, MissingDependencyError
from bizon.engine.runner.config import RayConfig, RunnerConfig, RunnerTypes
from bizon.engine.runner.jobs import open_job
from bizon.engine.runner.windows import Scope

POSTGRES = {"type": "postgres", "config": {"host": "db", "database": "state", "username": "bizon", "password": "x"}}


def create(
    backend: dict[str, Any], destination: str = "file", queue: dict[str, Any] | None = None, **runner: Any
) -> None:
    RunnerFactory.create_from_config_dict(
        {
            "name": "creatures",
            "source": {
                "name": "dummy",
                "stream": "creatures",
                "authentication": {"type": "api_key", "params": {"token": "x"}},
            },
            "destination": {"name": destination, "config": {"destination_id": "out"}},
            "engine": {
                "backend": backend,
                "runner": {"type": "ray", **runner},
                **({} if queue is None else {"queue": queue}),
            },
        }
    )


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"engine\.runner\.type 'ray'.*pip install 'bizon\[ray\]'"):
        create(POSTGRES)


def test_a_state_of_one_host_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"engine\.runner\.type 'ray': the workers run on several hosts.*use postgres"
    ):
        create({"type": "sqlite"})


def test_a_destination_of_one_process_is_refused() -> None:
    with pytest.raises(ConfigError) as raised:
        create(POSTGRES, destination="logger")
    assert "engine.runner.type 'ray': destination 'logger' takes the rows of one process" in str(raised.value)
    assert "run with engine.runner.type 'thread' or 'process'" in str(raised.value)


@pytest.mark.parametrize(
    ("runner", "text"),
    [
        ({"ray": {"num_workers": 0}}, "num_workers"),
        ({"ray": {"workers": 3}}, "workers"),
        ({"config": {"max_parallel_partitions": 2}}, "num_workers"),
        ({"type": "thread", "ray": {"num_workers": 3}}, "leave `ray` out"),
    ],
)
def test_settings_that_a_cluster_cannot_have_are_refused(runner: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        create(POSTGRES, **runner)


def test_a_worker_reserves_what_is_configured() -> None:
    given = RayConfig(num_cpus=0.5, memory=2, resources={"warehouse": 1})
    assert given.options == {"num_cpus": 0.5, "memory": 2 * 1024 * 1024, "resources": {"warehouse": 1}}
    assert "memory" not in RayConfig().options


def test_a_queue_of_its_own_is_refused_by_its_key() -> None:
    broker = {"type": "rabbitmq", "config": {"queue": {"host": "q", "queue_name": "q"}}}
    with pytest.raises(
        ConfigError, match=r"engine\.runner\.type 'ray': each worker is a whole pipeline.*'python_queue'"
    ):
        create(POSTGRES, queue=broker)


def test_a_run_that_cannot_be_divided_is_refused_by_the_key_that_was_written() -> None:
    """The user has never written --join."""
    config = pipeline(sync_mode="incremental", cursor_field="n")
    engine = config.engine.model_copy(update={"runner": RunnerConfig(type=RunnerTypes.RAY)})
    config = config.model_copy(update={"engine": engine})
    with pytest.raises(ConfigError) as raised:
        open_job(memory_backend(), config, scope=Scope(since=datetime(2026, 1, 1, tzinfo=UTC)), joined="")
    assert "engine.runner.type 'ray': a window of the past" in str(raised.value)
    assert "--join" not in str(raised.value)
