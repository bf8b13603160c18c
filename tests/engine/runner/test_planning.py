"""The plan of a job: made when nothing is committed yet, kept, and handed out."""

from dataclasses import replace
from threading import Event
from typing import Any, ClassVar

import pytest
from fakes import ScriptedSource, memory_backend

from bizon.common.errors.errors import BackendError, ConfigError
from bizon.common.models import BizonConfig
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.engine import RunnerFactory, load_config_dict
from bizon.engine.partitions import PARTITIONS
from bizon.engine.pipeline.models import PipelineReturnStatus, Progress, WorkerResult
from bizon.engine.runner.config import RunnerTypes
from bizon.engine.runner.jobs import OpenedJob, open_job
from bizon.engine.runner.models import RunContext
from bizon.engine.runner.planning import plan_parts, planned, shares
from bizon.source.models import RESTARTS, SourceIncrementalState
from bizon.testing.backend_fixtures import commit


class PlanningSource(ScriptedSource):
    """Plans what the test says."""

    plan: ClassVar[Any] = []
    asked_for_a_plan: ClassVar[int] = 0

    def __init__(self, config: Any) -> None:
        super().__init__([[1]], config)

    def get_partitions(self) -> list[dict[str, Any]]:
        type(self).asked_for_a_plan += 1
        return list(self.plan) if isinstance(self.plan, list) else self.plan

    def get_total_records_count(self) -> int:
        return 77


class Bench:
    """A pipeline of that source; each ``plan`` is a start of the same job."""

    def __init__(self, plan: Any = (), producers: int = 2, **source: Any) -> None:
        PlanningSource.plan, PlanningSource.asked_for_a_plan = plan, 0
        self.backend: AbstractBackend = memory_backend()
        self.progress = Progress()
        self.config = self._config(producers, source)

    def _config(self, producers: int, source: dict[str, Any]) -> BizonConfig:
        runner = {"type": "thread", "config": {"max_parallel_partitions": producers}}
        document = {
            "name": "pipe",
            "source": {"name": "scripted", "stream": "items", **source},
            "destination": {"name": "logger", "config": {}},
            "engine": {"runner": runner},
        }
        return load_config_dict(document, PlanningSource).config

    def open(self) -> OpenedJob:
        return open_job(self.backend, self.config)

    def plan(self, **context: Any) -> RunContext | WorkerResult:
        opened = self.open()
        given = replace(RunContext(self.config, opened.run, opened.incremental), **context)
        return planned(given, self.backend, self.progress, Event())

    def context(self, **context: Any) -> RunContext:
        found = self.plan(**context)
        assert isinstance(found, RunContext)
        return found


def test_a_plan_is_made_once_and_kept_for_the_next_start() -> None:
    bench = Bench([{"n": 0}, {"n": 1}, {"n": 2}])
    first = bench.context()
    PlanningSource.plan = [{"other": 1}]
    assert bench.context().run.partitions == first.run.partitions
    assert [each.plan for each in first.run.partitions] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert PlanningSource.asked_for_a_plan == 1
    assert bench.progress.snapshot().total_records == 77


def test_a_joined_job_is_planned_once() -> None:
    bench = Bench([{"n": 0}, {"n": 1}])
    for _command in range(2):
        opened = open_job(bench.backend, bench.config, joined="monday")
        context = RunContext(bench.config, opened.run, opened.incremental)
        assert plan_parts(context, bench.backend, bench.progress, Event()) is None
        assert [each.plan for each in bench.backend.get_partitions(opened.job.id)] == [{"n": 0}, {"n": 1}]
        PlanningSource.plan = [{"other": 1}]
    assert PlanningSource.asked_for_a_plan == 1


def test_one_producer_is_not_asked_for_a_plan_and_a_kept_one_holds_for_it() -> None:
    bench = Bench([{"n": 0}, {"n": 1}])
    planned_by_two = bench.context().run.partitions
    bench.config = bench._config(1, {})
    found = bench.context()
    assert (found.run.partitions, found.producers) == (planned_by_two, 1)
    assert PlanningSource.asked_for_a_plan == 1


def test_without_a_plan_a_job_is_one_chain() -> None:
    found = Bench([]).context()
    assert (found.run.partitions, found.producers) == ((), 1)


@pytest.mark.parametrize("producers", [1, 2])
def test_a_job_that_has_committed_a_page_is_not_planned(producers: int) -> None:
    bench = Bench([{"n": 0}], producers)
    opened = bench.open()
    commit(bench.backend, opened.job.id, 0, 0, epoch=opened.run.epoch)
    assert bench.context().run.partitions == ()
    assert PlanningSource.asked_for_a_plan == 0


