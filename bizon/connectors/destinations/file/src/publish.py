"""Turns staged parts into the main file, in one visible step.

The steps of ``finalize``: 1 to 4 are ``publish``, 5 and 6 are step 8 of ``destination/staged.py``. A crash may come
after any of them; the next run calls ``prepare`` and ``finalize`` again:

| after step                             | found on disk                                | next ``finalize`` |
|----------------------------------------|----------------------------------------------|-------------------|
| 0 nothing                              | state staging, parts, old main               | does all          |
| 1 state staging, ``ready-*`` removed   | same                                         | does all          |
| 2 ``ready-<epoch>`` written, or in part| same, and a file that step 1 removes         | does all          |
| 3 manifest says publishing             | state publishing, ``ready``, parts, old main | does all          |
| 4 ``ready`` renamed over main          | state publishing, no ``ready``, parts        | continues with 5  |
| 5 manifest says published              | state published, parts                       | continues with 6  |
| 6 parts removed                        | state published                              | does nothing      |

Only 4 is visible to a reader of the main file. Parts live until 6, so that 1 to 3 can be repeated. State publishing
without ``ready`` can only mean that 4 is done: ``ready`` is on disk before 3, and 1 goes back to staging before it
removes ``ready``. A crash in the middle of 6 leaves some parts: state published says that they are spent.

Steps 1, 3 with 4, and 5 with 6 are fenced: a superseded start performs none of them. Step 2 writes a file that belongs
to this start alone.

An incremental run without rows skips 2 to 4, unless there is no main file yet.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import polars as pl

from bizon.common.private_files import sync_folder
from bizon.connectors.destinations.file.src.columns import aligned, has_rows
from bizon.connectors.destinations.file.src.config import FileFormat
from bizon.connectors.destinations.file.src.csv_output import write_csv
from bizon.connectors.destinations.file.src.durable import concatenate, published_mode, write_aside
from bizon.connectors.destinations.file.src.file_rows import write_rows
from bizon.connectors.destinations.file.src.file_staging import JobFolder, StagedFile, signature
from bizon.connectors.destinations.file.src.manifest import State
from bizon.connectors.destinations.file.src.parquet import can_merge, merge


class Publisher:
    """Publishes the staged parts of one job. ``append``: keep what the main file holds; else replace it."""

    def __init__(self, staging: JobFolder, format: FileFormat, *, append: bool) -> None:
        self.staging = staging
        self.output = staging.output
        self.format = format
        self.append = append
        self.ready = staging.folder / f"ready-{staging.epoch:06d}.{format}"

    def is_published(self) -> bool:
        """Whether step 4 of this job is done."""
        state = self.output.own_state()
        return state is State.PUBLISHED or (state is State.PUBLISHING and not self._ready_files())

    def publish(self, empty: pl.DataFrame) -> None:
        """Steps 1 to 4, unless ``is_published``. ``empty``: a frame with the columns of the file and no rows.

        Raises OSError or PolarsError, and the main file is the old one then; OvertakenError in a superseded start.
        """
        main = self.output.main
        with self.output.fenced() as manifest:
            if manifest.state is State.PUBLISHING:
                self.output.mark(manifest, State.STAGING)
            for path in self._ready_files():
                path.unlink()
        files = self.staging.files()
        before = _signature(main)
        if self.append and before is not None:
            if not files:
                return
            if has_rows(main):
                files.insert(0, StagedFile(main, main.stat().st_size, is_ours=False))
        try:
            self._build(files, empty)
        except Exception:
            self.ready.unlink(missing_ok=True)
            raise
        with self.output.fenced() as manifest:  # from here on ``ready`` stays until it is the main file, see the table
            self.output.check_may_replace(manifest)
            if self.append and _signature(main) != before:
                raise OSError("it was changed by somebody else meanwhile")
            self.output.mark(manifest, State.PUBLISHING)
            os.replace(self.ready, main)
            sync_folder(main.parent)

    def _build(self, files: list[StagedFile], empty: pl.DataFrame) -> None:
        """Step 2. The parts are not consumed: a single one gets a second name, where the file system has hard links."""
        self.staging.make()
        single = files[0] if len(files) == 1 and files[0].is_ours and self.format is not FileFormat.CSV else None
        if single is None or not _link(single.path, self.ready):
            write_aside(self.ready, self._writer(files, empty))
        self.ready.chmod(published_mode(self.output.main))
        sync_folder(self.staging.folder)

    def _ready_files(self) -> list[Path]:
        return list(self.staging.folder.glob("ready-*"))

    def _writer(self, files: list[StagedFile], empty: pl.DataFrame) -> Callable[[BinaryIO], None]:
        def write(target: BinaryIO) -> None:
            if not files:
                write_rows(empty, self.format, target)
            elif self.format is FileFormat.JSON:
                concatenate([(file.path, file.size) for file in files], target)
            elif self.format is FileFormat.CSV:
                main = files[0].path if not files[0].is_ours else None
                write_csv(main, [file.path for file in files if file.is_ours], target)
            elif can_merge(paths := [file.path for file in files]):
                merge(paths, target)
            else:  # another tool has written the main file, or its columns have changed
                frames = aligned(paths)
                pl.concat(frames, how="diagonal").sink_parquet(target, compression="zstd", maintain_order=True)

        return write


def _link(source: Path, target: Path) -> bool:
    """True when ``target`` is now a second name of ``source``; False where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def _signature(main: Path) -> tuple[int, int, int] | None:
    return signature(main) if main.exists() else None
