"""Guards of what the file destination stages, appends and publishes."""

import shutil
import stat
from pathlib import Path
from types import ModuleType
from typing import Any

from guards import FILE, GUARDED, MATRIX, OUTPUTS, Instead, guard, nothing, own, put, swap

from bizon.common.errors.errors import DestinationError

UNIT = "tests/connectors/destinations/file"
ORDER = "tests/e2e/crash/test_disk_order.py"
ANYWHERE = f"{UNIT}/test_file_crash.py::test_a_crash_anywhere_in_a_run_loses_nothing_and_doubles_nothing"
STAGED = f"{ORDER}::test_a_file_is_on_disk_before_it_gets_its_name_and_its_name_before_anything_vouches_for_it"
STEPS = f"{ORDER}::test_the_output_is_replaced_once_it_is_on_disk_and_the_manifest_says_publishing"
STREAMED = f"{ORDER}::test_an_append_is_in_the_journal_before_it_begins_and_on_disk_before_its_checkpoint"


class Anything:
    """Equal to everything."""

    def __eq__(self, _other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class Anywhere(int):
    """A place in a file that never compares as different."""

    def __ne__(self, _other: object) -> bool:
        return False

    __hash__ = int.__hash__


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
    def write_file(path: Path, write: Any) -> None:
        with path.open("wb") as handle:
            write(handle)
            handle.flush()
            module.os.fsync(handle.fileno())
        module.sync_folder(path.parent)

    swap(module, "write_file", lambda _inner: write_file)


@guard(f"{FILE}.durable", STAGED)
def files_are_renamed_before_they_are_on_disk(module: ModuleType) -> None:
    def write_file(path: Path, write: Any) -> None:
        temporary = module.temporary_beside(path)
        with module.create_private(temporary) as handle:
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


@guard("common.private_files", STAGED)
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


@guard("destination.staged", f"{GUARDED}::test_rows_of_a_batch_that_was_cut_off_are_gone_when_it_is_cut_differently")
def prepare_does_nothing(module: ModuleType) -> None:
    swap(module.StagedDestination, "prepare", nothing)


@guard(f"{FILE}.file_staging", f"{OUTPUTS}::test_committed_rows_that_are_not_staged_stop_the_start")
def committed_rows_are_not_counted(module: ModuleType) -> None:
    swap(module.FileStaging, "trim", without(DestinationError))


@guard(f"{FILE}.file_staging", f"{OUTPUTS}::test_committed_rows_that_were_changed_stop_the_start")
def checksums_are_not_compared(module: ModuleType) -> None:
    swap(module, "digest", lambda _inner: lambda *_args: Anything())


@guard(
    f"{FILE}.file_staging",
    f"{OUTPUTS}::test_committed_rows_that_were_changed_since_they_were_written_are_not_published",
)
def files_that_were_changed_are_not_read_again(module: ModuleType) -> None:
    swap(module, "signature", lambda _inner: lambda path: (0, 0, 0) if path.stat() else None)


@guard(f"{FILE}.file_staging", f"{OUTPUTS}::test_checkpoints_that_leave_a_gap_in_what_is_staged_publish_nothing")
def gaps_in_staging_are_published(module: ModuleType) -> None:
    def make(piece: Any) -> Any:
        def call(path: Path, start: int, end: int, checksum: int) -> Any:
            return piece(path, Anywhere(start), end, checksum)

        return call

    swap(module, "Piece", make)


@guard(f"{FILE}.line_staging", f"{OUTPUTS}::test_lines_after_the_committed_ones_are_not_published")
def lines_behind_the_checkpoint_are_published(module: ModuleType) -> None:
    def staged_file(_self: Any, path: Path, _size: int) -> Any:
        return module.StagedFile(path, path.stat().st_size, is_ours=True)

    swap(module.LineStaging, "_staged_file", lambda _inner: staged_file)


@guard(f"{FILE}.line_staging", f"{OUTPUTS}::test_a_superseded_start_finds_its_lines_gone")
def lines_are_cut_without_being_sealed(module: ModuleType) -> None:
    def kept(_self: Any, pieces: Any) -> None:
        for path, size in {piece.path: piece.end for piece in pieces}.items():
            module.truncate_file(path, size)

    swap(module.LineStaging, "_kept", lambda _inner: kept)


@guard(f"{FILE}.part_staging", f"{OUTPUTS}::test_a_superseded_start_overwrites_no_part_of_the_next_one")
def starts_share_the_names_of_parts(module: ModuleType) -> None:
    def make(write: Any) -> Any:
        def call(self: Any, *args: Any) -> None:
            put(self, "epoch", 1)
            write(self, *args)

        return call

    swap(module.PartStaging, "write", make)


@guard(f"{FILE}.file_staging", f"{MATRIX}[discarding-full_refresh-json]")
def removals_that_were_cut_off_stay(module: ModuleType) -> None:
    def make(remove: Any) -> Any:
        def call(folder: Path) -> None:
            if folder.is_dir():
                remove(folder)

        return call

    swap(module, "_remove", make)


@guard(f"{FILE}.publish", f"{MATRIX}[after_replace-incremental-json]")
def publishing_begins_anew_each_time(module: ModuleType) -> None:
    swap(module.Publisher, "is_published", lambda _inner: lambda _self: False)


@guard(f"{FILE}.publish", f"{MATRIX}[before_replace-full_refresh-json]")
def publishing_counts_as_published(module: ModuleType) -> None:
    def is_published(self: Any) -> bool:
        return self.output.own_state() in (module.State.PUBLISHING, module.State.PUBLISHED)

    swap(module.Publisher, "is_published", lambda _inner: is_published)


@guard(f"{FILE}.publish", f"{OUTPUTS}::test_an_output_that_changes_during_assembly_is_not_replaced")
def changes_of_the_output_are_overwritten(module: ModuleType) -> None:
    swap(module, "_signature", lambda _inner: lambda main: (0, 0, 0) if main.exists() else None)


@guard(f"{FILE}.output", f"{MATRIX}[after_replace-incremental-json]")
def manifest_never_says_publishing(module: ModuleType) -> None:
    def make(mark: Any) -> Any:
        def call(self: Any, found: Any, state: Any) -> Any:
            return found if state is module.State.PUBLISHING else mark(self, found, state)

        return call

    swap(module.Output, "mark", make)


@guard(f"{FILE}.publish", STEPS)
def manifest_says_publishing_before_the_output_is_on_disk(module: ModuleType) -> None:
    def make(build: Any) -> Any:
        def call(self: Any, *args: Any, **keys: Any) -> None:
            with self.output.fenced() as manifest:
                self.output.mark(manifest, module.State.PUBLISHING)
            build(self, *args, **keys)

        return call

    swap(module.Publisher, "_build", make)


@guard(f"{FILE}.journal", f"{GUARDED}::test_an_append_of_a_stream_without_a_checkpoint_is_rolled_back")
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
                note(self, *waiting.pop())

        return call

    swap(module.Journal, "_extend", make)
    swap(module.Journal, "_note", lambda _inner: lambda _self, journal, append: waiting.append((journal, append)))
