"""The top-level ``streams`` block: its rules, the values it supplies, and the source that receives it."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from bizon.common.errors.errors import ConfigError
from bizon.common.models import BizonConfig, StreamConfig
from bizon.engine.engine import RunnerFactory, load_config
from bizon.source.discover import resolve_source_class

SOURCE = """
from collections.abc import Mapping
from bizon.common.errors.errors import ConfigError
from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration
from bizon.source.source import AbstractSource


class Config(SourceConfig):
    paths: list[str]

    @classmethod
    def filled_from_streams(cls, block, streams):
        for number, stream in enumerate(streams):
            if stream.source.endpoint is None:
                raise ConfigError("needs an endpoint", key=("streams", number, "source"))
        return {"paths": [stream.source.endpoint for stream in streams], **block}


class Several(AbstractSource):
    received = None

    @staticmethod
    def streams():
        return ["all"]

    @staticmethod
    def get_config_class():
        return Config

    def get_authenticator(self):
        return None

    def check_connection(self):
        return True, None

    def get(self, pagination=None):
        return SourceIteration({})

    def set_streams_config(self, streams):
        self.received = [stream.name for stream in streams]
"""
COLUMNS = [{"name": "id", "type": "integer"}]


def stream(name: str, **destination: Any) -> dict[str, Any]:
    return {
        "name": name,
        "source": {"endpoint": f"/{name}", "anything": 1},
        "destination": {"table_id": f"p.d.{name}", "more": 2, **destination},
    }


@pytest.fixture
def pipeline(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "several.py").write_text(SOURCE)
    return {
        "name": "pipe",
        "source": {"name": "x", "stream": "all", "sync_mode": "stream", "source_file_path": "several.py"},
        "destination": {"name": "file", "config": {}},
        "streams": [stream("a", record_schema=COLUMNS), stream("b")],
    }


def load(tmp_path: Path, pipeline: Mapping[str, Any]) -> BizonConfig:
    (tmp_path / "pipe.yml").write_text(yaml.safe_dump(dict(pipeline), sort_keys=False))
    return load_config("pipe.yml").config


def test_the_source_and_the_schemas_are_filled_from_the_streams(tmp_path: Path, pipeline: dict[str, Any]) -> None:
    config = load(tmp_path, pipeline)
    assert config.source.paths == ["/a", "/b"]  # type: ignore[attr-defined]
    (schema,) = config.destination.config.record_schemas or ()
    assert schema.destination_id == "p.d.a"
    assert [column.name for column in schema.record_schema] == ["id"]


def test_keys_set_in_a_block_override_its_streams(tmp_path: Path, pipeline: dict[str, Any]) -> None:
    pipeline["source"]["paths"] = ["/own"]
    pipeline["destination"]["config"]["record_schemas"] = [{"destination_id": "own", "record_schema": COLUMNS}]
    config = load(tmp_path, pipeline)
    assert config.source.paths == ["/own"]  # type: ignore[attr-defined]
    assert [schema.destination_id for schema in config.destination.config.record_schemas or ()] == ["own"]


def test_the_dict_of_the_caller_is_not_changed(pipeline: dict[str, Any]) -> None:
    """Topics and schemas used to be copied into it."""
    before = deepcopy(pipeline)
    runner = RunnerFactory.create_from_config_dict(pipeline)
    assert runner.bizon_config.source.paths == ["/a", "/b"]  # type: ignore[attr-defined]
    assert pipeline == before
    del pipeline["source"]["source_file_path"]
    before = deepcopy(pipeline)
    assert BizonConfig.model_validate(pipeline).destination.config.record_schemas
    assert pipeline == before


def test_the_source_receives_the_streams(tmp_path: Path, pipeline: dict[str, Any]) -> None:
    config = load(tmp_path, pipeline)
    source_class = resolve_source_class(config.source)
    assert source_class(config.source).received == ["a", "b"]  # type: ignore[attr-defined]
    del pipeline["streams"]
    pipeline["source"]["paths"] = []
    assert source_class(load(tmp_path, pipeline).source).received is None  # type: ignore[attr-defined]


def test_the_streams_of_a_configuration_survive_the_way_to_another_process(pipeline: dict[str, Any]) -> None:
    import pickle

    config = RunnerFactory.create_from_config_dict(pipeline).bizon_config
    streams: Sequence[StreamConfig] = pickle.loads(pickle.dumps(config)).source.streams_config
    assert [each.name for each in streams] == ["a", "b"]


def changed(pipeline: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    block: Any = pipeline
    for step in parents:
        block = block[step]
    block[last] = value
    return pipeline


@pytest.mark.parametrize(
    ("path", "value", "line", "text"),
    [
        (
            "streams.0.destination.table_id",
            "d.t",
            "table_id: d.t",
            "streams[0].destination.table_id: must have three parts",
        ),
        ("streams.1.destination.table_id", "p..t", "table_id: p..t", "table_id: must have three parts"),
        ("streams.1.name", "a", "name: a", "streams: entries 1 and 2 have the same name"),
        ("streams.1.destination.table_id", "p.d.a", "name: a", "streams: entries 1 and 2 have the same table_id"),
        ("source.sync_mode", "full_refresh", "name: a", "needs source.sync_mode: stream, not full_refresh"),
        ("streams.0.nmae", "x", "nmae: x", "streams[0].nmae: unknown key; allowed: name, source, destination"),
        ("streams", [], "streams: []", "streams: must have at least 1 item"),
        ("streams.1.source", {"name": "no endpoint"}, "source:", "streams[1].source: needs an endpoint"),
        (
            "streams.1.destination.record_schema",
            [{"name": "ok", "type": "string"}, {"name": "x", "type": "nothing"}],
            "name: ok",
            "streams[1].destination.record_schema: column 'x': unknown column type",
        ),
        (
            "streams.1.destination.record_schema",
            [{"name": "x", "typ": "string"}],
            "typ: string",
            "streams[1].destination.record_schema[0].typ: unknown key",
        ),
        ("streams.0.destination.clustering_keys", ["id"], "clustering_keys:", "clustering_keys: unknown key"),
    ],
)
def test_a_mistake_is_named_with_its_line(
    tmp_path: Path, pipeline: dict[str, Any], path: str, value: Any, line: str, text: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, changed(pipeline, path, value))
    (found,) = [each for each in str(caught.value).splitlines() if text in each]
    number = int(found.split(":")[1])
    assert (tmp_path / "pipe.yml").read_text().splitlines()[number - 1].strip(" -") == line
