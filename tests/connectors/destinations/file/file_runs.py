"""Runs of a pipeline against the file destination, with the loader's part played by the test."""

import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest

from bizon.common.sync import SyncMetadata
from bizon.connectors.destinations.file.src.config import FileDestinationDetailsConfig
from bizon.connectors.destinations.file.src.destination import FileDestination
from bizon.destination.models import BatchRange, CommittedBatch, ResumePoint
from bizon.engine.backend.backend import AbstractBackend
from bizon.monitoring.monitor import NoOpMonitor
from bizon.rows.frames import DESTINATION_SCHEMA
from bizon.source.callback import NoOpSourceCallback
from bizon.source.config import SourceConfig, SourceSyncModes

MOMENT = datetime(2024, 1, 2, 3, 4, 5, 60, tzinfo=UTC)


def rows_of(*ids: str, data: list[dict[str, Any]] | None = None) -> pl.DataFrame:
    """A destination frame with these record ids; ``data`` defaults to ``{"n": id}``."""
    texts = [json.dumps(record, ensure_ascii=False, separators=(",", ":")) for record in data or []]
    return pl.DataFrame(
        {
            "bizon_id": [f"bizon-{id_}" for id_ in ids],
            "bizon_extracted_at": [MOMENT] * len(ids),
            "bizon_loaded_at": [MOMENT] * len(ids),
            "source_record_id": list(ids),
            "source_timestamp": [MOMENT] * len(ids),
            "source_data": texts or [f'{{"n":"{id_}"}}' for id_ in ids],
        },
        schema=DESTINATION_SCHEMA,
    )


def written_state(path: Path) -> tuple[int, int, int, int]:
    """The inode, size and times of a file, which a write changes. The access time is left out: reading changes it."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class _State:
    """It knows every job."""

    def get_stream_job_by_id(self, job_id: str) -> str:
        return job_id


@dataclass
class Job:
    """One job over its restarts: what the state database knows of it, and how to run it."""

    job_id: str = "job1"
    sync_mode: str = "full_refresh"
    pipeline: str = "pipe"
    config: dict[str, Any] = field(default_factory=dict)
    last: int | None = None
    committed: list[CommittedBatch] = field(default_factory=list)
    adopt: bool = False
    exhausted: bool = False
    starts: int = 0
    destination: FileDestination = field(init=False)

    def open(self) -> FileDestination:
        """A destination of a new run, not prepared."""
        metadata = SyncMetadata(
            name=self.pipeline,
            job_id=self.job_id,
            source_name="src",
            stream_name="things",
            sync_mode=SourceSyncModes(self.sync_mode),
            destination_name="file",
            destination_alias="file",
        )
        destination = FileDestination(
            sync_metadata=metadata,
            config=FileDestinationDetailsConfig(**{"destination_id": "out", **self.config}),
            backend=cast("AbstractBackend", _State()),
            source_callback=NoOpSourceCallback(SourceConfig(name="src", stream="things")),
            monitor=NoOpMonitor(metadata),
        )
        _opened.append(destination)
        return destination

    def next_start(self) -> ResumePoint:
        """The resume point of a start that begins now."""
        self.starts += 1
        return ResumePoint(
            self.job_id,
            last_iteration=self.last,
            rows_written=sum(batch.rows for batch in self.committed),
            exhausted=self.exhausted,
            adopt=self.adopt,
            epoch=self.starts,
            job_created_us=int(re.sub(r"\D", "", self.job_id)),
            committed=() if self.sync_mode == "stream" else tuple(self.committed),
        )

    def prepared(self) -> FileDestination:
        """A destination of a new run at the resume point."""
        destination = self.open()
        assert destination.check_connection() is True
        destination.prepare(self.next_start())
        self.destination = destination
        return destination

    def write(
        self, destination: FileDestination, first: int, last: int, frame: pl.DataFrame, table: str | None = None
    ) -> tuple[bool, str | None]:
        """One call of the loader, not committed."""
        destination.batch = BatchRange(first, last)
        destination.destination_id = table or destination.default_destination_id
        return destination.write_records(frame)

    def commit(self, last: int, rows: int) -> None:
        """The checkpoint of the last write is recorded."""
        first = 0 if self.last is None else self.last + 1
        receipt = self.destination.receipt() if rows else None
        self.committed.append(CommittedBatch(first, last, rows, receipt))
        self.last = last

    def add(self, destination: FileDestination, page: int, *ids: str, last: int | None = None) -> None:
        """Write pages, ``page`` to ``last``, and record them."""
        last = page if last is None else last
        assert self.write(destination, page, last, rows_of(*ids)) == (True, None)
        self.commit(last, len(ids))

    def publish(self, destination: FileDestination) -> None:
        """The loader's last calls of a job."""
        destination.verify(self.committed)
        assert destination.finalize() is True

    def run(self, pages: list[list[str]]) -> FileDestination:
        """A whole run from the resume point to the publication; a page without ids has no rows."""
        destination = self.prepared()
        if not self.exhausted:
            for page in range(0 if self.last is None else self.last + 1, len(pages)):
                if pages[page]:
                    assert self.write(destination, page, page, rows_of(*pages[page])) == (True, None)
                self.commit(page, len(pages[page]))
            self.exhausted = self.sync_mode != "stream"
        self.publish(destination)
        return destination


