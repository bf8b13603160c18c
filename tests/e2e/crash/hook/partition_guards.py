"""Guards of jobs with partitions."""

from types import ModuleType
from typing import Any

from guards import guard, nothing, own, swap

PLACES = "tests/engine/test_partitions.py"
ORDER = "tests/engine/pipeline/test_partition_order.py"
LOADER = "tests/engine/pipeline/test_loader_partitions.py"
LANES = "tests/engine/queue/test_lanes.py"
PLANNING = "tests/engine/runner/test_planning.py"
CRASHES = "tests/e2e/crash/test_partitions_crash.py"


@guard(
    "engine.partitions",
    f"{PLACES}::test_a_page_that_does_not_follow_the_last_one_of_its_partition_is_refused",
    f"{LOADER}::test_a_page_that_does_not_follow_in_its_partition_is_not_recorded",
)
def pages_of_a_partition_may_have_gaps(module: ModuleType) -> None:
    def advanced(self: Any, pages: Any) -> Any:
        at = {**self.at, **{origin[0]: module.Position(origin[1] + 1, following) for origin, following in pages}}
        exhausted = {number for number, position in at.items() if position.is_exhausted}
        left = {number: position for number, position in at.items() if number not in exhausted}
        return self._replace(at=left, done=self.done | exhausted)

    swap(module.Positions, "advanced", lambda _inner: advanced)


@guard("engine.partitions", f"{PLACES}::test_a_checkpoint_of_other_partitions_is_refused")
def any_checkpoint_fits_any_plan(module: ModuleType) -> None:
    def of_checkpoint(cls: Any, partitions: Any, pagination: Any) -> Any:
        noted = pagination.get(module.PARTITIONS) or {}
        at = {int(number): module.Position(*each) for number, each in noted.get("at", {}).items() if each != 4}
        return cls(partitions, at, frozenset(noted.get("done", ())))

    swap(module.Positions, "of_checkpoint", lambda _inner: classmethod(of_checkpoint))


@guard(
    "engine.pipeline.loader",
    f"{LOADER}::test_nothing_is_published_while_a_partition_is_left",
)
def partitions_that_are_left_are_not_looked_at(module: ModuleType) -> None:
    def make(publish: Any) -> Any:
        def call(self: Any) -> None:
            positions, self._positions = self._positions, self._positions._replace(partitions=())
            try:
                publish(self)
            finally:
                self._positions = positions

        return call

    swap(module.Loader, "publish", make)


@guard(
    "engine.pipeline.partition_order",
    f"{ORDER}::test_the_stream_is_complete_when_every_producer_is",
    f"{ORDER}::test_the_stream_is_aborted_when_one_producer_is",
)
def the_end_of_one_producer_ends_the_stream(module: ModuleType) -> None:
    def make(take: Any) -> Any:
        def call(self: Any, message: Any) -> Any:
            return take(self, message) if message.signal is None else [message]

        return call

    swap(module.PartitionOrder, "take", make)


@guard("engine.pipeline.partition_order", f"{ORDER}::test_complete_ends_with_a_partition_left_are_an_error")
def complete_ends_are_believed(module: ModuleType) -> None:
    def make(take: Any) -> Any:
        def call(self: Any, message: Any) -> Any:
            if message.signal is not None:
                self._positions = self._positions._replace(partitions=())
            return take(self, message)

        return call

    swap(module.PartitionOrder, "take", make)


@guard(
    "engine.pipeline.partition_order",
    f"{ORDER}::test_partitions_that_differ_in_the_state_for_the_next_run_are_an_error",
)
def the_last_state_of_any_partition_counts(module: ModuleType) -> None:
    swap(module.PartitionOrder, "_check_state", nothing)


@guard("engine.pipeline.consumer", f"{LOADER}::test_a_row_has_the_same_id_whenever_its_page_arrives")
def ids_of_rows_depend_on_the_order_of_arrival(module: ModuleType) -> None:
    swap(module, "SourcePage", lambda page: lambda *values: page(*values[:3]))


@guard(
    "engine.queue.adapters.python_queue.lanes",
    f"{LANES}::test_a_lane_that_is_closed_without_an_end_closes_the_queue_for_all",
)
def a_producer_that_died_is_not_missed(module: ModuleType) -> None:
    def make(close: Any) -> Any:
        def call(self: Any) -> None:
            self._has_ended = True
            close(self)

        return call

    swap(module.Lane, "close", make)


@guard(
    "engine.backend.adapters.sqlalchemy.partition_table",
    "tests/engine/backend/test_sqlalchemy_backend.py"
    "::test_a_job_of_version_5_goes_on_as_one_chain_and_the_next_one_may_have_partitions",
)
def a_job_is_planned_after_its_first_page(module: ModuleType) -> None:
    swap(module, "_has_cursors", lambda _inner: lambda *_values: False)


@guard("engine.runner.resuming", f"{CRASHES}::test_a_runner_that_cannot_fetch_partitions_starts_a_new_job")
def any_runner_goes_on_with_partitions(module: ModuleType) -> None:
    swap(module, "_cannot_take_partitions", nothing)


@guard("engine.runner.resuming", f"{PLANNING}::test_a_checkpoint_of_partitions_without_their_plan_is_refused")
def places_without_a_plan_are_a_pagination(module: ModuleType) -> None:
    swap(module, "partitions_of", lambda _inner: lambda backend, job, _resume: backend.get_partitions(job.id))


@guard(
    "engine.runner.resuming",
    f"{PLANNING}::test_a_job_whose_partition_can_only_be_continued_by_its_run_starts_over",
)
def places_of_partitions_are_not_searched_for_restarts(module: ModuleType) -> None:
    swap(module, "paginations_in", lambda _inner: lambda pagination: [pagination])


@guard(
    "engine.runner.planning", f"{PLANNING}::test_each_partition_is_given_to_one_producer_those_that_have_begun_first"
)
def a_partition_is_given_to_several_producers(module: ModuleType) -> None:
    taker = own(module, "taker")
    swap(
        module,
        "shares",
        lambda shares: lambda context: [replace_take(each, taker(context)) for each in shares(context)],
    )


def replace_take(share: Any, take: Any) -> Any:
    return share._replace(take=take)
