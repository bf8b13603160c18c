"""``bizon run`` with a fake runner: messages, exit codes, the result file."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from loguru import logger

from bizon.common.errors.errors import (
    BackendError,
    ConfigError,
    JobLockedError,
    MissingDependencyError,
    SourceConnectionError,
)
from bizon.common.models import BizonConfig
from bizon.engine.pipeline.models import PipelineReturnStatus
from bizon.engine.runner.models import RunnerStatus

if TYPE_CHECKING:
    from conftest import Bizon, Factory

FAILED = RunnerStatus(
    "job-1",
    producer=PipelineReturnStatus.SOURCE_ERROR,
    consumer=PipelineReturnStatus.SUCCESS,
    error="the API refused s3kret-token",
    records_written=3,
)


def result_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())


def test_a_success_says_where_the_records_are_and_ends_with_status_count_and_seconds(
    bizon: "Bizon", factory: "Factory"
) -> None:
    factory.status = factory.status._replace(where="out.json")
    result = bizon("run", "pipe.yml")
    assert result.exit_code == 0
    first, where, last = result.stdout.splitlines()
    assert first == "Pipeline finished successfully."
    assert where == "Records: out.json"
    assert last.startswith("Pipeline finished with status Success: 5 records written in ")
    assert last.endswith(" s")


def test_a_failure_is_one_error_on_stderr_and_exit_code_1(bizon: "Bizon", factory: "Factory") -> None:
    factory.status = FAILED
    result = bizon("run", "pipe.yml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith(
        "Error: Pipeline finished with status Failure (Producer: source_error, Consumer: success): the API refused "
    )
    assert "3 records written in " in result.stderr
    assert result.stderr.endswith("; run again to resume after the last checkpoint)\n")


@pytest.mark.lesson("F-27")
def test_secrets_are_masked_in_errors_logs_and_tracebacks(bizon: "Bizon", factory: "Factory", tmp_path: Path) -> None:
    """A connection error used to log the Authorization header and the client secret."""

    def work(_runner: object) -> None:
        logger.error("sent Authorization: Bearer abc and from-the-environment")
        logger.opt(exception=ValueError("s3kret-token")).error("with a traceback")

    factory.work, factory.status = work, FAILED
    result = bizon("run", "pipe.yml", "--log-level", "DEBUG", "--result-json", "result.json")
    for text in (result.output, json.dumps(result_of(tmp_path))):
        assert "s3kret-token" not in text
        assert "from-the-environment" not in text
        assert "Bearer abc" not in text
    assert "ValueError: **********" in result.stderr


@pytest.mark.lesson("F-24")
def test_a_capped_run_says_that_nothing_is_published_and_how_to_continue(bizon: "Bizon", factory: "Factory") -> None:
    """A truncated run used to look like a complete one."""
    factory.status = factory.status._replace(published=False, capped=True)
    factory.config = BizonConfig.model_validate(
        {**factory.config.model_dump(), "source": {"name": "d", "stream": "s", "max_iterations": 2}}
    )
    result = bizon("run", "pipe.yml")
    assert result.exit_code == 0
    assert "Stopped after max_iterations (2 pages); nothing is published yet; run again to continue." in result.stdout


@pytest.mark.lesson("F-15")
def test_an_interrupted_run_says_that_it_can_be_resumed_and_exits_130(bizon: "Bizon", factory: "Factory") -> None:
    """It used to publish and to report success, or to die silently."""
    killed = PipelineReturnStatus.KILLED_BY_RUNNER
    factory.status = RunnerStatus("j", producer=killed, consumer=killed, interrupted=True, records_written=1)
    result = bizon("run", "pipe.yml")
    assert result.exit_code == 130
    assert "status Interrupted: 1 record written in " in result.stderr
    assert result.stderr.rstrip().endswith("nothing was published; run again to resume")


@pytest.mark.lesson("F-21")
def test_flags_reach_the_configuration_only_when_given(bizon: "Bizon", factory: "Factory") -> None:
    """The default of --runner used to beat the YAML."""
    bizon("run", "pipe.yml")
    assert factory.asked == {"filepath": "pipe.yml", "env_file": None, "overrides": {}}
    bizon(
        "run", "pipe.yml", "--runner", "process", "--log-level", "debug", "--custom-source", "x.py", "--env-file", "e"
    )
    assert factory.asked == {
        "filepath": "pipe.yml",
        "env_file": "e",
        "overrides": {
            "engine": {"runner": {"type": "process", "log_level": "DEBUG"}},
            "source": {"source_file_path": "x.py"},
        },
    }


@pytest.mark.parametrize(
    ("error", "exit_code", "failure_class"),
    [
        (ConfigError("pipe.yml:1:1: wrong"), 2, "config"),
        (SourceConnectionError("no route"), 1, "source"),
        (BackendError("the disk is full"), 1, "backend"),
        (JobLockedError("another run is in progress"), 3, "locked"),
        (MissingDependencyError("bigquery", "destination 'bigquery'"), 2, "config"),
        (RuntimeError("a bug"), 1, "unknown"),
    ],
)
@pytest.mark.parametrize("where", ["before", "within"])
def test_an_exception_becomes_one_error_and_is_in_the_result_file(
    bizon: "Bizon", factory: "Factory", tmp_path: Path, error: Exception, exit_code: int, failure_class: str, where: str
) -> None:
    def fail(_runner: object) -> None:
        raise error

    if where == "before":
        factory.error = error
    else:
        factory.work = fail
    result = bizon("run", "pipe.yml", "--result-json", "result.json")
    assert result.exit_code == exit_code
    assert f"{error}" in result.stderr
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.stderr
    assert (result_of(tmp_path)["status"], result_of(tmp_path)["failure_class"]) == ("failure", failure_class)
    assert str(error) in result_of(tmp_path)["error"]


def test_an_unexpected_error_says_how_to_learn_more(bizon: "Bizon", factory: "Factory") -> None:
    factory.error = RuntimeError("a bug")
    assert "unexpected RuntimeError: a bug; run again with --log-level DEBUG" in bizon("run", "x").stderr
    assert "Traceback (most recent call last)" in bizon("run", "x", "--log-level", "DEBUG").stderr


def test_the_result_file_says_how_the_run_ended(bizon: "Bizon", factory: "Factory", tmp_path: Path) -> None:
    during: list[dict[str, Any]] = []
    factory.work = lambda _runner: during.append(result_of(tmp_path))
    assert bizon("run", "pipe.yml", "--result-json", "result.json").exit_code == 0
    assert during[0]["status"] == "running"
    result = result_of(tmp_path)
    assert result.pop("duration_s") >= 0
    assert result.pop("started_at").endswith("+00:00")
    assert result == {
        "status": "success",
        "failure_class": None,
        "job_id": "job-1",
        "producer": "success",
        "consumer": "success",
        "stream": None,
        "records_written": 5,
        "records_rejected": 0,
        "values_rescued": 0,
        "dead_letters": None,
        "published": True,
        "partitions": None,
        "error": None,
    }
    assert os.listdir(tmp_path) == ["result.json"], "what was written aside is renamed"


def test_the_result_file_of_a_failure_names_the_part_that_failed(
    bizon: "Bizon", factory: "Factory", tmp_path: Path
) -> None:
    factory.status = FAILED
    bizon("run", "pipe.yml", "--result-json", "result.json")
    result = result_of(tmp_path)
    assert (result["status"], result["failure_class"], result["producer"]) == ("failure", "source", "source_error")
    assert result["error"] == "the API refused **********"


@pytest.mark.parametrize("path", ["nowhere/result.json", "."])
def test_a_result_file_that_cannot_be_written_stops_the_run_before_it_begins(
    bizon: "Bizon", factory: "Factory", path: str
) -> None:
    result = bizon("run", "pipe.yml", "--result-json", path)
    assert result.exit_code == 2
    assert f"--result-json {path}: cannot be written" in result.stderr
    assert factory.asked == {}


def test_the_log_level_of_the_configuration_counts(bizon: "Bizon", factory: "Factory") -> None:
    factory.work = lambda _runner: logger.info("by the way")
    assert "by the way" in bizon("run", "pipe.yml").stderr
    engine = {"runner": {"log_level": "WARNING"}}
    factory.config = BizonConfig.model_validate({**factory.config.model_dump(), "engine": engine})
    assert "by the way" not in bizon("run", "pipe.yml").stderr


def test_a_wrong_flag_is_a_usage_error(bizon: "Bizon", factory: "Factory") -> None:
    result = bizon("run", "pipe.yml", "--runner", "x")
    assert result.exit_code == 2
    assert "'thread', 'process', 'stream'" in result.stderr
    assert factory.asked == {}
