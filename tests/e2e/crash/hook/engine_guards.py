"""Guards of the commit point, the pipeline and the spool."""

from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

from guards import FAILURES, GUARDED, MATRIX, Instead, guard, nothing, own, put, swap

LOADER = "tests/engine/pipeline/test_loader.py"
SPOOL = "tests/engine/queue/test_spool.py"
LETTERS = "tests/e2e/crash/test_crash_matrix.py::test_a_run_with_dead_letters_that_dies_is_finished_by_the_next"


@guard("engine.pipeline.loader", f"{MATRIX}[after_cursor:3-full_refresh-json]")
def cursor_is_recorded_before_the_write(module: ModuleType) -> None:
    record = own(module.Loader, "_record")
    recorded: set[int] = set()

    def first(write: Any) -> Any:
        def call(self: Any, batch: Any, destination_id: str, rows: Any) -> Any:
            tables = (module.TableRows(destination_id, rows.height),)
            record(self, module.WrittenBatch(batch.pages, tables, 0, 0))
            recorded.add(batch.from_iteration)
            return write(self, batch, destination_id, rows)

        return call

    def once(inner: Any) -> Any:
        def call(self: Any, batch: Any) -> None:
            if batch.first not in recorded:
                inner(self, batch)

        return call

    swap(module.Loader, "_write_table", first)
    swap(module.Loader, "_record", once)


@guard("engine.pipeline.loader", f"{LOADER}::test_a_batch_is_acknowledged_once_its_checkpoint_is_there")
def batches_are_acknowledged_before_the_cursor(module: ModuleType) -> None:
    acknowledge = own(module.Loader, "_acknowledge")

    def make(record: Any) -> Any:
        def call(self: Any, batch: Any) -> None:
            acknowledge(self, batch)
            record(self, batch)

        return call

    swap(module.Loader, "_record", make)
    swap(module.Loader, "_acknowledge", nothing)


@guard("engine.pipeline.loader", f"{LOADER}::test_a_gap_is_refused")
def gaps_are_committed(module: ModuleType) -> None:
    def make(write: Any) -> Any:
        def call(self: Any, batch: Any, *args: Any, **keys: Any) -> None:
            put(self, "_next_iteration", max(self._next_iteration, batch.from_iteration))
            write(self, batch, *args, **keys)

        return call

    swap(module.Loader, "write", make)


@guard("engine.pipeline.loader", f"{LOADER}::test_a_repeated_batch_is_acknowledged_and_skipped")
def repeats_are_written_again(module: ModuleType) -> None:
    def make(write: Any) -> Any:
        def call(self: Any, batch: Any, *args: Any, **keys: Any) -> None:
            put(self, "_next_iteration", min(self._next_iteration, batch.from_iteration))
            write(self, batch, *args, **keys)

        return call

    swap(module.Loader, "write", make)


@guard("engine.pipeline.loader", f"{GUARDED}::test_a_failed_disk_write_fails_the_run_and_the_next_run_completes_it")
def refused_writes_count_as_written(module: ModuleType) -> None:
    def make(write: Any) -> Any:
        def call(*args: Any, **keys: Any) -> None:
            try:
                write(*args, **keys)
            except module.DestinationWriteError:
                return

        return call

    swap(module.Loader, "_write_once", make)


@guard(
    "engine.pipeline.failures", f"{LOADER}::test_retries_have_a_limit_after_which_the_run_fails_and_nothing_is_recorded"
)
def retries_have_no_bound(module: ModuleType) -> None:
    swap(module, "RETRY_WAITS", lambda waits: waits * 1_000)


@guard("engine.pipeline.loader", f"{LOADER}::test_a_superseded_run_publishes_nothing")
def overtaken_runs_publish(module: ModuleType) -> None:
    def make(publish: Any) -> Any:
        def call(self: Any, *args: Any, **keys: Any) -> None:
            newest = self.backend.get_stream_job_by_id(self.run.job_id)
            put(self, "run", self.run._replace(epoch=newest.attempt))
            publish(self, *args, **keys)

        return call

    swap(module.Loader, "publish", make)


@guard("destination.dead_letters", f"{LETTERS}[after_write:2-full_refresh]")
def dead_letters_are_not_prepared(module: ModuleType) -> None:
    swap(module.DeadLetters, "prepare", nothing)


@guard("engine.pipeline.loader", "tests/e2e/test_on_error.py::test_each_full_refresh_replaces_the_dead_letters")
def dead_letters_are_not_published(module: ModuleType) -> None:
    def make(publish: Any) -> Any:
        def call(self: Any) -> None:
            put(self, "dead_letters", replace(self.dead_letters, destination=None))
            publish(self)

        return call

    swap(module.Loader, "publish", make)


