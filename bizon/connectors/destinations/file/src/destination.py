"""The ``file`` destination: rows in a local file, each exactly once."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from bizon.common.errors.errors import DestinationConnectionError, DestinationError, RowsRejectedError
from bizon.connectors.destinations.file.src.columns import check_columns, columns_replaced, columns_there, has_rows
from bizon.connectors.destinations.file.src.config import FileDestinationDetailsConfig, FileFormat, path_stem
from bizon.connectors.destinations.file.src.file_rows import RowShape, reading, typed_shape, write_rows
from bizon.connectors.destinations.file.src.manifest import State
from bizon.connectors.destinations.file.src.output import Claimant, ForeignPathError, Output
from bizon.connectors.destinations.file.src.parts import PublishedParts, staging_in
from bizon.connectors.destinations.file.src.places import Places
from bizon.connectors.destinations.file.src.presence import Presence
from bizon.connectors.destinations.file.src.publish import Publisher
from bizon.connectors.destinations.file.src.streaming import StreamTables, why_alone
from bizon.connectors.destinations.file.src.writable import writable
from bizon.destination.models import CommittedBatch, OutputState, ResumePoint, WriteMode
from bizon.destination.staged import StagedDestination, Step

if TYPE_CHECKING:
    from bizon.common.sync import SyncMetadata
    from bizon.connectors.destinations.file.src.file_staging import FileStaging, JobFolder
    from bizon.destination.readable import TableReader
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.monitoring.monitor import AbstractMonitor
    from bizon.source.callback import AbstractSourceCallback

_NAMES_SHOWN = 5


class FileDestination(StagedDestination):
    """NDJSON, Parquet or CSV on a local disk. Exactly once in every sync mode, also when process or machine die.

    full_refresh and incremental: rows wait in ``.bizon/<file name>/``, in the same folder, until ``finalize`` replaces
    the file in one step. stream: rows go to the file at once.

    ``destination_id`` is the path without extension, relative to the working directory; folders are created, ``~`` is
    not expanded. A file belongs to the pipeline (name, source, stream) that writes it; another pipeline is refused, as
    is a file that bizon did not write. Not promised: network file systems that do not honour fsync, rename and locks.
    """

    config: FileDestinationDetailsConfig
    single_writer = False
    failures = (DestinationError, OSError, ValueError, pl.exceptions.PolarsError)
    _staging: "FileStaging"
    _parts: PublishedParts | None = None  # of a joined job that this run publishes
    _works_on_part = False

    def __init__(
        self,
        sync_metadata: "SyncMetadata",
        config: FileDestinationDetailsConfig,
        backend: "AbstractBackend",
        source_callback: "AbstractSourceCallback",
        monitor: "AbstractMonitor",
    ) -> None:
        super().__init__(sync_metadata, config, backend, source_callback, monitor)
        owner, job_id = sync_metadata.owner, sync_metadata.job_id
        self._claimant = Claimant(owner, job_id, knows=lambda id_: self.backend.get_stream_job_by_id(id_) is not None)
        self._typed = typed_shape(config)
        self._shape = self._typed or RowShape(config.format, config.record_schemas if config.unnest else None)
        self._places = Places(config.format, self.default_destination_id)
        self._output = Output(self._places.main, self._claimant)
        self._staging = staging_in(self._output, config.format)
        self._presence = Presence()
        self._tables = StreamTables(self._output, config.format, self._output_named, self._presence)
        self._written: dict[str, None] = {}

    def refuses_members(self) -> str | None:
        """None for folders of files that all have the same columns."""
        return why_alone(self.config.format, infers=self._typed is not None)

    def check_connection(self) -> bool:
        """True, or raises DestinationConnectionError: the folder cannot be written, the path belongs to another
        pipeline or is not a file, or ``unnest`` has no schema for it."""
        wants_folder = self._in_place and self.config.format is not FileFormat.JSON
        with writable(self._output, wants_folder=wants_folder, only_looks=self.only_looks):
            if not self._in_place and self._typed is None:
                self._shape.empty(self.default_destination_id)
        return True

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        """Write one batch and put it on disk. The same pages written again replace the first write. Raises
        RowsRejectedError for rows that name a file they must not write."""
        first, last = self.batch
        self._shape.begin_batch(self.batch)
        try:
            if self._in_place:
                self._append(first, last, df_destination_records)
            elif self._places.path(self.destination_id) != self._places.path(self.default_destination_id):
                mode, only = self.sync_metadata.sync_mode, self.default_destination_id
                return False, f"sync mode {mode} writes one file, '{only}'; the rows are for '{self.destination_id}'"
            else:
                rows = self._shape.shape(self.destination_id, df_destination_records)
                format = FileFormat.JSON if self.config.format is FileFormat.JSON else FileFormat.PARQUET
                with self._unless_superseded():
                    self._staging.write(first, last, rows.height, partial(write_rows, rows, format))
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            return False, str(error)
        self._written[self.destination_id] = None
        return True, None

    def receipt(self) -> Mapping[str, Any] | None:
        """With the columns that the batch has added or widened."""
        found = super().receipt()
        return found if found is None else {**found, **self._shape.receipt(self.default_destination_id)}

    def rescued(self) -> int:
        """The values of the last batch that are in ``_bizon_rescued``."""
        return 0 if self._typed is None else self._typed.rescued()

    @property
    def infers_columns(self) -> bool:
        """With ``unnest: true``, unless `record_schemas` has all columns."""
        return self._typed is not None

    def reading(self) -> "AbstractContextManager[TableReader]":
        """Within: the published file, or what sync mode stream has written, can be read."""
        found = self._output.manifest()
        return reading(self._output.main, self.config.format, None if found is None else found.columns)

    def output(self) -> OutputState:
        """The file as it is now, and the job of this pipeline that published it last."""
        main = self._output.main
        identity = {"destination": "file", "place": str(main), "format": self.config.format.value}
        if self._in_place:
            return OutputState(identity)
        found = self._output.own_manifest()
        return OutputState(identity, found.published_by if found is not None else None, has_rows(main))

    def close(self) -> None:
        """End the run: another one may write the file."""
        self._presence.close()

    def describe(self) -> str:
        """Absolute path of the file; in sync mode stream, of the files written in this run."""
        names = list(self._written) if self._in_place and self._written else [self.default_destination_id]
        shown = [os.path.abspath(self._places.path(name)) for name in names[:_NAMES_SHOWN]]
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        return ", ".join(shown) + more

    @property
    def dead_letter_id(self) -> str:
        """In the same folder: ``out.json`` has its dead letters in ``out.dead_letters.json``."""
        return f"{path_stem(self.default_destination_id, self.config.format)}.dead_letters"

    def _verify(self, committed: Sequence[CommittedBatch]) -> None:
        (self._parts or self._staging).verify(committed)

    @property
    def _folder(self) -> "JobFolder":
        """The rows that this run stages, or those that it publishes."""
        return self._parts or self._staging

    @property
    def _place(self) -> str:
        return str(self._output.main)

    def _prepare_in_place(self, resume: ResumePoint) -> None:
        self._open(resume)
        self._tables.prepare(resume.last_iteration, self._claimant._replace(fence=resume.fence), resume.partition)

    def _open(self, resume: ResumePoint) -> None:
        self._claimant = self._claimant._replace(fence=resume.of_job.fence, adopt=resume.adopt)
        self._output.claimant = self._claimant
        self._output.check_free()
        if resume.partition is not None:
            self._staging = staging_in(self._output, self.config.format, resume.partition)
            self._works_on_part = True
        elif resume.parts:
            self._parts = PublishedParts(self._output, self.config.format)
        self._folder.epoch = resume.epoch

    def _has_own_rows(self) -> bool:
        return self._output.own_manifest() is not None and has_rows(self._output.main)

    def _take_over(self, resume: ResumePoint) -> None:
        """Refuses rows that can never be appended before they are fetched."""
        main = self._output.main
        if self._typed is not None:
            there = columns_there if self.write_mode is WriteMode.APPEND else columns_replaced
            columns = there(main, self._output.noted_columns())
            self._typed.resume(self.default_destination_id, columns, resume.committed)
        if self.write_mode is WriteMode.APPEND and has_rows(main):
            check_columns(main, self._shape.empty(self.default_destination_id).schema)
        if self._works_on_part:
            self._presence.claim_for_job(self._output, State.STAGING)
        else:
            self._presence.claim(self._output, State.STAGING)

    def _is_published(self) -> bool:
        return self._publisher(self.write_mode).is_published()

    def _fenced(self) -> AbstractContextManager[object]:
        if not self._works_on_part:
            return self._output.fenced()
        with self._output.fenced():
            return nullcontext()  # nothing that a worker changes is anybody else's, see ``parts.py``

    def _trim(self, resume: ResumePoint) -> None:
        if resume.exhausted and self._output.own_state() is State.PUBLISHING:
            return  # step 1 of publish.py has to see ``ready`` before anything is removed
        if self._works_on_part:
            self._staging.go_on(resume.committed, resume.epoch)
            return
        self._staging.discard_other_jobs()
        if resume.last_iteration is None:
            self._staging.empty(resume.epoch)
        else:
            self._staging.trim(resume.committed, resume.epoch)

    def _publish(self, mode: WriteMode) -> None:
        self._publisher(mode).publish(self._shape.empty(self.default_destination_id))

    def _note_published(self) -> None:
        columns = self._shape.noted(self.default_destination_id)
        self._output.mark(self._output.claimed_manifest()._replace(columns=columns), State.PUBLISHED)

    def _discard(self) -> None:
        self._folder.discard()
        if self._parts is not None:
            self._parts.discard_other_jobs()

    @contextmanager
    def _explained(self, step: Step) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            if step is not Step.PREPARE:
                raise
            raise DestinationError(f"staging of '{self._output.main}' cannot be prepared: {error}") from error

    def _publisher(self, mode: WriteMode) -> Publisher:
        return Publisher(self._folder, self.config.format, append=mode is WriteMode.APPEND)

    def _append(self, first: int, last: int, frame: pl.DataFrame) -> None:
        """Append rows to the file that their record names, if it may choose that one."""
        name = self.destination_id
        try:
            if self._typed is not None and not self._typed.has_begun(name):
                self._typed.begin(name, columns_there(None, self._output_named(name).noted_columns()))
            rows = self._shape.shape(name, frame)
            write = partial(write_rows, rows, self.config.format)
            self._tables.append(name, first, last, write, None if self._typed is None else self._typed.noted(name))
        except (ForeignPathError, DestinationConnectionError) as error:
            if name == self.default_destination_id:
                raise
            reason = f"destination_id {name!r}: {error}"
            raise RowsRejectedError(dict.fromkeys(range(frame.height), reason)) from error

    def _output_named(self, destination_id: str) -> Output:
        """The output that a record names. Raises ForeignPathError for one that it must not name."""
        main = self._places.named(destination_id)
        return self._output if main == self._output.main else Output(main, self._claimant)
