"""A package that is not installed is found before a job is opened."""

import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bizon.common.errors.errors import MissingDependencyError
from bizon.common.models import BizonConfig
from bizon.engine.backend.models import Role
from bizon.engine.engine import RunnerFactory
from bizon.engine.runner.extras import MODULES, check_extras

ROOT = Path(__file__).parents[3]
BOTH = (Role.PRODUCER, Role.CONSUMER)
BIGQUERY = {"project_id": "p", "dataset_id": "d", "gcs_buffer_bucket": "b"}
DUMMY = {"name": "dummy", "stream": "creatures", "authentication": {"type": "api_key", "params": {"token": "t"}}}


def config(**parts: Any) -> dict[str, Any]:
    return {
        "name": "pipe",
        "source": DUMMY,
        "destination": {"name": "logger"},
        "engine": {"backend": {"type": "sqlite", "config": {"database": "state"}}},
        **parts,
    }


TO_BIGQUERY = config(destination={"name": "bigquery", "config": BIGQUERY})
TO_DUCKDB = config(destination={"name": "duckdb", "config": {"database": "warehouse.duckdb"}})
TO_RABBITMQ = config(engine={"queue": {"type": "rabbitmq", "config": {"queue": {"host": "h"}}}})
TO_KAFKA = config(engine={"queue": {"type": "kafka", "config": {"queue": {"bootstrap_server": "h:1"}}}})
CASES = [
    (TO_BIGQUERY, "google.cloud.storage", "bigquery"),
    (TO_DUCKDB, "duckdb", "duckdb"),
    (TO_RABBITMQ, "pika", "rabbitmq"),
    (TO_KAFKA, "confluent_kafka", "kafka"),
]


@pytest.mark.parametrize(("raw", "module", "extra"), CASES, ids=["bigquery", "duckdb", "rabbitmq", "kafka"])
def test_a_run_without_a_package_names_the_extra_and_leaves_no_state(
    raw: dict[str, Any], module: str, extra: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It used to be an error of the destination, exit code 1, after a job was opened that every run resumed."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=rf"module {module}.*pip install 'bizon\[{extra}\]'"):
        RunnerFactory.create_from_config_dict(raw).run()
    assert list(tmp_path.iterdir()) == []


def test_a_role_asks_only_for_what_it_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.storage", None)
    model = BizonConfig.model_validate(TO_BIGQUERY)
    check_extras(model, (Role.PRODUCER,))
    with pytest.raises(MissingDependencyError):
        check_extras(model, (Role.CONSUMER,))


def test_a_queue_in_kafka_needs_no_avro(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastavro", None)
    check_extras(BizonConfig.model_validate(TO_KAFKA), BOTH)


def test_a_custom_source_needs_no_extra_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastavro", None)
    source = {"name": "kafka", "stream": "s", "source_file_path": "mine.py"}
    check_extras(BizonConfig.model_validate(config(source=source)), BOTH)


def test_an_installed_package_is_found() -> None:
    for raw in (TO_BIGQUERY, TO_RABBITMQ, TO_KAFKA):
        check_extras(BizonConfig.model_validate(raw), BOTH)


def test_every_extra_of_a_run_is_known() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(MODULES) == set(project["optional-dependencies"]) - {
        "testing",
        "zstd",
    }  # no run needs the first; a file tells the other