@guard("engine.pipeline.loader", f"{GUARDED}::test_an_output_that_the_disk_refuses_is_published_by_the_next_run")
def outputs_that_could_not_be_published_count_as_published(module: ModuleType) -> None:
    def make(publish: Any) -> Any:
        def call(*args: Any, **keys: Any) -> None:
            try:
                publish(*args, **keys)
            except module.FinalizeError:
                return

        return call

    swap(module.Loader, "publish", make)


@guard("engine.pipeline.loader", f"{MATRIX}[before_finalize-incremental-json]")
def success_is_stored_before_publishing(module: ModuleType) -> None:
    def make(publish: Any) -> Any:
        def call(self: Any, *args: Any, **keys: Any) -> None:
            from bizon.engine.backend.models import JobStatus

            self.backend.update_stream_job_status(self.run.job_id, JobStatus.SUCCEEDED)
            publish(self, *args, **keys)

        return call

    swap(module.Loader, "publish", make)


@guard(
    "engine.pipeline.consumer",
    f"{FAILURES}::test_a_source_that_fails_publishes_nothing_and_the_next_run_resumes[thread]",
)
def aborted_streams_are_published(module: ModuleType) -> None:
    def make(handle: Any) -> Any:
        def call(self: Any, message: Any, *args: Any, **keys: Any) -> None:
            complete = message if message.signal is None else replace(message, signal=module.Signal.COMPLETE)
            handle(self, complete, *args, **keys)

        return call

    swap(module.Consumer, "handle", make)


@guard("engine.pipeline.consumer", "tests/engine/pipeline/test_consumer.py")
def messages_of_older_starts_are_taken(module: ModuleType) -> None:
    def make(handle: Any) -> Any:
        def call(self: Any, message: Any, *args: Any, **keys: Any) -> None:
            handle(self, replace(message, epoch=self._run.producer_epoch), *args, **keys)

        return call

    swap(module.Consumer, "handle", make)


@guard("engine.pipeline.consumer", "tests/engine/pipeline/test_consumer.py")
def messages_of_other_jobs_are_taken(module: ModuleType) -> None:
    def make(handle: Any) -> Any:
        def call(self: Any, message: Any, *args: Any, **keys: Any) -> None:
            handle(self, replace(message, job_id=self._run.job_id), *args, **keys)

        return call

    swap(module.Consumer, "handle", make)


@guard(
    "engine.pipeline.producer",
    f"{FAILURES}::test_a_capped_run_fetches_exactly_that_many_pages_and_publishes_nothing[thread]",
)
def cap_is_one_page_too_high(module: ModuleType) -> None:
    def make(init: Any) -> Any:
        def call(self: Any, *args: Any, **keys: Any) -> None:
            init(self, *args, **keys)
            if self._max_iterations is not None:
                put(self, "_max_iterations", self._max_iterations + 1)

        return call

    swap(module.Producer, "__init__", make)


@guard("engine.queue.spool", f"{FAILURES}::test_a_killed_run_refetches_little[full_refresh-thread]")
def spool_is_never_written(module: ModuleType) -> None:
    swap(module.Spool, "_append", nothing)


@guard("engine.queue.spool", f"{SPOOL}::test_committed_pages_are_dropped")
def spool_is_never_truncated(module: ModuleType) -> None:
    swap(module.Spool, "committed", nothing)


@guard("engine.queue.spool", f"{SPOOL}::test_a_gap_ends_the_replay")
def spool_is_replayed_across_gaps(module: ModuleType) -> None:
    def replay(folder: Any, run: Any) -> Iterator[Any]:
        for path in sorted(folder.glob(f"{run.job_id}.*")):
            for message in module.read(path):
                yield replace(message, epoch=run.epoch)

    swap(module, "replay", lambda _inner: replay)


@guard(
    "engine.queue.codec",
    "tests/engine/queue/test_codec.py",
    f"{SPOOL}::test_a_damaged_page_and_all_pages_after_it_are_skipped",
)
def damaged_pages_are_read(module: ModuleType) -> None:
    swap(module, "zlib", lambda zlib: Instead(zlib, crc32=lambda _content: 0))


@guard("engine.queue.ipc", "tests/engine/queue/test_codec_damage.py")
def sizes_in_a_frame_are_trusted(module: ModuleType) -> None:
    swap(module, "_check_sizes", nothing)


@guard(
    "engine.backend.adapters.sqlalchemy.lease_table",
    "tests/engine/backend/test_postgres_leases.py::test_a_holder_that_has_lost_its_session_and_is_heard_of_is_left_alone",
)
def a_session_that_ended_proves_that_its_run_has_died(module: ModuleType) -> None:
    swap(module, "longest_silence", lambda _inner: lambda _ttl: 0.0)
