"""From a document to a validated configuration."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from bizon.common.errors.errors import ConfigError, MissingDependencyError
from bizon.common.models import GenericSourceConfig
from bizon.config.document import document_from_dict, load_yaml
from bizon.config.loading import LoadedConfig, build_config, config_schema
from bizon.connectors.sources.dummy.src.config import DummySourceConfig
from bizon.engine.engine import source_config_class
from bizon.engine.runner.config import RunnerTypes
from bizon.source.config import SourceConfig, SourceSyncModes

DUMMY: dict[str, Any] = {
    "name": "p",
    "source": {
        "name": "dummy",
        "stream": "creatures",
        "authentication": {"type": "api_key", "params": {"token": "s3kret-token"}},
    },
    "destination": {"name": "logger"},
}


def dummy_class(_source: GenericSourceConfig) -> type[SourceConfig]:
    return DummySourceConfig


def build(
    data: dict[str, Any],
    overrides: Mapping[str, Any] | None = None,
    resolve: Any = dummy_class,
    **environ: str,
) -> LoadedConfig:
    return build_config(document_from_dict(data), environ=environ, overrides=overrides or {}, resolve_source=resolve)


def with_source(**keys: Any) -> dict[str, Any]:
    return {**DUMMY, "source": {**DUMMY["source"], **keys}}


def test_the_source_is_validated_by_its_own_config_class() -> None:
    source = build(with_source(sleep=2)).config.source
    assert isinstance(source, DummySourceConfig)
    assert source.sleep == 2


def test_the_callers_dict_is_not_changed() -> None:
    data = deepcopy(DUMMY)
    build(data, {"engine": {"runner": {"type": "stream"}}})
    assert data == DUMMY


@pytest.mark.lesson("F-21")
def test_overrides_win_and_what_they_leave_out_stays() -> None:
    data = {**DUMMY, "engine": {"runner": {"type": "process", "log_level": "DEBUG"}}}
    runner = build(data, {"engine": {"runner": {"log_level": "ERROR"}}}).config.engine.runner
    assert (runner.type, runner.log_level) == (RunnerTypes.PROCESS, "ERROR")


def test_a_wrong_override_is_not_blamed_on_a_line_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "pipe.yml"
    path.write_text("name: p\nsource: {name: a, stream: b}\ndestination: {name: logger}\n")
    with pytest.raises(ConfigError, match=r"pipe\.yml \(overridden\): engine\.runner\.type: unknown value 'x'"):
        build_config(
            load_yaml(path),
            environ={},
            overrides={"engine": {"runner": {"type": "x"}}},
            resolve_source=lambda _: SourceConfig,
        )


def test_variables_reach_the_typed_source() -> None:
    data = with_source(sleep="${env://SECONDS}", stream="BIZON_ENV_S")
    source = build(data, SECONDS="3", BIZON_ENV_S="plants").config.source
    assert isinstance(source, DummySourceConfig)
    assert (source.sleep, source.stream) == (3, "plants")


@pytest.mark.lesson("F-27")
def test_secrets_are_collected_and_never_shown() -> None:
    loaded = build(with_source(cursor_field="${env://FIELD} x"), FIELD="hush-hush")
    assert loaded.secrets >= {"s3kret-token"}
    assert "s3kret-token" not in repr(loaded)
    assert "s3kret-token" not in str(loaded.config)
    assert "s3kret-token" not in loaded.config.model_dump_json()


def test_mistakes_of_both_halves_are_reported_together() -> None:
    data = {**with_source(slep=1), "destination": {"name": "fil"}, "engin": {}}
    with pytest.raises(ConfigError) as caught:
        build(data)
    keys = [line.split(": ")[1] for line in str(caught.value).splitlines()]
    assert keys == ["source.slep", "destination.name", "engin"]


def test_a_connector_may_allow_what_the_base_does_not() -> None:
    class Wide(SourceConfig):
        authentication: dict[str, str]  # type: ignore[assignment]
        stream: str = Field(pattern="^x")

    data = with_source(authentication={"any": "thing"}, stream="xy")
    assert build(data, resolve=lambda _: Wide).config.source.stream == "xy"


def test_the_class_is_found_although_other_keys_are_wrong() -> None:
    with pytest.raises(ConfigError) as caught:
        build(with_source(sync_mode="incrementl", sleep="x"))
    assert "source.sync_mode: unknown value 'incrementl'" in str(caught.value)
    assert "source.sleep: expected a number, found a text" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "place"),
    [
        (None, ":3:9: source.name: "),
        (("source", "stream"), ":4:11: source.stream: "),
        (("stream",), ":4:11: source.stream: "),
    ],
)
def test_an_unknown_source_is_placed_at_the_key_the_finder_names(
    tmp_path: Path, key: tuple[str, ...] | None, place: str
) -> None:
    path = tmp_path / "pipe.yml"
    path.write_text("name: p\nsource:\n  name: a\n  stream: b\ndestination: {name: logger}\n")

    def refuse(_source: GenericSourceConfig) -> type[SourceConfig]:
        raise ConfigError("not that one", key=key)

    with pytest.raises(ConfigError) as caught:
        build_config(load_yaml(path), environ={}, overrides={}, resolve_source=refuse)
    assert str(caught.value) == f"{path}{place}not that one"


def test_a_missing_extra_is_a_config_mistake() -> None:
    def refuse(_source: GenericSourceConfig) -> type[SourceConfig]:
        raise MissingDependencyError("kafka", "source 'kafka'")

    with pytest.raises(ConfigError, match=r"config: source\.name: source 'kafka' needs .* 'bizon\[kafka\]'"):
        build(DUMMY, resolve=refuse)


def test_keys_of_the_base_are_checked_when_the_class_is_unknown() -> None:
    def refuse(_source: GenericSourceConfig) -> type[SourceConfig]:
        raise ConfigError("no such source")

    with pytest.raises(ConfigError) as caught:
        build(with_source(max_iterations=0, own_key=1), resolve=refuse)
    assert str(caught.value).splitlines() == [
        "config: source.name: no such source",
        "config: source.max_iterations: must be at least 1",
    ]


def test_a_custom_source_next_to_the_configuration_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf, work = tmp_path / "conf", tmp_path / "work"
    conf.mkdir()
    work.mkdir()
    monkeypatch.chdir(work)
    (conf / "mine.py").write_text("")
    (conf / "pipe.yml").write_text(
        "name: p\nsource: {name: a, stream: b, source_file_path: mine.py}\ndestination: {name: logger}\n"
    )

    def found() -> str | None:
        loaded = build_config(
            load_yaml(conf / "pipe.yml"), environ={}, overrides={}, resolve_source=lambda _: SourceConfig
        )
        return loaded.config.source.source_file_path

    assert found() == str(conf / "mine.py")
    (work / "mine.py").write_text("")
    assert found() == str(work / "mine.py"), "the working directory comes first"


def test_a_source_config_made_in_a_program_is_used_unchanged() -> None:
    source = DummySourceConfig.model_validate(DUMMY["source"])
    assert build({**DUMMY, "source": source}).config.source is source


def test_sync_mode_stream_implies_the_stream_runner() -> None:
    config = build(with_source(sync_mode="stream")).config
    assert config.source.sync_mode is SourceSyncModes.STREAM
    assert config.runner_type is RunnerTypes.STREAM


def test_the_schema_describes_every_key_and_leaves_room_for_connectors() -> None:
    schema = config_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["required"] == ["name", "source", "destination"]
    assert schema["$defs"]["SourceConfig"]["additionalProperties"] is True
    assert schema["additionalProperties"] is False
    blocks = [schema, *schema["$defs"].values()]
    undescribed = [
        f"{block['title']}.{key}"
        for block in blocks
        for key, value in block.get("properties", {}).items()
        if not value.get("description")
    ]
    assert undescribed == []


def test_every_reference_of_the_schema_leads_somewhere() -> None:
    schema = config_schema()

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for item in node for found in references(item)] if isinstance(node, list) else []

    found = {reference.removeprefix("#/$defs/") for reference in references(schema)}
    assert found
    assert found <= set(schema["$defs"])


STREAMS = [
    {"name": "s", "source": {"name": "t"}, "destination": {"table_id": "p.d.t"}},
]


@pytest.mark.parametrize(
    ("keys", "mistake"),
    [
        ({"sync_mode": "stream", "slep": 1}, "source.slep: unknown key"),
        ({"sync_mode": "steam"}, "source.sync_mode: unknown value 'steam'"),
        ({"sync_mode": "stream", "stream": None}, "source.stream: expected a text"),
    ],
)
def test_a_mistake_in_the_source_causes_no_other_elsewhere(keys: dict[str, Any], mistake: str) -> None:
    """``streams: needs source.sync_mode`` used to follow any other mistake in the source."""
    with pytest.raises(ConfigError) as raised:
        build({**with_source(**keys), "streams": STREAMS})
    assert mistake in str(raised.value)
    assert str(raised.value).count("\n") == 0


def test_streams_still_need_their_sync_mode() -> None:
    with pytest.raises(ConfigError, match=r"streams: needs source\.sync_mode: stream, not full_refresh"):
        build({**DUMMY, "streams": STREAMS})


def test_a_missing_source_is_still_reported() -> None:
    with pytest.raises(ConfigError, match="source: required key is missing"):
        build({key: value for key, value in DUMMY.items() if key != "source"})


@pytest.mark.parametrize("key", ["name", "stream"])
def test_a_name_that_the_state_has_no_room_for_is_refused(key: str) -> None:
    """Postgres used to report it after the run had started."""
    assert build(with_source(**{key: "n" * 100}))
    with pytest.raises(ConfigError, match=rf"source\.{key}: must have at most 100 characters"):
        build(with_source(**{key: "n" * 101}))


def test_a_schema_that_postgres_would_truncate_is_refused() -> None:
    backend = {"type": "postgres", "config": {"host": "h", "username": "u", "password": "", "database": "d"}}
    with pytest.raises(ConfigError, match=r"schema: must have at most 63 bytes, which is the longest name in Postgres"):
        build({**DUMMY, "engine": {"backend": {**backend, "config": {**backend["config"], "schema": "é" * 32}}}})


@pytest.mark.parametrize("database", ["sqlite:///state", "file:state", "st?check_same_thread=1", "a/b?mode=ro"])
def test_a_state_that_is_a_url_is_refused(database: str) -> None:
    with pytest.raises(ConfigError, match=r"engine\.backend\.config\.database: is a path, not a URL"):
        build({**DUMMY, "engine": {"backend": {"type": "sqlite", "config": {"database": database}}}})


@pytest.mark.parametrize("path", ["~nosuchuser/x.py", "x" * 300 + ".py"])
def test_a_source_path_that_cannot_be_resolved_is_one_message(path: str) -> None:
    """They used to be ``unexpected RuntimeError`` and ``unexpected OSError``."""
    with pytest.raises(ConfigError, match=r"source\.source_file_path: custom source "):
        build(with_source(source_file_path=path), resolve=source_config_class)
