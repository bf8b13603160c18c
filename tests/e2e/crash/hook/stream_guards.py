"""Guards of several streams in one file, and of pages that are fetched ahead."""

from concurrent.futures import wait
from types import ModuleType
from typing import Any

from guards import guard, nothing, swap

STREAMS = "tests/engine/runner/test_streams_runner.py"
OF_FILES = "tests/e2e/test_streams.py"
AHEAD = "tests/source/test_ahead.py"
SURROUNDINGS = "test_a_request_sees_the_surroundings_of_the_run_such_as_the_stream_that_log_lines_name"


@guard("engine.runner.streams", f"{STREAMS}::test_an_error_of_one_stream_leaves_the_others_alone")
def a_stream_that_fails_stops_the_others(module: ModuleType) -> None:
    def make(run_one: Any) -> Any:
        def call(self: Any, *args: Any) -> Any:
            end = run_one(self, *args)
            if not end.is_success:
                self.stop()
            return end

        return call

    swap(module.StreamsRunner, "_run_one", make)


@guard("engine.runner.streams", f"{STREAMS}::test_every_stream_runs_and_no_more_than_the_bound_at_the_same_time")
def all_streams_run_at_the_same_time(module: ModuleType) -> None:
    def make(run: Any) -> Any:
        def call(self: Any, **keys: Any) -> Any:
            config = self.bizon_config
            settings = config.engine.runner.config.model_copy(update={"max_parallel_streams": 100})
            runner = config.engine.runner.model_copy(update={"config": settings})
            engine = config.engine.model_copy(update={"runner": runner})
            self.bizon_config = config.model_copy(update={"engine": engine})
            return run(self, **keys)

        return call

    swap(module.StreamsRunner, "run", make)


@guard("engine.runner.streams", f"{STREAMS}::test_each_stream_gets_its_part_of_the_buffer_and_the_scope_of_the_run")
def each_stream_has_the_whole_buffer(module: ModuleType) -> None:
    swap(module, "in_share", lambda _inner: lambda config, _count: config)


@guard("engine.runner.streams", f"{STREAMS}::test_a_stop_reaches_the_streams_that_run_and_no_other_begins")
def a_stop_lets_the_next_stream_begin(module: ModuleType) -> None:
    def stop(self: Any) -> None:
        for runner in [*self._running.values()]:
            runner.stop()

    swap(module.StreamsRunner, "stop", lambda _inner: stop)


@guard("engine.runner.streams", f"{STREAMS}::test_a_stop_reaches_the_streams_that_run_and_no_other_begins")
def a_stop_does_not_reach_streams_that_run(module: ModuleType) -> None:
    swap(module.StreamsRunner, "stop", lambda _inner: lambda self: self._stopping.set())


@guard(
    "engine.runner.streams_status",
    f"{STREAMS}::test_an_error_of_one_stream_leaves_the_others_alone",
    f"{OF_FILES}::test_a_stream_that_fails_leaves_the_others_to_publish",
)
def one_stream_that_succeeds_is_a_success(module: ModuleType) -> None:
    is_any = property(lambda self: any(end.is_success for end in self.streams))
    swap(module.StreamsStatus, "is_success", lambda _inner: is_any)


@guard("cli.text.streams", "tests/cli/test_cli_several_streams.py::test_the_gravest_end_gives_the_exit_code")
def the_mildest_end_gives_the_exit_code(module: ModuleType) -> None:
    swap(module, "_SEVERITY", lambda inner: inner[::-1])


@guard("common.models", f"{OF_FILES}::test_streams_of_two_sync_modes_keep_their_own_watermarks")
def streams_share_the_key_of_their_state(module: ModuleType) -> None:
    key = property(lambda self: module.StreamKey(self.job_name, self.source.name, "all"))
    swap(module.BizonConfig, "stream_key", lambda _inner: key)


@guard(
    "engine.runner.assembly",
    "tests/engine/backend/test_postgres_first_contact.py::test_one_of_several_streams_waits_for_a_state_in_vain",
)
def each_stream_waits_for_a_state_in_vain(module: ModuleType) -> None:
    def make(backend: Any) -> Any:
        def call(self: Any) -> Any:
            if not self._is_open:
                self._own = None
            return backend(self)

        return call

    swap(module.SharedState, "backend", make)


@guard(
    "destination.buffer",
    "tests/e2e/test_memory_of_streams.py::test_streams_that_wait_for_a_destination_hold_the_memory_of_one[8-8-1]",
)
def each_stream_may_hold_sixteen_megabytes(module: ModuleType) -> None:
    swap(module, "memory_budget", lambda budget: lambda config: max(budget(config), module._SMALLEST_BUDGET))


@guard("source.ahead", f"{AHEAD}::test_pages_come_in_order_and_no_more_are_asked_for_at_once_than_there_are_workers")
def the_page_that_has_arrived_last_is_handed_over(module: ModuleType) -> None:
    def make(get: Any) -> Any:
        def call(self: Any, token: Any, *args: Any, **keys: Any) -> Any:
            done = [each for each, page in self._waiting.items() if each != token and page.done()]
            page = get(self, token, *args, **keys)
            return self._waiting[done[-1]].result() if done and done[-1] in self._waiting else page

        return call

    swap(module.Ahead, "get", make)


@guard("source.ahead", f"{AHEAD}::test_pages_that_nobody_takes_are_bounded")
def pages_are_asked_for_without_a_bound(module: ModuleType) -> None:
    swap(module, "_REACH", lambda reach: 50 * reach)


@guard("source.ahead", f"{AHEAD}::test_the_first_page_of_a_list_is_asked_for_alone_on_the_thread_of_the_run")
def the_pages_after_the_first_are_asked_for_with_it(module: ModuleType) -> None:
    def make(get: Any) -> Any:
        def call(self: Any, *args: Any, of: Any = None) -> Any:
            self._list = (of,)
            return get(self, *args, of=of)

        return call

    swap(module.Ahead, "get", make)


@guard("source.ahead", f"{AHEAD}::test_an_error_is_raised_when_its_turn_comes_and_never_for_a_page_nobody_wants")
def an_error_is_raised_before_its_turn(module: ModuleType) -> None:
    def make(get: Any) -> Any:
        def call(self: Any, *args: Any, **keys: Any) -> Any:
            page = get(self, *args, **keys)
            for each in wait(self._waiting.values()).done:
                each.result()
            return page

        return call

    swap(module.Ahead, "get", make)


@guard("source.ahead", f"{AHEAD}::test_an_error_is_raised_when_its_turn_comes_and_never_for_a_page_nobody_wants")
def pages_that_nobody_wants_are_kept(module: ModuleType) -> None:
    swap(module.Ahead, "_keep", nothing)


@guard("source.ahead", f"{AHEAD}::test_closing_ends_waits_and_threads_and_no_thread_keeps_the_process")
def requests_go_on_after_the_source_is_closed(module: ModuleType) -> None:
    swap(module.Ahead, "close", nothing)


@guard("source.ahead", f"{AHEAD}::test_closing_may_wait_until_requests_have_ended")
def connections_are_closed_under_requests(module: ModuleType) -> None:
    swap(module.Ahead, "close", lambda close: lambda self, **_wait: close(self))


@guard("source.ahead", f"{AHEAD}::{SURROUNDINGS}")
def requests_do_not_know_their_stream(module: ModuleType) -> None:
    class Nowhere:
        @staticmethod
        def run(work: Any, *args: Any) -> Any:
            return work(*args)

    swap(module, "copy_context", lambda _inner: Nowhere)
