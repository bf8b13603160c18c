"""bizon as a library: a source that a program has made, how a run ended, records without a destination."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import loguru
import polars as pl
import pytest

import bizon
from bizon import RunFailedError, RunnerFactory, learn, records, records_frame
from bizon.common.errors.errors import BizonError, ConfigError, SourceConnectionError, SourceFetchError, TransformError
from bizon.common.secret import MASK, SecretText, registry
from bizon.connectors.sources.dummy.src.source import DummySource
from bizon.source.config import SourceConfig
from bizon.source.models import SourceIncrementalState, SourceIteration, SourceRecord
from bizon.source.source import AbstractSource

SECRET = "Sekret-77-Value"


class NumbersConfig(SourceConfig):
    pages: int = 3
    fail_at: int | None = None
    key: SecretText = ""


class Numbers(AbstractSource):
    """Two records per page."""

    config: NumbersConfig
    closed = 0
    asked: list[int]

    def __init__(self, config: NumbersConfig) -> None:
        super().__init__(config)
        self.asked = []

    @staticmethod
    def streams() -> list[str]:
        return ["numbers"]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return NumbersConfig

    def get_authenticator(self) -> None:
        return None

    def check_connection(self) -> tuple[bool, Any]:
        return self.config.pages > 0, "there are no pages"

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        page = (pagination or {}).get("page", 0)
        self.asked.append(page)
        headers = {"X-Key": self.config.key}
        if page == self.config.fail_at:
            raise TypeError(f"a mistake with {headers['X-Key']}")
        numbers = [SourceRecord(id=n, data={"n": n, "big": 2**70}) for n in (2 * page, 2 * page + 1)]
        return SourceIteration({"page": page + 1} if page + 1 < self.config.pages else {}, numbers)

    def get_records_after(
        self, source_state: SourceIncrementalState, pagination: dict[str, Any] | None = None
    ) -> SourceIteration:
        return SourceIteration({}, [SourceRecord(id="new", data={"since": source_state.last_run})])

    def close(self) -> None:
        super().close()
        Numbers.closed += 1


class Everything(Numbers):
    """Cannot report changes."""

    get_records_after = AbstractSource.get_records_after


def pipeline(folder: Path, **source: Any) -> dict[str, Any]:
    return {
        "name": "numbers",
        **({"source": source} if source else {}),
        "destination": {"name": "file", "config": {"destination_id": str(folder / "out")}},
        "engine": {"backend": {"type": "sqlite", "config": {"database": str(folder / "state")}}},
    }


def numbers(**keys: Any) -> Numbers:
    return Numbers(NumbersConfig(name="numbers", stream="numbers", **keys))


def rows(folder: Path) -> list[int]:
    return [json.loads(json.loads(line)["source_data"])["n"] for line in (folder / "out.json").read_text().splitlines()]


@pytest.mark.parametrize("runner", ["thread", "stream"])
def test_a_source_object_is_read_and_closed(tmp_path: Path, runner: str) -> None:
    source, before = numbers(pages=2), Numbers.closed
    config = pipeline(tmp_path)
    config["engine"]["runner"] = {"type": runner}
    status = RunnerFactory.create_from_config_dict(config, source=source).run(raise_on_failure=True)
    assert (status.records_written, status.published) == (4, True)
    assert rows(tmp_path) == [0, 1, 2, 3]
    assert source.asked == [0, 1]
    assert Numbers.closed == before + 1


def test_a_source_class_needs_neither_name_nor_its_only_stream(tmp_path: Path) -> None:
    runner = RunnerFactory.create_from_config_dict(pipeline(tmp_path, pages=1), source=Numbers)
    assert runner.bizon_config.source.stream == "numbers"
    assert runner.run().is_success
    assert rows(tmp_path) == [0, 1]


def test_a_source_class_of_a_module_travels_to_other_processes(tmp_path: Path) -> None:
    config = pipeline(
        tmp_path, stream="creatures", authentication={"type": "api_key", "params": {"token": "any-token"}}
    )
    config["engine"]["runner"] = {"type": "process"}
    status = RunnerFactory.create_from_config_dict(config, source=DummySource).run(raise_on_failure=True)
    assert status.records_written > 0


def test_an_object_that_cannot_be_pickled_is_refused_at_once(tmp_path: Path) -> None:
    config = pipeline(tmp_path)
    config["engine"]["runner"] = {"type": "process"}
    with pytest.raises(ConfigError, match="use runner type 'thread'"):
        RunnerFactory.create_from_config_dict(config, source=numbers())


@pytest.mark.parametrize(
    ("block", "source", "words"),
    [
        ({"pages": 1}, "object", "leave the block out"),
        ({"source_file_path": "x.py"}, Numbers, "leave source_file_path out"),
        ({"pagess": 1}, Numbers, "unknown key.*did you mean 'pages'"),
        ({"stream": "letters"}, Numbers, "has no stream 'letters'"),
        ({"stream": "numbers"}, dict, "must be a class or an object that extends AbstractSource"),
    ],
)
def test_a_wrong_source_is_a_mistake_in_the_configuration(
    tmp_path: Path, block: dict[str, Any], source: Any, words: str
) -> None:
    given = numbers() if source == "object" else source
    with pytest.raises(ConfigError, match=words):
        RunnerFactory.create_from_config_dict(pipeline(tmp_path, **block), source=given)


def test_a_failure_can_be_an_exception_that_carries_the_status(tmp_path: Path) -> None:
    runner = RunnerFactory.create_from_config_dict(pipeline(tmp_path, fail_at=1), source=Numbers)
    status = runner.run()
    assert not status.is_success
    with pytest.raises(RunFailedError, match="iteration 1: TypeError: a mistake") as caught:
        status.raise_on_failure()
    assert caught.value.status is status
    assert isinstance(caught.value, BizonError)
    with pytest.raises(RunFailedError, match="Pipeline finished with status Failure"):
        runner.run(raise_on_failure=True)
    resumed = RunnerFactory.create_from_config_dict(pipeline(tmp_path, fail_at=None), source=Numbers).run()
    assert resumed.raise_on_failure() is resumed


def test_a_run_in_a_program_shows_no_variable_with_the_default_sink(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """loguru's own sink prints the values of variables in a traceback, headers among them."""
    loguru.logger.remove()
    loguru.logger.add(sys.stderr)
    monkeypatch.setenv("BIZON_ENV_KEY", SECRET)
    source = {"fail_at": 0, "key": "BIZON_ENV_KEY"}
    status = RunnerFactory.create_from_config_dict(pipeline(tmp_path, **source), source=Numbers).run()
    shown = capfd.readouterr().err
    assert "raise TypeError" in shown
    assert f"a mistake with {MASK}" in shown
    assert SECRET not in shown
    assert SECRET not in str(status)


