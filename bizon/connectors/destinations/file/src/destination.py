"""The ``file`` destination: rows in a local file, each exactly once."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO

import polars as pl

from bizon.common.errors.errors import (
    DestinationConnectionError,
    DestinationError,
    FinalizeError,
    RowsRejectedError,
)
from bizon.common.models import SyncMetadata
from bizon.connectors.destinations.file.src.columns import check_columns, has_rows
from bizon.connectors.destinations.file.src.config import (
    FileDestinationDetailsConfig,
    FileFormat,
    check_stem,
    path_stem,
)
from bizon.connectors.destinations.file.src.manifest import Owner, State
from bizon.connectors.destinations.file.src.output import Claimant, ForeignPathError, Output, is_below, real_path
from bizon.connectors.destinations.file.src.presence import Presence
from bizon.connectors.destinations.file.src.publish import Publisher
from bizon.connectors.destinations.file.src.rows import RowShape, write_rows
from bizon.connectors.destinations.file.src.staging import Staging
from bizon.connectors.destinations.file.src.staging_lines import LineStaging
from bizon.connectors.destinations.file.src.staging_parts import PartStaging
from bizon.connectors.destinations.file.src.streaming import StreamTables
from bizon.destination.destination import AbstractDestination
from bizon.destination.models import CommittedBatch, OutputState
from bizon.engine.backend.backend import AbstractBackend
from bizon.monitoring.monitor import AbstractMonitor
from bizon.source.callback import AbstractSourceCallback
from bizon.source.config import SourceSyncModes

if TYPE_CHECKING:
    from bizon.destination.models import ResumePoint

_NAMES_SHOWN = 5


class FileDestination(AbstractDestination):
    """NDJSON or Parquet on a local disk. Exactly once in every sync mode, also when the process or the machine dies.

    full_refresh and incremental: rows wait in ``.bizon/<file name>/`` beside the file, until ``finalize`` replaces the
    file in one step; a reader sees the old file or the new one. stream: rows go to the file at once.

    ``destination_id`` is the path without extension, relative to the working directory; folders are created, ``~`` is
    not expanded. A file belongs to the pipeline (name, source, stream) that writes it; another pipeline is refused, as
    is a file that bizon did not write. Not promised: network file systems that do not honour fsync, rename and locks.
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
        self._appends = sync_metadata.sync_mode is SourceSyncModes.INCREMENTAL
        owner = Owner(sync_metadata.name, sync_metadata.source_name, sync_metadata.stream_name)
        self._claimant = Claimant(owner, sync_metadata.job_id, knows=self._knows)
        self._shape = RowShape(config.format, config.record_schemas if config.unnest else None)
        self._output = Output(self._main(self.default_destination_id), self._claimant)
        staging = LineStaging if config.format is FileFormat.JSON else PartStaging
        self._staging: Staging = staging(self._output, config.format)
        self._presence = Presence()
        self._tables = StreamTables(self._output, config.format, self._output_of, self._presence)
        self._written: dict[str, None] = {}

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
            self._output.make_folders()
            with TemporaryFile(dir=self._output.folder):
                return True
        except (OSError, ValueError) as error:
            raise DestinationConnectionError(f"'{main}' cannot be written: {_file_above(main) or error}") from error

    def prepare(self, resume: "ResumePoint") -> None:
        """Drop what no checkpoint vouches for, and what dead jobs of this pipeline left.

        Raises DestinationError when committed rows are missing from staging or damaged, DestinationConnectionError
        when the file is another pipeline's, bizon did not write it, or a run is at work on it, and OvertakenError in a
        superseded start.
        """
        self._claimant = self._claimant._replace(fence=resume.fence, adopt=resume.adopt)
        self._output.claimant, self._staging.epoch = self._claimant, resume.epoch
        with self._disk_errors():
            self._output.check_free()
            if self._stream:
                self._tables.prepare(resume.last_iteration, self._claimant)
                return
            self._refuse_to_append_again(resume)
            self._check_columns()
            self._presence.claim(self._output, State.STAGING)
            if resume.exhausted and self._output.own_state() in (State.PUBLISHING, State.PUBLISHED):
                return
            with self._output.fenced():
                self._staging.discard_other_jobs()
                if resume.last_iteration is None:
                    self._staging.empty(resume.epoch)
                else:
                    self._staging.trim(resume.committed, resume.epoch)

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        """Write one batch and put it on disk. The same pages written again replace the first write.

        Raises RowsRejectedError for rows that name a file they must not write.
        """
        first, last = self.batch.from_iteration, self.batch.to_iteration
        try:
            rows = self._shape.shape(self.destination_id, df_destination_records)
            write = partial(write_rows, rows, self.config.format)
            if self._stream:
                self._append(first, last, df_destination_records.height, write)
            elif self._path(self.destination_id) != self._path(self.default_destination_id):
                mode, only = self.sync_metadata.sync_mode, self.default_destination_id
                return False, f"sync mode {mode} writes one file, '{only}'; the rows are for '{self.destination_id}'"
            else:
                with self._unless_superseded():
                    self._staging.write(first, last, rows.height, write)
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            return False, str(error)
        self._written[self.destination_id] = None
        return True, None

    def receipt(self) -> dict[str, Any] | None:
        """Where the rows of the last write are in staging, and their checksum."""
        return None if self._stream else self._staging.receipt()

    def verify(self, committed: Sequence[CommittedBatch]) -> None:
        """See that staging holds every committed batch, unless an earlier start has published them already."""
        if self._stream or self._publisher().is_published():
            return
        with self._unless_superseded():
            self._staging.verify(committed)

    def output(self) -> OutputState:
        """The file as it is now, and the job of this pipeline that published it last."""
        main = self._output.main
        identity = {"destination": "file", "place": str(main), "format": self.config.format.value}
        if self._stream:
            return OutputState(identity)
        found = self._output.manifest()
        is_own = found is not None and found.owner == self._claimant.owner
        return OutputState(identity, found.published_by if found is not None and is_own else None, has_rows(main))

    def finalize(self) -> bool:
        """Publish what is staged; see ``publish.py``. Raises FinalizeError, and the file is the old one then."""
        if self._stream:
            return True
        try:
            with self._unless_superseded():
                self._publisher().publish(self._shape.empty(self.default_destination_id))
        except (OSError, ValueError, DestinationError, pl.exceptions.PolarsError) as error:
            raise FinalizeError(
                f"'{self._output.main}' was not replaced: {error}; all rows are staged, run again to publish them"
            ) from error
        return True

    def close(self) -> None:
        """The run is over: another one may write the file."""
        self._presence.close()

    def describe(self) -> str:
        """Path of the file, absolute; of the files written in this run in sync mode stream."""
        names = list(self._written) if self._stream and self._written else [self.default_destination_id]
        shown = [os.path.abspath(self._path(name)) for name in names[:_NAMES_SHOWN]]
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        return ", ".join(shown) + more

    @property
    def dead_letter_id(self) -> str:
        """Beside the file: ``out.json`` has its dead letters in ``out.dead_letters.json``."""
        return f"{path_stem(self.default_destination_id, self.config.format)}.dead_letters"

    def _publisher(self) -> Publisher:
        return Publisher(self._staging, self.config.format, append=self._appends)

    def _refuse_to_append_again(self, resume: "ResumePoint") -> None:
        """The state knows of no run, but this pipeline has written the file: everything would be added once more."""
        if not self._appends or resume.has_history or resume.adopt:
            return
        found, owner = self._output.manifest(), self._claimant.owner
        if found is not None and found.owner == owner and has_rows(self._output.main):
            raise DestinationError(
                f"'{self._output.main}' was written by {owner}, but its state knows of no run: was the state file lost "
                f"or is it elsewhere? This run would append everything again. Run with --fresh to replace the file, or "
                f"with --adopt to append to it"
            )

    def _check_columns(self) -> None:
        """Rows that can never be appended are not worth fetching."""
        main = self._output.main
        if self._appends and self.config.format is FileFormat.PARQUET and has_rows(main):
            check_columns(main, self._shape.empty(self.default_destination_id).schema)

    def _append(self, first: int, last: int, rows: int, write: Callable[[BinaryIO], None]) -> None:
        """Rows to the file that their record names, if it may choose that one."""
        name = self.destination_id
        try:
            self._tables.append(name, first, last, write)
        except (ForeignPathError, DestinationConnectionError) as error:
            if name == self.default_destination_id:
                raise
            raise RowsRejectedError(dict.fromkeys(range(rows), f"destination_id {name!r}: {error}")) from error

    def _knows(self, job_id: str) -> bool:
        return self.backend.get_stream_job_by_id(job_id) is not None

    def _path(self, destination_id: str) -> str:
        return f"{path_stem(destination_id, self.config.format)}.{self.config.format}"

    def _main(self, destination_id: str) -> Path:
        return real_path(self._path(check_stem(destination_id)))

    def _output_of(self, destination_id: str) -> Output:
        """The output that a record names: the configured one, or one in the same folder or below it."""
        if destination_id == self.default_destination_id:
            return self._output
        try:
            main = self._main(destination_id)
        except ValueError as error:
            raise ForeignPathError(str(error)) from error
        if not is_below(main, self._output.main.parent):
            raise ForeignPathError(f"a record may only name files in '{self._output.main.parent}' and below")
        return Output(main, self._claimant)

    @contextmanager
    def _unless_superseded(self) -> Iterator[None]:
        """Within: what is staged may be gone because another start has taken over, which is then the error."""
        try:
            yield
        except (OSError, ValueError, DestinationError, pl.exceptions.PolarsError):
            with self._output.fenced():
                raise

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise DestinationError(f"staging of '{self._output.main}' cannot be prepared: {error}") from error


def _file_above(path: Path) -> str | None:
    """What to do about a file where a folder is needed; None when there is none."""
    file = next((parent for parent in path.parents if os.path.isfile(parent)), None)  # False where it may not look
    if file is None:
        return None
    return f"'{file}' is a file, not a folder; remove it, or choose another destination_id"
