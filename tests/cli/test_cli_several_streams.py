"""Each command on a file with several streams."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from bizon.cli.text.streams import streams_conclusion
from bizon.common.errors.errors import BackendError, ConfigError, JobLockedError
from bizon.engine.engine import load_config_dict
from bizon.engine.pipeline.models import PipelineReturnStatus
from bizon.engine.runner.models import RunnerStatus
from bizon.engine.runner.streams_status import StreamEnd, StreamsStatus

if TYPE_CHECKING:
    from conftest import Bizon

STREAMS = ["creatures", "plants"]
SUCCESS = PipelineReturnStatus.SUCCESS
DONE = RunnerStatus("job", producer=SUCCESS, consumer=SUCCESS, published=True, records_written=5, where="out.json")
FAILED = DONE._replace(producer=PipelineReturnStatus.SOURCE_ERROR, published=False, error="the API is down")
STOPPED = DONE._replace(published=False, interrupted=True, error="stopped on request")


@pytest.fixture
def several(config: Path) -> dict[str, Any]:
    """A file with two streams."""
    data: dict[str, Any] = yaml.safe_load(config.read_text())
    del data["source"]["stream"]
    data |= {"streams": STREAMS, "destination": {"name": "file", "config": {"destination_id": "out/{stream}"}}}
    config.write_text(yaml.safe_dump(data))
    return data


def test_a_run_has_a_line_for_each_stream_and_one_for_all(several: dict[str, Any], bizon: "Bizon") -> None:
    done = bizon("run", "pipe.yml", "--result-json", "result.json")
    assert done.exit_code == 0, done.output
    *each, last = done.stdout.splitlines()
    folder = Path.cwd() / "out"
    for name, line in zip(STREAMS, each, strict=True):
        assert line.startswith(f"{name}: 5 records written in ")
        assert line.endswith(f"Records: {folder / name}.json")
    assert last.startswith("Pipeline finished with status Success: 2 streams, 10 records written in ")
    assert "| plants | Starting job " in done.stderr
    result = json.loads(Path("result.json").read_text())
    assert (result["status"], result["records_written"], result["published"]) == ("success", 10, True)
    assert [(each["name"], each["records_written"]) for each in result["streams"]] == [(name, 5) for name in STREAMS]


def test_status_and_reset_take_all_streams_or_one(several: dict[str, Any], bizon: "Bizon") -> None:
    bizon("run", "pipe.yml", "--stream", "plants")
    lines = bizon("status", "pipe.yml").stdout.splitlines()
    assert [line for line in lines if line.startswith(("Pipeline", "State"))] == [
        "Pipeline: pipe (dummy.creatures)",
        "State: no run yet",
        "Pipeline: pipe (dummy.plants)",
        "State: succeeded",
    ]
    assert [each["stream"] for each in json.loads(bizon("status", "pipe.yml", "--json").stdout)] == STREAMS
    assert json.loads(bizon("status", "pipe.yml", "--json", "--stream", "plants").stdout)["stream"] == "plants"
    assert "of dummy.plants" in bizon("stream", "reset", "pipe.yml", "--stream", "plants").stdout
    assert bizon("status", "pipe.yml").stdout.count("Reset: requested") == 1
    assert len(bizon("stream", "reset", "pipe.yml").stdout.splitlines()) == 2
    assert bizon("status", "pipe.yml").stdout.count("Reset: requested") == 2


def test_status_of_a_star_shows_the_streams_that_have_run(several: dict[str, Any], bizon: "Bizon") -> None:
    Path("pipe.yml").write_text(yaml.safe_dump({**several, "streams": "*"}))
    assert bizon("status", "pipe.yml").stdout == "pipe.yml: no stream has run yet\n"
    bizon("run", "pipe.yml", "--stream", "plants")
    assert "(dummy.plants)" in bizon("status", "pipe.yml").stdout
    assert "(dummy.creatures)" not in bizon("status", "pipe.yml").stdout


def test_a_star_asks_the_connection_for_the_streams_at_each_run(bizon: "Bizon", tmp_path: Path) -> None:
    source = {"name": "sql", "url": "sqlite:///shop.db"}
    Path("shop.yml").write_text(
        yaml.safe_dump({"name": "shop", "source": source, "streams": "*", "destination": {"name": "file"}})
    )
    for names in (["orders"], ["items", "orders"]):
        with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as shop:
            shop.execute(f"CREATE TABLE {names[0]} (id INTEGER PRIMARY KEY)")
        done = bizon("run", "shop.yml")
        assert done.exit_code == 0, done.output
        assert [line.partition(":")[0] for line in done.stdout.splitlines()[:-1]] == names
    assert (
        "shop.yml is valid: all streams (full_refresh) of sql -> file" in bizon("config", "validate", "shop.yml").stdout
    )
    assert [line.split()[:2] for line in bizon("check", "shop.yml").stdout.splitlines()] == [
        *(["ok", part] for _ in names for part in ("source", "destination")),
        ["ok", "state"],
    ]


def test_streams_of_a_connection_that_would_write_the_same_output_do_not_run(bizon: "Bizon", tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as shop:
        for name in ("items", "orders"):
            shop.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY)")
    source, same = {"name": "sql", "url": "sqlite:///shop.db"}, {"name": "file", "config": {"destination_id": "x"}}
    document = {"name": "shop", "source": source, "streams": "*", "destination": same}
    Path("shop.yml").write_text(yaml.safe_dump(document))
    done = bizon("run", "shop.yml")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "destination.config.destination_id: streams 'items' and 'orders' would write the same file" in done.stderr


@pytest.mark.parametrize("command", ["preview", "show", "schema show", "schema diff", "source test"])
def test_a_command_that_looks_at_one_stream_says_that_it_needs_a_choice(
    several: dict[str, Any], bizon: "Bizon", command: str
) -> None:
    done = bizon(*command.split(), "pipe.yml")
    assert done.exit_code == 2
    assert "the pipeline has several streams; choose one with --stream: creatures, plants" in done.stderr
    wrong = bizon(*command.split(), "pipe.yml", "--stream", "plnts")
    assert wrong.exit_code == 2
    assert "there is no stream 'plnts'; the pipeline has creatures, plants" in wrong.stderr


def test_a_preview_and_a_table_of_one_stream_are_shown(several: dict[str, Any], bizon: "Bizon") -> None:
    bizon("run", "pipe.yml")
    assert "dummy.plants: 5 records" in bizon("preview", "pipe.yml", "--stream", "plants").stdout
    assert "5 rows" in bizon("show", "pipe.yml", "--stream", "creatures").stdout


def test_streams_into_one_duckdb_file_take_turns(several: dict[str, Any], bizon: "Bizon") -> None:
    """Two of them used to fail when both created the same table of bizon."""
    destination = {"name": "duckdb", "config": {"database": "zoo.duckdb"}}
    Path("pipe.yml").write_text(yaml.safe_dump({**several, "destination": destination}))
    for _ in range(2):
        done = bizon("run", "pipe.yml")
        assert done.exit_code == 0, done.output
    assert [bizon("show", "pipe.yml", "--stream", name).stdout.split()[1] for name in STREAMS] == ["5", "5"]


def test_check_and_validate_take_every_stream(several: dict[str, Any], bizon: "Bizon") -> None:
    assert bizon("check", "pipe.yml").stdout.splitlines() == [
        "ok      source       dummy.creatures",
        "ok      destination  file out/creatures for creatures",
        "ok      source       dummy.plants",
        "ok      destination  file out/plants for plants",
        "ok      state        sqlite",
    ]
    assert bizon("config", "validate", "pipe.yml").stdout == (
        "pipe.yml is valid: 2 streams, creatures (full_refresh), plants (full_refresh), of dummy -> file, "
        "runner thread\n"
    )
    assert "[Full refresh only] - plants" in bizon("stream", "list", "pipe.yml").stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--stream", "plnts"), "there is no stream 'plnts'; the pipeline has creatures, plants"),
        (("--role", "producer"), "--role runs one role of one stream: choose it with --stream"),
    ],
)
def test_a_choice_that_is_not_there_is_a_mistake(
    several: dict[str, Any], bizon: "Bizon", arguments: tuple[str], text: str
) -> None:
    done = bizon("run", "pipe.yml", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert text in done.stderr


def test_a_file_of_one_stream_runs_no_other(config: Path, bizon: "Bizon") -> None:
    done = bizon("run", "pipe.yml", "--stream", "plants")
    assert done.exit_code == 2
    assert "the pipeline has the stream 'creatures', not 'plants'" in done.stderr


BAD, LOCKED = ConfigError("a key is wrong"), JobLockedError("it is being run")
ENDS = {
    "all done": ([DONE, DONE], 0),
    "one stopped": ([DONE, STOPPED], 130),
    "one did not begin": ([DONE, None], 130),
    "one locked, one stopped": ([LOCKED, STOPPED], 3),
    "one failed, one locked": ([FAILED, LOCKED], 1),
    "the state failed": ([BackendError("the disk is full"), DONE], 1),
    "one wrong, one failed": ([BAD, FAILED], 2),
}


@pytest.mark.parametrize("case", ENDS)
def test_the_gravest_end_gives_the_exit_code(several: dict[str, Any], case: str) -> None:
    ends, code = ENDS[case]
    streams = tuple(
        StreamEnd(name, end if isinstance(end, RunnerStatus) else None, end if isinstance(end, Exception) else None)
        for name, end in zip(STREAMS, ends, strict=True)
    )
    end = streams_conclusion(StreamsStatus(streams), 1.0, load_config_dict(several).config)
    assert end.exit_code == code
    assert len(end.out) + len(end.err) == 3
