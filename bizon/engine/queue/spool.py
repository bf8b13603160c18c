"""Spools pages that wait long to be written, so that the next start of a killed run need not fetch them again.

A spool is a cache of the source, never a second ledger: only destination cursors decide what is committed, and a lost
spool only costs fetching. So nothing here is synced to disk, and torn or damaged pages are skipped.

Each start of a job has one file, ``<folder>/<job id>.<epoch>.spool``: encoded messages, each after its length (4 bytes,
big endian). Spooling pays where fetching again takes longer. The oldest page is written once it has waited for
``LONGEST_WAIT`` seconds and fetching all pages that are only in memory has taken longer than that. So a source whose
pages are committed sooner pays nothing, nor does one that makes a whole buffer of pages in a second. A file is removed
when all its pages are committed.
"""

import os
import struct
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, BinaryIO

from bizon.common.errors.errors import QueueError
from bizon.common.private_files import check_private_folder, create_private, make_private_folders
from bizon.common.safe_log import logger
from bizon.common.ticking import Ticker
from bizon.engine.queue.codec import decode, encode

if TYPE_CHECKING:
    from bizon.engine.pipeline.run import Run
    from bizon.engine.queue.models import QueueMessage

LONGEST_WAIT = 1.3  # seconds, of a page in memory and of fetching such pages
_TICK = 0.2  # seconds; with LONGEST_WAIT, a killed run fetches again for less than two seconds, and the page in flight
_MOST_STATE = 8 * 1024 * 1024  # bytes of paginations and states waiting in memory
_LENGTH = struct.Struct(">I")
_SUFFIX = ".spool"


class Spool:
    """The waiting pages of one start of a job. The queue calls ``note`` and ``committed``, on any thread."""

    def __init__(self, folder: Path, run: "Run", clock: Callable[[], float] = monotonic) -> None:
        self._path = folder / f"{run.job_id}.{run.epoch:06d}{_SUFFIX}"
        self._clock = clock
        self._waiting: deque[tuple[float, QueueMessage]] = deque()
        self._older = _older_files(self._path)
        self._spooled_to = -1
        self._state = 0
        self._fetching = 0.0
        self._file: BinaryIO | None = None
        self._lock = Lock()  # of what waits; held for moments, because ``note`` is called for each page
        self._file_lock = Lock()  # of the file; taken before the other
        self._given_up = False

    def note(self, message: "QueueMessage") -> None:
        """A page is on the queue."""
        if message.signal is None and not self._given_up:
            with self._lock:
                self._waiting.append((self._clock(), message))
                self._state += message.state_size
                self._fetching += message.fetch_seconds
                is_too_much = self._state > _MOST_STATE
            if is_too_much:
                self._write(lambda _since: self._state > _MOST_STATE // 2)

    def committed(self, to_iteration: int) -> None:
        """Forget the pages up to ``to_iteration``."""
        with self._file_lock, self._lock:
            while self._waiting and self._waiting[0][1].iteration <= to_iteration:
                self._take()
            if self._file is not None and self._spooled_to <= to_iteration:
                self._file.truncate(0)
                self._file.seek(0)
            spent = [path for path, last in self._older if last <= to_iteration]
            self._older = [(path, last) for path, last in self._older if last > to_iteration]
        for path in spent:
            path.unlink(missing_ok=True)

    def tick(self) -> None:
        """Write the pages that have waited long enough, unless fetching them again is quick."""
        due = self._clock() - LONGEST_WAIT
        self._write(lambda since: since <= due and self._fetching > LONGEST_WAIT)

    def _write(self, is_due: Callable[[float], bool]) -> None:
        """Write the oldest pages while ``is_due``, which gets the time since when a page waits. A full disk, or a page
        that cannot be encoded, only ends the spooling."""
        try:
            with self._file_lock:
                while (message := self._next(is_due)) is not None:
                    self._append(message)
                if self._file is not None:
                    self._file.flush()
        except (OSError, QueueError) as error:  # QueueError: a pagination is too large to encode
            logger.warning(f"waiting pages are no longer spooled to disk: {error}")
            self._give_up()

    def _next(self, is_due: Callable[[float], bool]) -> "QueueMessage | None":
        with self._lock:
            return self._take() if self._waiting and is_due(self._waiting[0][0]) else None

    def _take(self) -> "QueueMessage":
        message = self._waiting.popleft()[1]
        self._state -= message.state_size
        self._fetching = self._fetching - message.fetch_seconds if self._waiting else 0.0  # sums of floats drift
        return message

    def _give_up(self) -> None:
        """Spool nothing from now on. The file stays: its pages before the torn one are good."""
        with self._file_lock, self._lock:
            self._given_up = True
            self._waiting.clear()
            self._fetching = 0.0
            file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # closing flushes the buffer and may fail; the handle closes anyway
                file.close()

    def close(self) -> None:
        """Stop writing; the spooled pages stay for the next start."""
        with self._file_lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    @contextmanager
    def kept(self) -> Iterator["Spool"]:
        """Within: a thread writes the pages that have waited long enough."""
        try:
            with Ticker(self.tick, _TICK, name="bizon-spool"):
                yield self
        finally:
            with suppress(OSError):
                self.close()

    def _append(self, message: "QueueMessage") -> None:
        if self._file is None:
            make_private_folders(self._path.parent)
            check_private_folder(self._path.parent)
            self._path.unlink(missing_ok=True)
            self._file = create_private(self._path)
        payload = encode(message)
        self._file.write(_LENGTH.pack(len(payload)))
        self._file.write(payload)
        self._spooled_to = message.iteration


def replay(folder: Path, run: "Run") -> Iterator["QueueMessage"]:
    """The spooled pages of a job that follow the committed ones, without a gap, marked with the epoch of this run."""
    next_iteration = run.resume.next_iteration
    for path in _spools_in(folder, run.job_id):
        for message in read(path):
            if message.iteration == next_iteration:
                yield replace(message, epoch=run.epoch)
                next_iteration += 1


def read(path: Path) -> Iterator["QueueMessage"]:
    """The messages of one file up to the first torn one."""
    try:
        with path.open("rb") as file:
            left = path.stat().st_size
            while len(prefix := file.read(_LENGTH.size)) == _LENGTH.size:
                (length,) = _LENGTH.unpack(prefix)
                left -= _LENGTH.size + length
                if left < 0:  # a torn length must not allocate memory
                    return
                yield decode(file.read(length))
    except (OSError, QueueError) as error:
        logger.debug(f"the rest of '{path}' is skipped, its pages are fetched again: {error}")


def discard(folder: Path, keep_job: str | None = None) -> None:
    """Remove the spools of all jobs of a stream except ``keep_job``."""
    for path in _spools_in(folder):
        if keep_job is None or not path.name.startswith(f"{keep_job}."):
            path.unlink(missing_ok=True)
    for empty in (folder, folder.parent):
        with suppress(OSError):  # another pipeline has pages in it
            empty.rmdir()


def _spools_in(folder: Path, job_id: str | None = None) -> list[Path]:
    """The spools of a job, or of all, by start; none in a folder that is missing."""
    names: list[str] = []
    with suppress(OSError):
        names = os.listdir(folder)
    begin = "" if job_id is None else f"{job_id}."
    return sorted(folder / name for name in names if name.startswith(begin) and name.endswith(_SUFFIX))


def _older_files(own: Path) -> list[tuple[Path, int]]:
    """Files of earlier starts of the job, with their last page."""
    job_id = own.name.split(".")[0]
    older = [path for path in _spools_in(own.parent, job_id) if path.name < own.name]
    return [(path, max((message.iteration for message in read(path)), default=-1)) for path in older]
