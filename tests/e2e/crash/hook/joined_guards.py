"""Guards of jobs that several commands share."""

from types import ModuleType
from typing import Any

from guards import guard, nothing, swap

JOINED = "tests/e2e/crash/test_joined.py"
SQLITE = "tests/engine/backend/test_conformance.py::TestSQLite"
SQL = "engine.backend.adapters.sqlalchemy"
FILE = "connectors.destinations.file.src"


@guard(
    f"{SQL}.destination_cursor_table",
    f"{SQLITE}::test_a_worker_whose_part_was_taken_over_commits_nothing_any_more",
)
def the_epoch_of_a_part_is_not_compared(module: ModuleType) -> None:
    swap(module, "note_commit", nothing)


@guard(f"{SQL}.partition_table", f"{SQLITE}::test_nothing_is_committed_for_a_job_that_is_over")
def parts_of_a_job_that_is_over_are_committed(module: ModuleType) -> None:
    swap(module, "_IS_OVER", lambda inner: inner.where(module.stream_jobs.c.id.is_(None)))


@guard(f"{SQL}.partition_table", f"{SQLITE}::test_each_part_goes_to_one_worker")
def parts_that_are_held_are_taken(module: ModuleType) -> None:
    swap(module, "_free", lambda free: lambda connection, job_id, _now: free(connection, job_id, module.datetime.max))


@guard(
    f"{FILE}.output",
    "tests/connectors/destinations/file/test_file_conformance.py::TestLines::"
    "test_parts_of_a_job_that_was_given_up_never_show",
)
def workers_do_not_claim_the_file_for_their_job(module: ModuleType) -> None:
    def make(claim: Any) -> Any:
        return lambda self, state: claim(self, state) if self.claimant.fence[1] else self.make_folders()

    swap(module.Output, "claim", make)


@guard(f"{SQL}.partition_table", f"{SQLITE}::test_parts_of_a_job_have_one_next_state")
def states_of_parts_are_not_compared(module: ModuleType) -> None:
    swap(module, "_OTHER_STATES", lambda query: query.where(module.stream_partitions.c.number < 0))


@guard("engine.runner.jobs", f"{JOINED}::test_a_job_is_finished_the_way_it_was_begun")
def any_run_goes_on_with_any_job(module: ModuleType) -> None:
    swap(module, "check_may_go_on", nothing)


@guard("engine.runner.lease", f"{JOINED}::test_a_run_without_join_is_kept_out_while_a_joined_command_lives")
def the_lease_of_a_joined_job_is_not_renewed(module: ModuleType) -> None:
    swap(module.SharedLease, "_renew", lambda _inner: lambda _self: True)


@guard(
    "engine.runner.joining.publishing",
    f"{JOINED}::test_several_commands_share_a_job_and_one_publishes_it",
)
def a_job_that_is_over_is_published_again(module: ModuleType) -> None:
    swap(module, "_over", nothing)


@guard(
    "engine.pipeline.loader",
    "tests/engine/pipeline/test_loader_partitions.py::test_nothing_is_published_while_a_part_of_a_joined_job_is_left",
)
def parts_that_are_left_are_not_counted(module: ModuleType) -> None:
    def make(publish: Any) -> Any:
        def call(self: Any) -> None:
            self.backend.count_parts_left = lambda _job_id: 0
            publish(self)

        return call

    swap(module.Loader, "publish", make)
