"""The ``file`` destination: rows in a local file, each exactly once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import polars as pl

from bizon.common.errors.errors import DestinationConnectionError, DestinationError, FinalizeError
from bizon.common.models import SyncMetadata
from bizon.connectors.destinations.file.src.config import (
    FileDestinationDetailsConfig,
    FileFormat,
    check_stem,
    path_stem,
)
from bizon.connectors.destinations.file.src.durable import make_folder
from bizon.connectors.destinations.file.src.manifest import Output, Owner, State
from bizon.connectors.destinations.file.src.publish import Publisher
from bizon.connectors.destinations.file.src.rows import RowShape, write_rows
from bizon.connectors.destinations.file.src.staging import Staging
from bizon.connectors.destinations.file.src.staging_lines import LineStaging
from bizon.connectors.destinations.file.src.staging_parts import PartStaging
from bizon.connectors.destinations.file.src.streaming import StreamTables
from bizon.destination.destination import AbstractDestination
from bizon.engine.backend.backend import AbstractBackend
from bizon.monitoring.monitor import AbstractMonitor
from bizon.source.callback import AbstractSourceCallback
from bizon.source.config import SourceSyncModes

if TYPE_CHECKING:
    from bizon.engine.pipeline.models import ResumePoint

_NAMES_SHOWN = 5


class FileDestination(AbstractDestination):
    """NDJSON or Parquet on a local disk. Exactly once in every sync mode, also when the process or the machine dies.

    full_refresh and incremental: rows wait in ``.bizon/<file name>/`` beside the file, until ``finalize`` replaces the
    file in one step; a reader sees the old file or the new one. stream: rows go to the file at once.

    ``destination_id`` is the path without extension, relative to the working directory; folders are created, ``~`` is
    not expanded. A file belongs to the pipeline (name, source, stream) that writes it; another one is refused. Not
    promised: network file systems that do not honour fsync and rename; two runs of a pipeline at the same time.
    """

    config: FileDestinationDetailsConfig

    def __init__(
        self,
        sync_metadata: SyncMetadata,
        config: FileDestinationDetailsConfig,
        backend: AbstractBackend,
        source_callback: AbstractSourceCallback,
        monitor: AbstractMonitor,
    ) -> None:
        super().__init__(
            sync_metadata=sync_metadata,
            config=config,
            backend=backend,
            source_callback=source_callback,
            monitor=monitor,
        )
        self._stream = sync_metadata.sync_mode is SourceSyncModes.STREAM
        self._owner = Owner(sync_metadata.name, sync_metadata.source_name, sync_metadata.stream_name)
        self._shape = RowShape(config.format, self.record_schemas if config.unnest else None)
        self._output = self._output_of(self.default_destination_id)
        staging = LineStaging if config.format is FileFormat.JSON else PartStaging
        self._staging: Staging = staging(self._output, config.format)
        self._tables = StreamTables(self._output, config.format, self._output_of)
        self._written: dict[str, None] = {}
        self._claimed = False

    def check_connection(self) -> bool:
        """True, or raises DestinationConnectionError: the folder cannot be written, the file is another pipeline's,
        is no file, or has no schema to unnest with."""
        main = self._output.main
        wants_folder = self._stream and self.config.format is FileFormat.PARQUET
        try:
            if main.exists() and not (main.is_dir() if wants_folder else main.is_file()):
                wanted = "a folder (sync mode stream writes Parquet as a folder of files)" if wants_folder else "a file"
                raise DestinationConnectionError(f"'{main}' exists and is not {wanted}: use another destination_id")
            if not self._stream:
                self._shape.empty(self.default_destination_id)
            self._output.check_owner()
            make_folder(self._output.folder)
            with TemporaryFile(dir=self._output.folder):
                return True
        except (OSError, ValueError) as error:
            raise DestinationConnectionError(f"'{main}' cannot be written: {error}") from error

    def prepare(self, resume: "ResumePoint") -> None:
        """Drop what no checkpoint vouches for, and what dead jobs of this pipeline left.

        Raises DestinationError when committed rows are missing from staging, and DestinationConnectionError when the
        file is another pipeline's.
        """
        with self._disk_errors():
            if self._stream:
                self._tables.prepare(resume.last_iteration)
                return
            self._output.check_owner()
            self._refuse_to_append_again(resume)
            if resume.exhausted and self._output.own_state() in (State.PUBLISHING, State.PUBLISHED):
                return
            self._claim()
            self._staging.discard_other_jobs()
            if resume.last_iteration is None:
                self._staging.empty(resume.epoch)
            else:
                self._staging.trim(resume.last_iteration, resume.rows_written, resume.epoch)

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        """Write one batch and put it on disk. The same pages written again replace the first write."""
        first, last = self.batch.from_iteration, self.batch.to_iteration
        try:
            rows = self._shape.shape(self.destination_id, df_destination_records)
            write = partial(write_rows, rows, self.config.format)
            if self._stream:
                self._tables.append(self.destination_id, first, last, write)
            elif self._path(self.destination_id) != self._path(self.default_destination_id):
                mode, only = self.sync_metadata.sync_mode, self.default_destination_id
                return False, f"sync mode {mode} writes one file, '{only}'; the rows are for '{self.destination_id}'"
            else:
                self._claim()
                self._staging.write(first, last, rows.height, write)
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            return False, str(error)
        self._written[self.destination_id] = None
        return True, None

    def finalize(self) -> bool:
        """Publish what is staged; see ``publish.py``. Raises FinalizeError, and the file is the old one then."""
        if self._stream:
            return True
        append = self.sync_metadata.sync_mode is SourceSyncModes.INCREMENTAL
        try:
            self._output.check_owner()
            empty = self._shape.empty(self.default_destination_id)
            Publisher(self._staging, self.config.format, append=append).publish(empty)
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise FinalizeError(
                f"'{self._output.main}' was not replaced: {error}; all rows are staged, run again to publish them"
            ) from error
        return True

    def describe(self) -> str:
        """Path of the file; of the files written in this run in sync mode stream."""
        names = list(self._written) if self._stream and self._written else [self.default_destination_id]
        shown = [self._path(name) for name in names[:_NAMES_SHOWN]]
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        return ", ".join(shown) + more

    @property
    def dead_letter_id(self) -> str:
        """Beside the file: ``out.json`` has its dead letters in ``out.dead_letters.json``."""
        return f"{path_stem(self.default_destination_id, self.config.format)}.dead_letters"

    def _refuse_to_append_again(self, resume: "ResumePoint") -> None:
        """The state knows of no run, but this pipeline has written the file: everything would be added once more."""
        appends = self.sync_metadata.sync_mode is SourceSyncModes.INCREMENTAL
        if not appends or resume.has_history or resume.adopt:
            return
        main, found = self._output.main, self._output.manifest()
        if found is not None and found.owner == self._owner and main.exists() and main.stat().st_size:
            raise DestinationError(
                f"'{main}' was written by {self._owner}, but its state knows of no run: was the state file lost or is "
                f"it elsewhere? This run would append everything again. Run with --fresh to replace the file, or with "
                f"--adopt to append to it"
            )

    def _path(self, destination_id: str) -> str:
        return f"{path_stem(destination_id, self.config.format)}.{self.config.format}"

    def _output_of(self, destination_id: str) -> Output:
        """The output a destination_id names; links are followed, so that a link is not replaced by a file."""
        main = Path(os.path.realpath(self._path(check_stem(destination_id))))
        return Output(main, self._owner, self.sync_metadata.job_id)

    def _claim(self) -> None:
        if not self._claimed:
            self._output.claim(State.STAGING)
            self._claimed = True

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise DestinationError(f"staging of '{self._output.main}' cannot be prepared: {error}") from error
