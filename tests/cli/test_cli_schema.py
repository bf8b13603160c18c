"""The JSON Schema agrees with the command: an editor marks exactly the mistakes."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest
import yaml
from docs.conftest import variables_in

from bizon.cli.commands.schema import pipeline_schema
from bizon.common.errors.errors import ConfigError
from bizon.engine.engine import load_config

ROOT = Path(__file__).parents[2]
NOT_INSTALLED = ROOT / "examples/plugin"
IN_FOLDERS = [path for path in ROOT.glob("examples/**/*.yml") if path.parent != NOT_INSTALLED]
EXAMPLES = sorted([*ROOT.glob("bizon/connectors/**/config/*.example.yml"), *IN_FOLDERS])
Accepts = Callable[[Any], bool]
DUMMY: dict[str, Any] = {
    "name": "pipe",
    "source": {
        "name": "dummy",
        "stream": "creatures",
        "authentication": {"type": "api_key", "params": {"token": "t"}},
    },
    "destination": {"name": "file", "config": {"destination_id": "out"}},
}
KAFKA = {"name": "kafka", "stream": "topic", "sync_mode": "stream", "topics": [{"name": "t"}]}


@pytest.fixture(scope="module")
def accepts() -> Accepts:
    # editors know this draft best; the schema uses no feature that it lacks
    schema = {**pipeline_schema(), "$schema": "http://json-schema.org/draft-07/schema"}
    check = fastjsonschema.compile(schema, use_default=False)

    def is_accepted(document: Any) -> bool:
        try:
            check(document)
        except fastjsonschema.JsonSchemaException:
            return False
        return True

    return is_accepted


def scalars(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Each value that a variable may stand for, with its path."""
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            if key != "python":
                yield from scalars(value, (*path, key))
    elif node is not None:
        yield path, node


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    document = copy.deepcopy(document)
    block = document
    for key in path[:-1]:
        block = block[key]
    block[path[-1]] = value
    return document


@pytest.mark.matrix(share=8)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_schema_accepts_every_file_that_the_command_accepts(
    path: Path, accepts: Accepts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers and choices by reference, and keys that ``streams`` fill in, used to be marked as mistakes."""
    for variable in variables_in(path.read_text(encoding="utf-8")):
        monkeypatch.setenv(variable, "p")
    monkeypatch.chdir(path.parent)  # finds a source file of the folder
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert accepts(document)
    file = tmp_path / "config.yml"
    for place, value in scalars(document):
        monkeypatch.setenv("BIZON_ENV_VALUE", json.dumps(value) if isinstance(value, bool) else str(value))
        if isinstance(value, str) and (value.startswith("BIZON_ENV_") or "${env://" in value):
            continue
        for reference in ("BIZON_ENV_VALUE", "${env://BIZON_ENV_VALUE}"):
            by_reference = changed(document, place, reference)
            file.write_text(yaml.safe_dump(by_reference))
            load_config(file)
            assert accepts(by_reference), place


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("surprise",), 1),
        (("source", "surprise"), 1),
        (("source", "max_iterations"), "five"),
        (("source", "max_iterations"), 0),
        (("source", "sync_mode"), "sometimes"),
        (("destination", "name"), "fax"),
        (("destination", "config", "surprise"), 1),
        (("source",), KAFKA),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else str(value)[:10],
)
def test_the_schema_refuses_every_file_that_the_command_refuses(
    path: tuple[Any, ...], value: Any, accepts: Accepts, tmp_path: Path
) -> None:
    """Keys of a source used to be allowed unchecked."""
    wrong = changed(DUMMY, path, value)
    file = tmp_path / "config.yml"
    file.write_text(yaml.safe_dump(wrong))
    with pytest.raises(ConfigError):
        load_config(file)
    assert not accepts(wrong)
    assert accepts(DUMMY)


@pytest.mark.parametrize(
    ("key", "value"), [("max_iterations", "5"), ("http", {"raise_for_status": "yes"}), ("checkpoint_max_age", "1e3")]
)
def test_a_number_or_boolean_given_as_text_is_accepted(key: str, value: Any, accepts: Accepts, tmp_path: Path) -> None:
    document = changed(DUMMY, ("source", key), value)
    file = tmp_path / "config.yml"
    file.write_text(json.dumps(document))
    load_config(file)
    assert accepts(document)


def test_a_custom_source_may_have_any_key(accepts: Accepts) -> None:
    source = {"name": "dummy", "stream": "s", "source_file_path": "mine.py", "surprise": 1, "authentication": {"a": 1}}
    assert accepts({**DUMMY, "source": source})


def test_the_keys_of_a_source_are_described() -> None:
    described = pipeline_schema()["$defs"]["source.kafka"]["properties"]["bootstrap_servers"]
    assert "Brokers" in json.dumps(described)


def test_no_part_of_the_schema_is_missing() -> None:
    schema = pipeline_schema()
    text = json.dumps(schema)
    named = {part.partition('"')[0] for part in text.split('"#/$defs/')[1:]}
    assert named <= set(schema["$defs"])


@pytest.mark.parametrize("streams", ["*", ["creatures", {"name": "plants", "source": {"sleep": 1}}], None, "plants"])
def test_streams_take_the_place_of_the_stream_of_the_source(
    accepts: Accepts, streams: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = {key: value for key, value in DUMMY["source"].items() if key != "stream"}
    document = {**DUMMY, "source": source, "streams": streams, "destination": {"name": "logger"}}
    Path("pipe.yml").write_text(yaml.safe_dump(document))
    try:
        load_config("pipe.yml")
    except ConfigError:
        assert not accepts(document)
    else:
        assert accepts(document)
