"""The report on a pipeline whose roles are separate commands."""

from pathlib import Path

import pytest

from bizon.cli.text.status_lines import status_lines
from bizon.common.models import BizonConfig
from bizon.engine.backend.models import CommitRecord, Role
from bizon.engine.runner.assembly import build_backend
from bizon.engine.runner.jobs import open_job
from bizon.engine.runner.lease import held_lease, lease_key
from bizon.engine.runner.report import report_on


@pytest.fixture
def config(tmp_path: Path) -> BizonConfig:
    return BizonConfig.model_validate(
        {
            "name": "pipe",
            "source": {"name": "scripted", "stream": "items"},
            "destination": {"name": "logger", "config": {}},
            "engine": {"backend": {"type": "sqlite", "config": {"database": str(tmp_path / "state")}}},
        }
    )


def nothing(_reason: str) -> None:
    return None


def leases(config: BizonConfig) -> list[str]:
    return [line.partition(":")[0] for line in status_lines(report_on(config)) if line.startswith("Lease")]


@pytest.mark.parametrize(
    ("role", "name"),
    [(Role.PRODUCER, "Lease of the producer"), (Role.CONSUMER, "Lease of the consumer")],
    ids=list(Role),
)
def test_a_job_is_active_while_one_role_is(config: BizonConfig, role: Role, name: str) -> None:
    """The job of a consumer whose producer was done used to be shown as killed."""
    with build_backend(config) as backend:
        open_job(backend, config, role=Role.PRODUCER)
        assert report_on(config).was_killed
        with held_lease(backend, lease_key(config.stream_key, role), 60, nothing):
            report = report_on(config)
            assert (report.state, report.is_running, report.was_killed) == ("running", True, False)
            assert leases(config) == [name]
        assert leases(config) == []


def test_a_run_with_both_roles_is_shown_once(config: BizonConfig) -> None:
    key = config.stream_key
    with (
        build_backend(config) as backend,
        held_lease(backend, key, 60, nothing),
        held_lease(backend, lease_key(key, Role.CONSUMER), 60, nothing),
    ):
        assert leases(config) == ["Lease"]


def test_pages_that_are_fetched_ahead_of_the_checkpoint_are_shown(config: BizonConfig) -> None:
    key = config.stream_key
    with build_backend(config) as backend:
        opened = open_job(backend, config)

        def shown() -> list[str]:
            return [line for line in status_lines(report_on(config)) if line.startswith("Fetched")]

        assert shown() == []
        backend.create_source_cursor(opened.job.id, key, 20, 1_000, {"page": 21})
        assert shown() == ["Fetched: 1,000 records, up to iteration 19"]
        backend.create_destination_cursor(
            CommitRecord(opened.job.id, opened.run.epoch, key, "logger", 0, 19, 1_000, {"page": 20})
        )
        assert shown() == []
