"""Turning staged parts into the main file, in one visible step.

``finalize`` numbered; a crash may come after any step, and the next run calls ``prepare`` and ``finalize`` again:

| after step                             | what is there                                | next ``finalize`` |
|----------------------------------------|----------------------------------------------|-------------------|
| 0 nothing                              | state staging, parts, old main               | does all          |
| 1 state staging, ``ready`` removed     | same                                         | does all          |
| 2 ``ready`` written, perhaps in part   | same, and a file that is thrown away in 1    | does all          |
| 3 manifest says publishing             | state publishing, ``ready``, parts, old main | does all          |
| 4 ``ready`` renamed over main          | state publishing, no ``ready``, parts        | goes on at 5      |
| 5 manifest says published              | state published, parts                       | goes on at 6      |
| 6 parts removed                        | state published                              | does nothing      |

Only 4 is visible to a reader of the main file. Parts live until 6, so that 1 to 3 can be repeated; state publishing
without ``ready`` can only mean that 4 is done: ``ready`` is on disk before 3, and 1 goes back to staging before it
takes ``ready`` away. A crash in the middle of 6 leaves some parts: state published says that they are spent.

An incremental run without rows has nothing to do in 1 to 4, unless there is no main file yet.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import polars as pl

from bizon.connectors.destinations.file.src.config import FileFormat
from bizon.connectors.destinations.file.src.durable import concatenate, make_folder, sync_folder, write_aside
from bizon.connectors.destinations.file.src.manifest import State
from bizon.connectors.destinations.file.src.parquet import can_merge, merge
from bizon.connectors.destinations.file.src.rows import write_rows
from bizon.connectors.destinations.file.src.staging import Source, Staging


class Publisher:
    """Publishes the staged parts of one job. ``append``: keep what the main file holds; else replace it."""

    def __init__(self, staging: Staging, format: FileFormat, *, append: bool) -> None:
        self.staging = staging
        self.output = staging.output
        self.format = format
        self.append = append
        self.ready = staging.folder / f"ready.{format}"

    def publish(self, empty: pl.DataFrame) -> None:
        """Do what the table above says is left to do. ``empty``: a frame of the file's columns without rows.

        Raises OSError or PolarsError; the main file is the old one then.
        """
        state = self.output.own_state()
        if state is State.PUBLISHED:
            self.staging.discard()
            return
        if state is State.PUBLISHING and self.ready.exists():
            self.output.mark(State.STAGING)
            state = State.STAGING
        if state is not State.PUBLISHING:
            self._replace_main(empty)
        self.output.mark(State.PUBLISHED)
        self.staging.discard()

    def _replace_main(self, empty: pl.DataFrame) -> None:
        main = self.output.main
        sources = self.staging.sources()
        if self.append and main.exists():
            if not sources:
                return
            sources.insert(0, Source(main, main.stat().st_size, is_ours=False))
        self.ready.unlink(missing_ok=True)
        try:
            self._build(sources, empty)
        except Exception:
            self.ready.unlink(missing_ok=True)
            raise
        self.output.mark(State.PUBLISHING)
        os.replace(self.ready, main)
        sync_folder(main.parent)

    def _build(self, sources: list[Source], empty: pl.DataFrame) -> None:
        """Step 2. The parts are not consumed: a single one gets a second name, where the file system can."""
        make_folder(self.staging.folder)
        single = sources[0] if len(sources) == 1 and sources[0].is_ours else None
        if single is None or not _link(single.path, self.ready):
            write_aside(self.ready, self._writer(sources, empty))
        if self.output.main.exists():
            self.ready.chmod(self.output.main.stat().st_mode & 0o7777)
        sync_folder(self.staging.folder)

    def _writer(self, sources: list[Source], empty: pl.DataFrame) -> Callable[[BinaryIO], None]:
        def write(target: BinaryIO) -> None:
            if not sources:
                write_rows(empty, self.format, target)
            elif self.format is FileFormat.JSON:
                concatenate([(source.path, source.size) for source in sources], target)
            elif can_merge(paths := [source.path for source in sources]):
                merge(paths, target)
            else:  # another tool has written the main file, or its columns have changed
                frames = [pl.scan_parquet(path, glob=False) for path in paths]
                pl.concat(frames, how="diagonal").sink_parquet(target, compression="zstd", maintain_order=True)

        return write


def _link(source: Path, target: Path) -> bool:
    """True when ``target`` is now a second name of ``source``; False where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        return False
    return True
