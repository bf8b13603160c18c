"""A stream that cannot have members is refused before anything is opened."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bizon.common.errors.errors import ConfigError
from bizon.engine.engine import RunnerFactory

KAFKA = {
    "name": "kafka",
    "stream": "topic",
    "sync_mode": "stream",
    "topics": [{"name": "orders"}],
    "bootstrap_servers": "localhost:9092",
    "message_encoding": "utf-8",
    "consumer_config": {"security.protocol": "PLAINTEXT"},
}
CREATURES = {
    "name": "dummy",
    "stream": "creatures",
    "sync_mode": "stream",
    "authentication": {"type": "api_key", "params": {"token": "any"}},
}
LOGGER = {"name": "logger"}
SQLITE = {"type": "sqlite", "config": {"database": "state"}}


def runner(folder: Path, source: dict[str, Any], destination: dict[str, Any], backend: dict[str, Any]) -> Any:
    path = folder / "config.yml"
    config = {"name": "pipe", "source": source, "destination": destination, "engine": {"backend": backend}}
    path.write_text(yaml.safe_dump(config))
    return RunnerFactory.create_from_yaml(path, join=True)


def file(**config: Any) -> dict[str, Any]:
    return {"name": "file", "config": {"destination_id": "out", **config}}


@pytest.mark.parametrize(
    "destination",
    [LOGGER, file(format="parquet"), file(format="csv"), {"name": "logger", "config": {"destination_id": "x"}}],
)
def test_these_destinations_take_members(tmp_path: Path, destination: dict[str, Any]) -> None:
    assert type(runner(tmp_path, KAFKA, destination, SQLITE)).__name__ == "MemberRunner"


@pytest.mark.parametrize(
    ("source", "destination", "backend", "reason"),
    [
        (KAFKA, file(), SQLITE, "`format: parquet` or `csv` takes several"),
        (KAFKA, file(format="parquet", unnest=True), SQLITE, "declare all in `record_schemas`"),
        (KAFKA, {"name": "duckdb", "config": {"database": "d"}}, SQLITE, "takes the rows of one process at a time"),
        (CREATURES, LOGGER, SQLITE, "source 'dummy' has one reader"),
        (KAFKA, LOGGER, {"type": "sqlite_in_memory"}, "use postgres, or sqlite for commands on one host"),
    ],
)
def test_others_are_refused_with_what_works(
    tmp_path: Path, source: dict[str, Any], destination: dict[str, Any], backend: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match="--join") as caught:
        runner(tmp_path, source, destination, backend)
    assert reason in str(caught.value)
