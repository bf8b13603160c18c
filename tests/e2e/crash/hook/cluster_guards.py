"""Guards of runs whose workers are tasks of a Ray cluster."""

from types import ModuleType

from guards import guard, nothing, swap

RAY = "tests/e2e/test_ray.py"
LOST = f"{RAY}::test_a_node_that_is_lost_is_replaced_and_no_record_is"


@guard("engine.runner.joining.ray_tasks", LOST)
def a_worker_that_died_with_its_node_is_not_replaced(module: ModuleType) -> None:
    swap(module, "_MOST_DEATHS", lambda _inner: 0)


@guard("engine.runner.joining.ray_tasks", LOST)
def the_death_of_a_worker_is_taken_for_a_stop(module: ModuleType) -> None:
    def result(self: object, ref: object, _worker: object) -> object:
        try:
            return module.ray.get(ref)
        except module.ray.exceptions.RayError:
            return module.WorkerResult(module.PipelineReturnStatus.KILLED_BY_RUNNER)

    swap(module.RayTasks, "_result", lambda _inner: result)


@guard("engine.runner.joining.ray_tasks", f"{RAY}::test_a_stopped_run_commits_its_pages_and_is_resumed")
def workers_of_a_cluster_do_not_hear_of_a_stop(module: ModuleType) -> None:
    swap(module.RayTasks, "stop", nothing)
