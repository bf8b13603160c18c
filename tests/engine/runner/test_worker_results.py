"""Several producers have one result."""

from bizon.engine.backend.models import Role
from bizon.engine.pipeline.models import PipelineReturnStatus, WorkerResult
from bizon.engine.runner.worker_results import merged, merged_by_role

SUCCESS = WorkerResult(PipelineReturnStatus.SUCCESS)
STOPPED = WorkerResult(PipelineReturnStatus.KILLED_BY_RUNNER)
FAILED = WorkerResult(PipelineReturnStatus.SOURCE_ERROR, error="partition 3 is gone")


def test_a_producer_that_failed_counts_before_those_that_were_stopped_for_it() -> None:
    assert merged([SUCCESS, STOPPED, FAILED]) == FAILED


def test_a_producer_that_was_stopped_has_not_succeeded() -> None:
    assert merged([SUCCESS, STOPPED]).status is PipelineReturnStatus.KILLED_BY_RUNNER


def test_each_error_appears_once() -> None:
    other = FAILED._replace(error="partition 4 is gone")
    assert merged([FAILED, other, FAILED]).error == "partition 3 is gone | partition 4 is gone"


def test_a_cap_that_one_producer_has_reached_is_the_cap_of_all() -> None:
    assert merged([SUCCESS, SUCCESS._replace(capped=True)]) == SUCCESS._replace(capped=True)


def test_each_role_has_its_result() -> None:
    found = merged_by_role([(Role.PRODUCER, SUCCESS), (Role.PRODUCER, FAILED), (Role.CONSUMER, SUCCESS)])
    assert found == {"producer": FAILED, "consumer": SUCCESS}
