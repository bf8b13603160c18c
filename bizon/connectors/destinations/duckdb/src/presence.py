"""The lock file that a run holds for its table, as ``sql_presence.py`` wants it: ``.bizon/<database>/<table>.lock``,
next to the database.

A run holds it by ``flock``, shared, so the kernel releases it when the process dies. Its content, a ``Worker``, names
the start that claimed the table last. Only steps that have the database open read or change it, and only one process at
a time has.
The file stays. Where it cannot be created or locked, a run goes on without it.
"""

import os
import re
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from weakref import finalize

import orjson

from bizon.common.private_files import append_private, make_private_folder
from bizon.common.processes import Worker, is_gone

if TYPE_CHECKING:
    from bizon.destination.sql_target import Transaction

try:
    import fcntl
except ImportError:  # Windows: nobody is seen
    fcntl = None  # type: ignore[assignment]

_HIDDEN_FOLDER = ".bizon"
_PLAIN = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST = 60  # characters of a table's name in the name of its file


class FilePresence:
    """The lock file of one table."""

    def __init__(self, database: str, schema: str, table: str) -> None:
        self._database = Path(os.path.realpath(database))
        mark = sha256(f"{schema}\0{table}".encode().lower()).hexdigest()[:8]
        self._folder = self._database.parent / _HIDDEN_FOLDER / self._database.name
        self._path = self._folder / f"{_PLAIN.sub('_', table)[:_LONGEST]}.{mark}.lock"
        self._held: BinaryIO | None = None

    def hold(self, within: "Transaction", job_id: str) -> None:
        """Lock the file until ``close``, and name this process in it."""
        if fcntl is None:
            return
        mine = Worker.of_this_process(job_id)
        with suppress(OSError):
            if self._held is None:
                make_private_folder(self._folder.parent)
                make_private_folder(self._folder)
                self._held = append_private(self._path)
                finalize(self, self._held.close)  # a destination that nobody closed holds nothing either
            fcntl.flock(self._held.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
            self._held.truncate(0)
            self._held.write(orjson.dumps(mine._asdict()))
            self._held.flush()

    def holder(self, within: "Transaction", job_id: str) -> str | None:
        """The process that has claimed the table for a job, while anybody holds the lock."""
        with suppress(OSError, ValueError, TypeError):
            worker = Worker(**orjson.loads(self._path.read_bytes()))
            if worker.job_id == job_id and not is_gone(worker.pid, worker.place, worker.started) and self._is_locked():
                return f"process {worker.pid} on host '{worker.host}'"
        return None

    def close(self) -> None:
        """Release the lock."""
        held, self._held = self._held, None
        if held is not None:
            held.close()

    def _is_locked(self) -> bool:
        if fcntl is None:
            return False
        with append_private(self._path) as file:
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False
