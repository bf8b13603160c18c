"""Guards of jobs that several commands share."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from guards import guard, nothing, swap

JOINED = "tests/e2e/crash/test_joined.py"
RACES = "tests/e2e/crash/test_joined_races.py"
OPENING = "tests/engine/runner/test_frozen_opening.py"
TAKEN_OVER = "test_a_worker_whose_part_was_taken_over_commits_nothing_any_more"
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


@guard(f"{SQL}.partition_table", f"{SQLITE}::{TAKEN_OVER}[expired]")
def parts_whose_lease_has_expired_stay_taken(module: ModuleType) -> None:
    swap(module, "_free", lambda free: lambda connection, job_id, _now: free(connection, job_id, module.datetime.min))


@guard(f"{SQL}.partition_table", f"{SQLITE}::{TAKEN_OVER}[dead]")
def parts_of_dead_workers_are_left_until_their_lease_expires(module: ModuleType) -> None:
    swap(module, "_left_behind", nothing)


@guard(
    "engine.runner.joining.slots",
    f"{RACES}::test_a_part_whose_pages_take_longer_than_its_lease_stays_with_its_worker",
)
def leases_of_parts_are_not_renewed(module: ModuleType) -> None:
    swap(module.HeldPart, "_renew", nothing)


@guard("engine.runner.joining.slots", f"{JOINED}::test_a_stopped_command_gives_its_parts_back")
def a_stopped_command_keeps_its_parts(module: ModuleType) -> None:
    swap(module.HeldPart, "give_back", lambda _inner: lambda _self, _part: True)


@guard(
    "engine.runner.joining.slots",
    f"{JOINED}::test_a_command_that_is_frozen_past_its_lease_changes_nothing_any_more[after_write:3]",
)
def a_worker_whose_part_was_taken_over_fails_its_command(module: ModuleType) -> None:
    def work_on(self: Any, part: Any) -> Any:
        result = self._work.run(part, self._left)
        self._held.give_back(part)
        return result

    swap(module.Slot, "_work_on", lambda _inner: work_on)


@guard("engine.runner.joining.runner", f"{RACES}::test_the_only_command_whose_worker_process_dies_fails_and_is_resumed")
def dead_workers_keep_a_job_from_failing(module: ModuleType) -> None:
    swap(module, "is_at_work", lambda _inner: lambda *_args: True)


@guard("engine.runner.joining.publishing", f"{RACES}::test_a_command_waits_while_another_one_publishes")
def every_command_publishes(module: ModuleType) -> None:
    swap(module, "one_at_a_time", lambda _inner: _every)


@contextmanager
def _every(*_args: Any) -> Iterator[bool]:
    yield True


@guard(
    "engine.runner.joining.publishing",
    f"{RACES}::test_a_publisher_that_wakes_up_while_another_one_publishes_a_file_changes_nothing"
    "[json-before_finalize-before_finalize]",
)
def a_publisher_is_no_start_of_the_job(module: ModuleType) -> None:
    """It opens no epoch."""

    def make(publish: Any) -> Any:
        def call(context: Any, backend: Any, stopping: Any) -> Any:
            backend.open_epoch = lambda job_id: backend.get_stream_job_by_id(job_id).attempt
            return publish(context, backend, stopping)

        return call

    swap(module, "_publish", make)


@guard(
    "engine.runner.joining.publishing",
    f"{RACES}::test_a_publisher_that_finds_its_staging_gone_learns_that_another_one_has_published[bigquery_inferred]",
)
def a_publication_that_fails_because_another_one_is_done_is_a_failure(module: ModuleType) -> None:
    swap(module, "_is_superseded", lambda _inner: lambda *_args: False)


@guard("engine.runner.planning", "tests/engine/runner/test_planning.py::test_a_joined_job_is_planned_once")
def a_joined_job_is_planned_by_each_command(module: ModuleType) -> None:
    def make(plan_parts: Any) -> Any:
        def call(context: Any, *args: Any) -> Any:
            return plan_parts(module.replace(context, run=context.run._replace(partitions=())), *args)

        return call

    swap(module, "plan_parts", make)


@guard(f"{SQL}.partition_table", f"{SQLITE}::test_the_first_plan_of_a_job_stays")
def the_last_plan_of_a_job_counts(module: ModuleType) -> None:
    def make(keep: Any) -> Any:
        def call(self: Any, job_id: str, *args: Any, **keys: Any) -> Any:
            others = module.delete(module.stream_partitions).where(module.stream_partitions.c.job_id == job_id)
            self._transactions.run(lambda connection: connection.execute(others))
            return keep(self, job_id, *args, **keys)

        return call

    swap(module.PartitionTable, "keep_partitions", make)


@guard(f"{SQL}.parts", f"{OPENING}::test_a_run_that_is_frozen_before_it_creates_a_job_creates_none_besides")
def a_job_is_created_whatever_has_begun_meanwhile(module: ModuleType) -> None:
    swap(module.BackendPart, "_check_not_later", nothing)


@guard(
    "engine.runner.jobs",
    f"{OPENING}::test_a_command_that_is_frozen_before_it_begins_a_job_learns_that_it_is_published",
)
def a_published_job_is_begun_again(module: ModuleType) -> None:
    swap(module, "check_is_new", nothing)