def test_a_run_that_fetches_what_changed_is_one_chain() -> None:
    bench = Bench([{"n": 0}])
    state = SourceIncrementalState.model_validate({"last_run": "2026-01-01T00:00:00Z"})
    assert bench.context(incremental=state).run.partitions == ()


@pytest.mark.parametrize("plan", [{"n": 0}, [1], [{"n": {1, 2}}], [{}] * 10_001], ids=["dict", "int", "set", "many"])
def test_a_plan_that_is_none_ends_the_run_with_the_reason(plan: Any) -> None:
    found = Bench(plan).plan()
    assert isinstance(found, WorkerResult)
    assert found.status is PipelineReturnStatus.SOURCE_ERROR
    assert "get_partitions" in str(found.error)


@pytest.mark.parametrize(("cap", "expected"), [(None, [None, None]), (7, [4, 3]), (1, [1])])
def test_the_cap_is_divided_among_the_producers(cap: int | None, expected: list[int | None]) -> None:
    found = Bench([{"n": 0}, {"n": 1}, {"n": 2}], max_iterations=cap).context()
    assert [share.most_pages for share in shares(found)] == expected


def test_each_partition_is_given_to_one_producer_those_that_have_begun_first() -> None:
    bench = Bench([{"n": 0}, {"n": 1}, {"n": 2}])
    run = bench.context().run
    places = {PARTITIONS: {"left": 2, "done": [1], "at": {"2": [4, {"page": 5}]}}}
    commit(bench.backend, run.job_id, 0, 5, epoch=run.epoch, pagination=places)
    first, second = shares(bench.context())
    taken = [first.take(), second.take(), first.take(), second.take()]
    assert [each and each.number for each in taken] == [2, 0, None, None]


def test_there_are_no_more_producers_than_partitions() -> None:
    assert Bench([{"n": 0}, {"n": 1}], producers=8).context().producers == 2


def test_a_checkpoint_of_partitions_without_their_plan_is_refused() -> None:
    bench = Bench([{"n": 0}])
    opened = bench.open()
    places = {PARTITIONS: {"left": 1, "done": [], "at": {"0": [4, {"page": 5}]}}}
    commit(bench.backend, opened.job.id, 0, 3, epoch=opened.run.epoch, pagination=places)
    with pytest.raises(BackendError, match="does not belong to the 0 partitions"):
        bench.open()


def test_a_job_whose_partition_can_only_be_continued_by_its_run_starts_over() -> None:
    bench = Bench([{"n": 0}, {"n": 1}])
    run = bench.context().run
    places = {PARTITIONS: {"left": 2, "done": [], "at": {"0": [4, {"page": 5}], "1": [1, {RESTARTS: True}]}}}
    commit(bench.backend, run.job_id, 0, 4, epoch=run.epoch, pagination=places)
    assert bench.open().job.id != run.job_id


def test_a_job_with_only_publishing_left_needs_no_runner_for_partitions() -> None:
    bench = Bench([{"n": 0}])
    run = bench.context().run
    commit(bench.backend, run.job_id, 0, 4, epoch=run.epoch, pagination={})
    engine = bench.config.engine
    runner = engine.runner.model_copy(update={"type": RunnerTypes.STREAM})
    bench.config = bench.config.model_copy(update={"engine": engine.model_copy(update={"runner": runner})})
    opened = bench.open()
    assert (opened.job.id, opened.run.resume.exhausted, opened.run.partitions) == (run.job_id, True, ())


@pytest.mark.parametrize(
    ("engine", "source"),
    [
        ({"runner": {"type": "stream"}}, {}),
        ({"runner": {"type": "thread"}, "queue": {"type": "rabbitmq", "config": {"queue": {"host": "mq"}}}}, {}),
        ({"runner": {"type": "thread"}}, {"sync_mode": "stream"}),
    ],
    ids=["runner stream", "a broker", "sync mode stream"],
)
def test_a_configuration_that_cannot_fetch_partitions_is_refused(
    engine: dict[str, Any], source: dict[str, Any]
) -> None:
    runner = {**engine["runner"], "config": {"max_parallel_partitions": 2}}
    document = {
        "name": "pipe",
        "source": {"name": "scripted", "stream": "items", **source},
        "destination": {"name": "logger", "config": {}},
        "engine": {**engine, "runner": runner},
    }
    with pytest.raises(ConfigError, match=r"max_parallel_partitions|has no partitions"):
        RunnerFactory.create_from_config_dict(document, source=PlanningSource)


def test_a_source_object_is_refused_because_each_partition_needs_its_own() -> None:
    runner = {"type": "thread", "config": {"max_parallel_partitions": 2}}
    document = {"name": "pipe", "destination": {"name": "logger", "config": {}}, "engine": {"runner": runner}}
    with pytest.raises(ConfigError, match="give a class instead of an object"):
        RunnerFactory.create_from_config_dict(document, source=ScriptedSource([[1]]))
