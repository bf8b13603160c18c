"""Guards of the file destination."""

import shutil
import stat
from pathlib import Path
from types import ModuleType
from typing import Any

from guards import GUARDED, MATRIX, Instead, guard, nothing, own, put, swap

from bizon.common.errors.errors import DestinationError

FILE = "connectors.destinations.file.src"
UNIT = "tests/connectors/destinations/file"
ORDER = "tests/e2e/crash/test_disk_order.py"
OVERTAKEN = f"{UNIT}/test_file_faults.py::test_what_a_run_adds_that_was_frozen_and_overtaken"
ANYWHERE = f"{UNIT}/test_file_crash.py::test_a_crash_anywhere_in_a_run_loses_nothing_and_doubles_nothing"
STAGED = f"{ORDER}::test_a_file_is_on_disk_before_it_gets_its_name_and_its_name_before_anything_vouches_for_it"
STEPS = f"{ORDER}::test_the_output_is_replaced_once_it_is_on_disk_and_the_manifest_says_publishing"
STREAMED = f"{ORDER}::test_an_append_is_in_the_journal_before_it_begins_and_on_disk_before_its_checkpoint"


def without(error: type[Exception]) -> Any:
    """For ``swap``: the function, which is silent where it raised ``error``."""

    def make(inner: Any) -> Any:
        def call(*args: Any, **keys: Any) -> None:
            try:
                inner(*args, **keys)
            except error:
                return

        return call

    return make


@guard(f"{FILE}.durable", f"{ANYWHERE}[full_refresh-parquet-4 pages]")
def files_are_written_in_place(module: ModuleType) -> None:
    def write_file(path: Path, write: Any, *_args: Any, **_keys: Any) -> None:
        with path.open("wb") as handle:
            write(handle)
            handle.flush()
            module.os.fsync(handle.fileno())
        module.sync_folder(path.parent)

    swap(module, "write_file", lambda _inner: write_file)


@guard(f"{FILE}.durable", STAGED)
def files_are_renamed_before_they_are_on_disk(module: ModuleType) -> None:
    def write_file(path: Path, write: Any, temporary: Path | None = None, **_keys: Any) -> None:
        temporary = temporary or path.with_name(path.name + module.TEMPORARY_SUFFIX)
        with temporary.open("wb") as handle:
            write(handle)
            handle.flush()
            module.os.replace(temporary, path)
            module.os.fsync(handle.fileno())
        module.sync_folder(path.parent)

    swap(module, "write_file", lambda _inner: write_file)


@guard(f"{FILE}.durable", STAGED)
def content_of_files_is_not_flushed(module: ModuleType) -> None:
    real = own(module, "os")

    def fsync(handle: int) -> None:
        if not stat.S_ISREG(real.fstat(handle).st_mode):
            real.fsync(handle)

    swap(module, "os", lambda os: Instead(os, fsync=fsync))


@guard(f"{FILE}.durable", STAGED)
def names_of_files_are_not_flushed(module: ModuleType) -> None:
    swap(module, "sync_folder", nothing)


@guard(f"{FILE}.publish", f"{ANYWHERE}[incremental-json-4 pages]")
def output_is_written_in_place(module: ModuleType) -> None:
    real = own(module, "os")

    def copy(source: Path, target: Path) -> None:
        with source.open("rb") as ready, target.open("wb") as main:
            shutil.copyfileobj(ready, main)
            main.flush()
            real.fsync(main.fileno())
        source.unlink()

    swap(module, "os", lambda os: Instead(os, replace=copy))


@guard(f"{FILE}.destination", f"{GUARDED}::test_rows_of_a_batch_that_was_cut_off_are_gone_when_it_is_cut_differently")
def prepare_does_nothing(module: ModuleType) -> None:
    swap(module.FileDestination, "prepare", nothing)


@guard(f"{FILE}.staging_lines", f"{UNIT}/test_file_resume.py::test_committed_rows_that_are_not_staged_stop_the_run")
def committed_lines_are_not_counted(module: ModuleType) -> None:
    swap(module.LineStaging, "trim", without(DestinationError))


@guard(f"{FILE}.staging_parts", f"{UNIT}/test_file_resume.py::test_committed_rows_that_are_not_staged_stop_the_run")
def committed_parts_are_not_counted(module: ModuleType) -> None:
    swap(module.PartStaging, "trim", without(DestinationError))


@guard(f"{FILE}.staging_lines", f"{UNIT}/test_file_resume.py::test_half_written_lines_are_cut_off")
def lines_behind_the_checkpoint_stay(module: ModuleType) -> None:
    def make(seal: Any) -> Any:
        def call(self: Any, file: Any, rows: int, _size: int) -> Any:
            return seal(self, file, rows, file.path.stat().st_size)

        return call

    swap(module.LineStaging, "_seal", make)


