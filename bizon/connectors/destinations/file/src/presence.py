"""The process that is writing an output: a ``Worker`` in ``.bizon/<file name>/owner.json``, whose modification time is
the heartbeat.

Runs whose states know each other exclude each other by the lease of the state, and the later one wins. Runs whose
states do not (state in memory, a run started from another folder) meet here: the second one stops before it fetches.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import orjson

from bizon.common.errors.errors import DestinationConnectionError
from bizon.common.processes import Worker, is_gone
from bizon.connectors.destinations.file.src.durable import write_bytes

if TYPE_CHECKING:
    from bizon.connectors.destinations.file.src.manifest import State
    from bizon.connectors.destinations.file.src.output import Output

_BEAT = 5.0  # seconds between heartbeats
_SILENT_FOR = 60.0  # seconds after which a process on another host counts as dead


class Presence:
    """The outputs that this run is writing. One thread beats for all of them until ``close``."""

    def __init__(self) -> None:
        self._files: dict[Path, int] = {}
        self._over = Event()
        self._heartbeat: Thread | None = None

    def claim(self, output: "Output", state: "State") -> None:
        """Claim an output, and announce that this run writes it.

        Raises DestinationConnectionError when a living run writes it whose job this run's state does not know, and
        whatever ``Output.claim`` raises.
        """
        with self.taking_over(output, state):
            pass

    def claim_for_job(self, output: "Output", state: "State") -> None:
        """:meth:`claim` by the worker of a part, which is not announced: others of its job write at the same time."""
        path = output.folder / "owner.json"
        before = _read(path)
        if before is not None and not is_gone(before.pid, before.place, before.started):
            _check(output, path, before)
        output.claim(state)

    @contextmanager
    def taking_over(self, output: "Output", state: "State") -> Iterator[bool]:
        """:meth:`claim`, and within: this run is not announced yet. Yields whether an earlier run may still be writing,
        because it was not seen to end.

        The caller deals with that run within. Until then ``owner.json`` names the earlier run, so that the next start
        deals with it again if this one dies.
        """
        path = output.folder / "owner.json"
        before = None if path in self._files else _read(path)
        may_live = before is not None and not is_gone(before.pid, before.place, before.started)
        if before is not None and may_live:
            _check(output, path, before)
        output.claim(state)
        yield may_live
        if path not in self._files:
            self._announce(output, path)

    def close(self) -> None:
        """End the run."""
        self._over.set()
        if self._heartbeat is not None:
            self._heartbeat.join()
        for path, handle in self._files.items():
            if path.exists() and os.path.samestat(path.stat(), os.fstat(handle)):
                path.unlink(missing_ok=True)
            os.close(handle)
        self._files.clear()

    def _announce(self, output: "Output", path: Path) -> None:
        write_bytes(path, orjson.dumps(Worker.of_this_process(output.claimant.job_id)._asdict()))
        self._files[path] = os.open(path, os.O_RDONLY)
        if self._heartbeat is None:
            self._heartbeat = Thread(target=self._beat, name="bizon-output", daemon=True)
            self._heartbeat.start()

    def _beat(self) -> None:
        while not self._over.wait(_BEAT):
            for handle in list(self._files.values()):
                os.utime(handle)


def _check(output: "Output", path: Path, before: Worker) -> None:
    mine = output.claimant
    silent = time.time() - path.stat().st_mtime
    if silent > _SILENT_FOR or before.job_id == mine.job_id or mine.knows(before.job_id):
        return
    raise DestinationConnectionError(
        f"'{output.main}' is being written by process {before.pid} on host '{before.host}', whose job the state of "
        f"this run does not know: wait until it ends, or give both runs the same state (engine.backend)"
    )


def _read(path: Path) -> Worker | None:
    """The run that is announced; None without one, and for a file that a power cut has torn."""
    try:
        return Worker(**orjson.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