def test_records_are_fetched_page_by_page() -> None:
    source, before = numbers(), Numbers.closed
    found = records({}, source=source)
    assert source.asked == []
    first = next(found)
    assert (first.id, first.data) == ("0", {"n": 0, "big": 2**70})
    assert source.asked == [0]
    assert [record.id for record in found] == ["1", "2", "3", "4", "5"]
    assert Numbers.closed == before + 1


def test_records_follow_the_rules_of_a_run() -> None:
    transform = {"label": "odd", "python": "data['half'] = 1 / (data['n'] - 1)\nif data['n'] == 2:\n    data = None"}
    config = {"source": {"pages": 3, "max_iterations": 2}, "transforms": [transform], "on_error": "skip"}
    assert [record.data["half"] for record in records(config, source=Numbers)] == [-1.0, 0.5]
    with pytest.raises(TransformError, match="failed on record '1'"):
        list(records({**config, "on_error": "fail"}, source=Numbers))
    with pytest.raises(SourceConnectionError, match="there are no pages"):
        next(records({"source": {"pages": 0}}, source=Numbers))
    with pytest.raises(SourceFetchError, match="iteration 1: TypeError"):
        list(records({"source": {"fail_at": 1}}, source=Numbers))


def test_records_may_begin_at_a_moment() -> None:
    (record,) = records({}, source=numbers(), since=datetime(2026, 1, 1, tzinfo=UTC))
    assert record.data == {"since": "2026-01-01T00:00:00+00:00"}
    late = datetime(2026, 1, 1, 0, 0, 59, tzinfo=UTC)
    (record,) = records({"source": {"cursor_resolution": 60}}, source=Numbers, since=late)
    assert record.data == {"since": "2026-01-01T00:00:00+00:00"}, "a run begins at the whole unit too"
    with pytest.raises(ConfigError, match="has no end"):
        records({"source": {"sync_mode": "stream"}}, source=Numbers)
    with pytest.raises(ConfigError, match="it has no get_records_after"):
        records({}, source=Everything(numbers().config), since=datetime(2026, 1, 1, tzinfo=UTC))


def test_records_of_a_built_in_source_make_a_frame() -> None:
    login = {"type": "api_key", "params": {"token": "any-token"}}
    frame = records_frame({"source": {"name": "dummy", "stream": "creatures", "authentication": login}})
    assert set(frame.columns) == {"id", "name", "age"}
    assert frame.height == len(
        list(records({"source": {"name": "dummy", "stream": "creatures", "authentication": login}}))
    )
    assert records_frame({}, source=numbers(pages=1)).schema["n"] == pl.Int64
    assert records_frame({"transforms": [{"label": "none", "python": "data = None"}]}, source=numbers()).is_empty()


def test_the_names_of_the_library_are_importable() -> None:
    assert sorted(bizon.__all__) == sorted(dir(bizon))
    for name in bizon.__all__:
        assert getattr(bizon, name) is not None
    assert learn("Learned-55-Token") == "Learned-55-Token"
    registry.forget()
