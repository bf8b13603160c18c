"""Several streams in one file, each a pipeline of its own: what each inherits, and the mistakes."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import EmptySource

from bizon.common.errors.errors import ConfigError
from bizon.common.models import BizonConfig
from bizon.engine.engine import load_config, load_config_dict
from bizon.engine.runner.shares import in_share

DUMMY: dict[str, Any] = {
    "name": "zoo",
    "source": {"name": "dummy", "authentication": {"type": "api_key", "params": {"token": "s3kret-token"}}},
    "streams": ["creatures", "plants"],
    "destination": {"name": "file"},
}
DUCKDB = {"name": "duckdb", "config": {"database": "zoo.duckdb"}}
REST: dict[str, Any] = {
    "name": "api",
    "source": {
        "name": "rest",
        "base_url": "http://localhost:1",
        "endpoints": {"contacts": {"path": "/contacts"}, "deals": {"path": "/deals"}},
    },
    "streams": "*",
    "destination": {"name": "file"},
}


def load(data: dict[str, Any]) -> BizonConfig:
    Path("zoo.yml").write_text(yaml.safe_dump(data, sort_keys=False))
    return load_config("zoo.yml").config


def mistakes(data: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(data)
    return str(caught.value).splitlines()


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def alone(data: dict[str, Any], stream: str, **keys: Any) -> BizonConfig:
    """The configuration of a file with one stream."""
    source = {**data["source"], "stream": stream, **keys}
    return load({**{key: value for key, value in data.items() if key != "streams"}, "source": source})


def test_a_stream_has_the_configuration_of_a_file_of_its_own() -> None:
    config = load(DUMMY)
    assert config.stream_names == ("creatures", "plants")
    for name in config.stream_names:
        assert config.for_stream(name) == alone(DUMMY, name)
        assert config.for_stream(name).stream_key == alone(DUMMY, name).stream_key


def test_the_keys_of_an_entry_override_the_keys_of_the_file() -> None:
    entry = {
        "name": "plants",
        "source": {"sleep": 2, "http": {"timeout": [1, 2]}},
        "destination": {"destination_id": "green", "alias": "leaves", "config": {"schema": "flora"}},
    }
    source = {**DUMMY["source"], "sleep": 1, "http": {"raise_for_status": False}}
    whole = {**DUMMY, "source": source, "streams": ["creatures", entry], "destination": DUCKDB}
    creatures, plants = map(load(whole).for_stream, ("creatures", "plants"))
    assert (creatures.source.sleep, plants.source.sleep) == (1, 2)  # type: ignore[attr-defined]
    assert plants.source.http is not None
    assert (plants.source.http.timeout, plants.source.http.raise_for_status) == ((1, 2), False)
    assert (creatures.destination.alias, plants.destination.alias) == ("duckdb", "leaves")
    assert (creatures.destination.config.destination_id, plants.destination.config.destination_id) == (None, "green")
    assert (plants.destination.config.schema_name, plants.destination.config.database) == ("flora", "zoo.duckdb")


def test_an_authentication_of_another_type_replaces_the_one_of_the_file() -> None:
    oauth = {"type": "oauth", "params": {"token_refresh_endpoint": "http://x", "client_id": "i", "client_secret": "s3"}}
    config = load({**DUMMY, "streams": ["creatures", {"name": "plants", "source": {"authentication": oauth}}]})
    assert config.for_stream("plants").source.authentication.type == "oauth"  # type: ignore[union-attr]


def test_the_table_of_an_entry_is_its_destination_id_with_its_columns() -> None:
    columns = [{"name": "id", "type": "integer"}]
    table = {"table_id": "green", "record_schema": columns, "unnest": True}
    config = load({**DUMMY, "streams": ["creatures", {"name": "plants", "destination": table}]}).for_stream("plants")
    (schema,) = config.destination.config.record_schemas
    assert (config.destination.config.destination_id, schema.destination_id) == ("green", "green")
    assert [column.name for column in schema.record_schema] == ["id"]


def test_the_placeholder_in_a_text_of_the_destination_is_the_stream() -> None:
    destination = {"name": "file", "config": {"destination_id": "out/{stream}/rows"}}
    config = load({**DUMMY, "destination": destination, "on_error": "dead_letter", "dead_letter_path": "bad/{stream}"})
    plants = config.for_stream("plants")
    assert plants.destination.config.destination_id == "out/plants/rows"
    assert plants.dead_letter_path == "bad/plants"


def test_an_option_wins_over_the_entry_of_a_stream() -> None:
    Path("zoo.yml").write_text(yaml.safe_dump({**DUMMY, "streams": [{"name": "plants", "source": {"sleep": 2}}]}))
    loaded = load_config("zoo.yml", overrides={"source": {"sleep": 3}})
    assert loaded.config.for_stream("plants").source.sleep == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(("data", "names"), [(DUMMY, ("creatures", "plants")), (REST, ("contacts", "deals"))])
def test_a_star_is_every_stream_that_the_source_or_its_block_names(data: dict[str, Any], names: tuple[str]) -> None:
    assert load({**data, "streams": "*"}).stream_names == names


def test_a_star_is_left_open_where_only_the_connection_knows_the_streams() -> None:
    config = load({"name": "db", "source": {"name": "sql", "url": "sqlite:///x.db"}, "streams": "*", **destination()})
    assert config.stream_names is None
    assert config.for_stream("orders").source.stream == "orders"


def destination() -> dict[str, Any]:
    return {"destination": {"name": "file"}}


def test_a_class_that_a_program_passes_is_the_source_of_every_stream() -> None:
    class Two(EmptySource):
        @staticmethod
        def streams() -> list[str]:
            return ["a", "b"]

    config = load_config_dict({"name": "two", "streams": "*", "destination": {"name": "logger"}}, Two).config
    assert config.stream_names == ("a", "b")
    assert config.for_stream("b").source.given_source is Two


def test_the_whole_has_no_key_in_the_state() -> None:
    with pytest.raises(ConfigError, match="choose one with --stream: creatures, plants"):
        _ = load(DUMMY).stream_key
    with pytest.raises(ConfigError, match="there is no stream 'plnts'; the pipeline has creatures, plants"):
        load(DUMMY).for_stream("plnts")
    with pytest.raises(ConfigError, match="has the stream 'plants', not 'creatures'"):
        alone(DUMMY, "plants").for_stream("creatures")


def test_streams_that_run_at_the_same_time_share_the_buffer_of_one() -> None:
    engine = {"runner": {"type": "process"}}
    rest = {**REST, "source": {**REST["source"], "http": {"rate": 8}}, "engine": engine}
    part = in_share(load(rest).for_stream("deals"), 4)
    assert part.destination.config.buffer_size == 12
    assert part.engine.runner.config.micro_batch.max_size == 4
    assert part.source.http.rate == 2  # type: ignore[union-attr]
    threads = in_share(load({**rest, "engine": {}}).for_stream("deals"), 4)
    assert threads.source.http.rate == 8  # type: ignore[union-attr]


FILE = {"name": "file", "config": {"destination_id": "same"}}
MISTAKES: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unknown key of an entry": (
        {"streams": ["creatures", {"name": "plants", "soruce": {}}]},
        "zoo.yml:11:3: streams[1].soruce: unknown key; allowed: name, source, destination; did you mean 'source'?",
        "",
    ),
    "an entry without a name": ({"streams": [{"source": {}}]}, "streams[0].name: required key is missing", ""),
    "an entry of another kind": ({"streams": [3]}, "streams[0]: expected a mapping of keys, found a number", ""),
    "no list": ({"streams": "creatures"}, "streams: expected a list, found a text", ""),
    "an empty list": ({"streams": []}, "streams: must have at least 1 item", ""),
    "a name twice": (
        {"streams": ["plants", "creatures", "plants"]},
        "streams[2]: stream 'plants' is named twice, first as entry 1",
        "",
    ),
    "a stream that the source lacks": (
        {"streams": ["creatures", "plnts"]},
        "zoo.yml:10:3: streams[1]: source 'dummy' has no stream 'plnts'; did you mean 'plants'?",
        "",
    ),
    "a wrong value of an entry": (
        {"streams": ["creatures", {"name": "plants", "source": {"sleep": "long"}}]},
        "streams[1].source.sleep: expected a number",
        "creatures",
    ),
    "a wrong value of a destination": (
        {"streams": ["creatures", {"name": "plants", "destination": {"formt": "csv"}}]},
        "streams[1].destination.formt: unknown key",
        "creatures",
    ),
    "a source of its own": (
        {"streams": [{"name": "plants", "source": {"name": "rest"}}]},
        "streams[0].source.name: the source is the same for all streams",
        "",
    ),
    "another destination": (
        {"streams": [{"name": "plants", "destination": {"name": "logger"}}]},
        "streams[0].destination.name: the destination is the same for all streams",
        "",
    ),
    "a sync mode that the source lacks": (
        {"streams": ["creatures", {"name": "plants", "source": {"sync_mode": "incremental"}}]},
        "streams[1].source.sync_mode: source 'dummy' does not support sync_mode incremental",
        "",
    ),
    "one file for two": (
        {"destination": FILE},
        "destination.config.destination_id: streams 'creatures' and 'plants' would write the same file",
        "",
    ),
    "one table for two, in another case": (
        {
            "streams": ["creatures", {"name": "plants", "destination": {"destination_id": "DUMMY_creatures"}}],
            "destination": DUCKDB,
        },
        "streams[1].destination.destination_id: streams 'creatures' and 'plants' would write the same table main.",
        "",
    ),
    "one dead-letter file for two": (
        {"on_error": "dead_letter", "dead_letter_path": "bad"},
        "dead_letter_path: streams 'creatures' and 'plants' would write the same file",
        "",
    ),
    "streams that never end and fill every place": (
        {
            "source": {**DUMMY["source"], "sync_mode": "stream"},
            "engine": {"runner": {"config": {"max_parallel_streams": 1}}},
        },
        "engine.runner.config.max_parallel_streams: must be at least 2, not 1: 2 streams never end",
        "",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_named_once_with_its_line_and_key(case: str) -> None:
    changes, text, absent = MISTAKES[case]
    (found,) = mistakes({**DUMMY, **changes})
    assert text in found
    assert found.startswith("zoo.yml:")
    assert not absent or absent not in found


def test_a_mistake_in_the_shared_part_is_named_once() -> None:
    source = {**DUMMY["source"], "sleep": "long"}
    (found,) = mistakes({**DUMMY, "source": source})
    assert "source.sleep: expected a number" in found


def test_a_mistake_of_one_stream_in_the_shared_part_names_the_stream() -> None:
    endpoints = {"contacts": {"path": "/c", "incremental": {"cursor_field": "changed"}}, "deals": {"path": "/d"}}
    source = {**REST["source"], "endpoints": endpoints, "sync_mode": "incremental"}
    found = mistakes({**REST, "source": source})
    assert any("source.sync_mode" in line and line.endswith("(stream deals)") for line in found), found


def test_names_of_streams_and_a_stream_of_the_source_exclude_each_other() -> None:
    (found,) = mistakes({**DUMMY, "source": {**DUMMY["source"], "stream": "plants"}})
    assert "for streams of their own remove source.stream" in found