@guard(f"{FILE}.staging_lines", f"{OVERTAKEN}_does_not_disturb_a_resume")
def lines_of_a_run_that_was_overtaken_count(module: ModuleType) -> None:
    swap(module.LineStaging, "_counting", lambda _inner: module.LineStaging._found)


@guard(f"{FILE}.staging_lines", f"{OVERTAKEN}_is_not_published")
def lines_are_published_by_name_alone(module: ModuleType) -> None:
    def make(sources: Any) -> Any:
        def call(self: Any) -> Any:
            put(self, "_sealed", None)
            return sources(self)

        return call

    swap(module.LineStaging, "sources", make)


@guard(f"{FILE}.staging_parts", f"{OVERTAKEN}_does_not_disturb_a_resume")
def parts_of_a_run_that_was_overtaken_count(module: ModuleType) -> None:
    swap(module, "_not_overtaken", lambda _inner: lambda parts: parts)


@guard(f"{FILE}.publish", f"{MATRIX}[after_replace-incremental-json]")
def publishing_begins_anew_each_time(module: ModuleType) -> None:
    def make(publish: Any) -> Any:
        def call(self: Any, *args: Any, **keys: Any) -> None:
            put(self.output, "own_state", lambda: module.State.STAGING)
            try:
                publish(self, *args, **keys)
            finally:
                del self.output.own_state

        return call

    swap(module.Publisher, "publish", make)


@guard(f"{FILE}.publish", f"{MATRIX}[before_replace-full_refresh-json]")
def publishing_counts_as_published(module: ModuleType) -> None:
    def make(publish: Any) -> Any:
        def call(self: Any, *args: Any, **keys: Any) -> None:
            if self.output.own_state() is module.State.PUBLISHING:
                put(self, "ready", self.ready.with_name("not there"))
            publish(self, *args, **keys)

        return call

    swap(module.Publisher, "publish", make)


@guard(f"{FILE}.manifest", f"{MATRIX}[after_replace-incremental-json]")
def manifest_never_says_publishing(module: ModuleType) -> None:
    def make(mark: Any) -> Any:
        def call(self: Any, state: Any, *args: Any, **keys: Any) -> None:
            if state is not module.State.PUBLISHING:
                mark(self, state, *args, **keys)

        return call

    swap(module.Output, "mark", make)


@guard(f"{FILE}.publish", STEPS)
def manifest_says_publishing_before_the_output_is_on_disk(module: ModuleType) -> None:
    def make(build: Any) -> Any:
        def call(self: Any, *args: Any, **keys: Any) -> None:
            self.output.mark(module.State.PUBLISHING)
            build(self, *args, **keys)

        return call

    swap(module.Publisher, "_build", make)


@guard(
    f"{FILE}.staging_parts",
    f"{UNIT}/test_file_faults.py::test_parts_that_hold_the_same_pages_stop_the_publication",
)
def pages_in_two_parts_are_published(module: ModuleType) -> None:
    swap(module, "pairwise", lambda _inner: lambda _parts: ())


@guard(f"{FILE}.journal", f"{GUARDED}::test_an_append_of_a_stream_that_no_checkpoint_vouches_for_is_taken_back")
def stream_is_not_trimmed(module: ModuleType) -> None:
    swap(module.Journal, "trim", nothing)


@guard(f"{FILE}.journal", STREAMED)
def appends_are_not_flushed(module: ModuleType) -> None:
    swap(module, "os", lambda os: Instead(os, fsync=lambda _handle: None))


@guard(f"{FILE}.journal", STREAMED)
def journal_is_written_after_the_append(module: ModuleType) -> None:
    note = own(module.Journal, "_note")
    waiting: list[Any] = []

    def make(extend: Any) -> Any:
        def call(self: Any, *args: Any, **keys: Any) -> None:
            extend(self, *args, **keys)
            while waiting:
                note(self, waiting.pop())

        return call

    swap(module.Journal, "_extend", make)
    swap(module.Journal, "_note", lambda _inner: lambda _self, append: waiting.append(append))


@guard(f"{FILE}.destination", "tests/e2e/test_state.py::test_an_output_whose_state_was_lost_is_not_appended_to_unasked")
def lost_state_is_not_noticed(module: ModuleType) -> None:
    swap(module.FileDestination, "_refuse_to_append_again", nothing)


@guard(f"{FILE}.manifest", f"{UNIT}/test_file_resume.py::TestOwnership")
def anyone_may_write_an_output(module: ModuleType) -> None:
    swap(module.Output, "check_owner", nothing)
