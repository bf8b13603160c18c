"""Guards of jobs, the lease and the state."""

from dataclasses import replace
from types import ModuleType
from typing import Any

from guards import FAILURES, FREEZES, MATRIX, guard, nothing, swap

FRESH = "tests/e2e/crash/test_crash_matrix.py::test_a_fresh_run_first_finishes_a_job_that_may_be_published"


@guard(
    "engine.backend.adapters.sqlalchemy.destination_cursor_table",
    f"{FREEZES}::test_a_frozen_write_is_not_committed_once_another_run_has_started",
)
def overtaken_runs_commit(module: ModuleType) -> None:
    def make(commit: Any) -> Any:
        def call(self: Any, record: Any, *args: Any, **keys: Any) -> Any:
            newest = self.get_stream_job_by_id(record.job_id)
            return commit(self, replace(record, epoch=newest.attempt), *args, **keys)

        return call

    swap(module.DestinationCursorTable, "create_destination_cursor", make)


@guard(
    "engine.backend.adapters.sqlalchemy.lease_table",
    f"{FAILURES}::test_a_second_run_at_the_same_time_is_refused[thread]",
)
def lease_is_never_refused(module: ModuleType) -> None:
    def make(acquire: Any) -> Any:
        def call(*args: Any, **keys: Any) -> None:
            acquire(*args, **keys)

        return call

    swap(module.LeaseTable, "_acquire", make)


@guard(
    "engine.backend.adapters.sqlalchemy.job_table",
    "tests/engine/runner/test_jobs.py::test_a_superseded_run_does_not_decide_how_the_job_ends",
)
def overtaken_runs_end_the_job(module: ModuleType) -> None:
    def make(update: Any) -> Any:
        def call(self: Any, *args: Any, **keys: Any) -> None:
            update(self, *args, **{**keys, "epoch": None})

        return call

    swap(module.JobTable, "update_stream_job_status", make)


@guard("engine.runner.resuming", f"{FRESH}[before_success]")
def jobs_that_may_be_published_are_cancelled(module: ModuleType) -> None:
    swap(module, "may_be_published", lambda _inner: lambda *_args: False)


@guard("engine.runner.lease", f"{FAILURES}::test_a_run_whose_predecessor_was_killed_starts_at_once")
def dead_owners_count_as_alive(module: ModuleType) -> None:
    swap(module, "is_dead", lambda _inner: lambda _holder: False)


@guard("engine.runner.lease", f"{FAILURES}::test_a_second_run_at_the_same_time_is_refused[thread]")
def owners_at_work_count_as_dead(module: ModuleType) -> None:
    swap(module, "is_dead", lambda _inner: lambda _holder: True)


@guard("engine.runner.adapters.child", f"{FAILURES}::test_orphans_of_a_killed_process_runner_end_themselves")
def orphans_live_on(module: ModuleType) -> None:
    swap(module, "_die_with_parent", nothing)


@guard("engine.runner.jobs", f"{MATRIX}[before_success-incremental-json]")
def exhausted_jobs_are_not_recognised(module: ModuleType) -> None:
    def make(resume_point: Any) -> Any:
        def call(*args: Any, **keys: Any) -> Any:
            return replace(resume_point(*args, **keys), exhausted=False)

        return call

    swap(module, "resume_point", make)


@guard(
    "engine.runner.jobs",
    f"{FAILURES}::test_a_capped_run_fetches_exactly_that_many_pages_and_publishes_nothing[thread]",
)
def capped_runs_succeed(module: ModuleType) -> None:
    def make(close: Any) -> Any:
        def call(backend: Any, opened: Any, status: Any, *args: Any, **keys: Any) -> None:
            close(backend, opened, replace(status, published=status.published or status.capped), *args, **keys)

        return call

    swap(module, "close_job", make)


@guard(
    "engine.runner.jobs",
    f"{FAILURES}::test_a_source_that_fails_publishes_nothing_and_the_next_run_resumes[thread]",
)
def failed_runs_succeed(module: ModuleType) -> None:
    def make(close: Any) -> Any:
        def call(backend: Any, opened: Any, status: Any, *args: Any, **keys: Any) -> None:
            close(backend, opened, replace(status, published=not status.is_success), *args, **keys)

        return call

    swap(module, "close_job", make)