def ids_in(path: Path) -> list[str]:
    """Record ids of a published file or folder, in order; every line has to parse."""
    if path.suffix == ".parquet":
        return pl.read_parquet(path, glob=path.is_dir())["source_record_id"].to_list()
    content = path.read_bytes()
    assert content == b"" or content.endswith(b"\n")
    return [json.loads(line)["source_record_id"] for line in content.splitlines()]


_TORN = 10  # bytes; less than any line or part that is written


def _no_fsync(_handle: int) -> None:
    """A process that dies loses nothing the kernel has; the tests need not wait for the disk."""


def _tear(handle: int) -> None:
    """Cut off a part of the bytes that were not synced, as the death of a machine does."""
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and found.st_size > _TORN:
        _truncate(handle, found.st_size - _TORN)


class Crash(BaseException):
    """The process dies here; nothing in the code under test catches it."""


_CALLS = ("replace", "fsync", "link", "unlink", "rmdir", "mkdir", "copy_file_range", "chmod", "ftruncate", "open")
_truncate = os.ftruncate
_opened: list[FileDestination] = []


def bury() -> None:
    """Let the running processes of a test die: their heartbeats end, their files stay on disk."""
    while _opened:
        presence = _opened.pop()._presence
        presence._over.set()
        if presence._heartbeat is not None:
            presence._heartbeat.join()
        for handle in presence._files.values():
            os.close(handle)
        presence._files.clear()


def forget_their_processes() -> None:
    """Let every announced process look gone."""
    for path in Path(".bizon").rglob("owner.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "started": "long ago"}))


def is_counted(name: str, args: tuple[Any, ...]) -> bool:
    """Whether a call changes what is on the disk: opening does where it creates."""
    return name != "open" or bool(args[1] & os.O_CREAT)


@contextmanager
def dying_before(number: int, look: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Die before the n-th operation on the disk, from 0; ``look`` is called before each.

    Dying before an fsync tears the end off the file.
    """
    patch = pytest.MonkeyPatch()
    done = 0

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        tears = real is _no_fsync

        def call(*args: Any, **keys: Any) -> Any:
            nonlocal done
            if not is_counted(name, args):
                return real(*args, **keys)
            look()
            if done == number:
                if tears:
                    _tear(*args)
                raise Crash
            done += 1
            return real(*args, **keys)

        return call

    for name in _CALLS:
        patch.setattr(os, name, wrap(name, getattr(os, name) if name != "fsync" else _no_fsync))
    try:
        yield
    finally:
        patch.undo()


def survived(work: Callable[[], object], number: int, look: Callable[[], None] = lambda: None) -> bool:
    """True when ``work`` ended before its n-th operation on the disk."""
    try:
        with dying_before(number, look):
            work()
    except Crash:
        return False
    finally:
        bury()
    return True
