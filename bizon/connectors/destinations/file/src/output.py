"""One main file, and the hidden folder next to it, which holds everything that is not published yet.

Several starts of a pipeline may believe that the output is theirs: one that was frozen, and the one that has taken over
from it. The manifest names the right one. Each step that removes or replaces something checks the manifest first, under
a lock that is held for that step alone: a start that wakes up in between finds that it is superseded.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bizon.common.errors.errors import DestinationConnectionError, DestinationError, OvertakenError
from bizon.common.private_files import append_private, check_private_folder, make_private_folder
from bizon.common.waiting import back_off
from bizon.connectors.destinations.file.src.durable import make_folder, remove_temporaries, write_bytes
from bizon.connectors.destinations.file.src.manifest import Manifest, State, parse

if TYPE_CHECKING:
    from bizon.destination.models import Owner

try:
    import fcntl
except ImportError:  # Windows: starts exclude each other by their leases alone
    fcntl = None  # type: ignore[assignment]

HIDDEN_FOLDER = ".bizon"
_LONGEST_WAIT = 30.0  # seconds for a lock that is held for one step
_LOOK_EVERY = 0.02  # seconds


class ForeignPathError(ValueError):
    """A record names a file that it must not write."""


class Claimant(NamedTuple):
    """A start of a job that wants to write. ``fence``: see ``ResumePoint``. ``knows``: whether this run's state has a
    job; an unknown job belongs to another state, whose order says nothing. ``adopt``: take over a file that bizon did
    not write."""

    owner: "Owner"
    job_id: str
    fence: tuple[int, int] = (0, 0)
    knows: Callable[[str], bool] = lambda _job_id: False
    adopt: bool = False


class Output:
    """The output, as one start of a job sees it. The destination completes ``claimant`` before ``claim``."""

    def __init__(self, main: Path, claimant: Claimant, folder: Path | None = None) -> None:
        self.main = main
        self.claimant = claimant
        self.folder = folder or main.parent / HIDDEN_FOLDER / main.name
        self.manifest_path = self.folder / "manifest.json"

    def manifest(self) -> Manifest | None:
        """The manifest, or None. Raises DestinationConnectionError for one that cannot be read."""
        try:
            return parse(self.manifest_path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise DestinationConnectionError(
                f"'{self.manifest_path}' cannot be understood ({error}); delete it to hand '{self.main}' to "
                f"{self.claimant.owner}"
            ) from error

    def own_manifest(self) -> Manifest | None:
        """The manifest if it belongs to this pipeline, else None."""
        found = self.manifest()
        return found if found is not None and found.owner == self.claimant.owner else None

    def own_state(self) -> State | None:
        """The state of this job; None when the manifest belongs to another job, or is missing."""
        found = self.manifest()
        return found.state if found is not None and self._is_own_job(found) else None

    def check_owner(self) -> None:
        """Raise DestinationConnectionError when another pipeline writes this file."""
        for folder in self._hidden_folders():
            check_private_folder(folder)
        self._check(self.manifest())

    def check_free(self) -> None:
        """Raise DestinationConnectionError when another pipeline writes this file, or when bizon did not write it."""
        self.check_owner()
        self.check_may_replace(self.manifest())

    def make_folders(self) -> None:
        """Create the hidden folder, private to this user, and its parents."""
        hidden = self._hidden_folders()
        make_folder(hidden[0].parent)
        for folder in hidden:
            make_private_folder(folder)

    def claim(self, state: State) -> None:
        """Let this start, and no other, change the output. ``state``: the state of a job that is new to the output.

        Raises DestinationConnectionError as ``check_free`` does, and OvertakenError in a superseded start.
        """
        self.make_folders()
        with self._locked():
            found = self.manifest()
            self._check(found)
            self.check_may_replace(found)
            mine = self.claimant
            if found is not None and self._supersedes(found):
                raise OvertakenError(mine.job_id)
            if found is not None and self._is_own_job(found) and found.fence == mine.fence:
                return  # workers of one job claim the output alike
            remove_temporaries(self.folder)
            if found is not None and self._is_own_job(found):
                state = found.state
            before = found if found is not None and found.owner == mine.owner else None
            is_written = state is State.STREAMING or mine.adopt or (before is not None and before.written)
            published_by = None if before is None else before.published_by
            columns = None if before is None else before.columns
            self._write(Manifest(mine.owner, mine.job_id, state, mine.fence, is_written, published_by, columns))

    @contextmanager
    def fenced(self) -> Iterator[Manifest]:
        """Within: no other start changes anything. Keep it short. Raises OvertakenError in a superseded start."""
        with self._locked():
            yield self.claimed_manifest()

    def claimed_manifest(self) -> Manifest:
        """The manifest that this start has claimed; call it within ``fenced``. Raises OvertakenError as that does."""
        found = self.manifest()
        if found is None:
            raise DestinationError(f"'{self.manifest_path}' is gone: was it removed during the run?")
        if not self._is_own_job(found) or found.fence != self.claimant.fence:
            raise OvertakenError(self.claimant.job_id)
        return found

    def mark(self, found: Manifest, state: State) -> Manifest:
        """Write a new state; call it within ``fenced``, with the manifest that ``fenced`` yields."""
        published_by = found.job_id if state is State.PUBLISHED else found.published_by
        is_written = found.written or state in (State.PUBLISHING, State.PUBLISHED)
        changed = found._replace(state=state, written=is_written, published_by=published_by)
        self._write(changed)
        return changed

    def noted_columns(self) -> dict[str, str] | None:
        """The inferred columns of this pipeline's file, when it was written last."""
        found = self.own_manifest()
        return None if found is None else found.columns

    def note_columns(self, columns: dict[str, str]) -> None:
        """Note the columns of a file that rows are written to at once. Raises OvertakenError in a superseded start."""
        with self.fenced() as found:
            if found.columns != columns:
                self._write(found._replace(columns=columns))

    def check_may_replace(self, found: Manifest | None) -> None:
        """Raise DestinationConnectionError for a file with content that bizon did not write."""
        if (found is not None and found.written) or self.claimant.adopt:
            return
        if any(self.main.iterdir()) if self.main.is_dir() else self.main.exists() and self.main.stat().st_size:
            raise DestinationConnectionError(
                f"'{self.main}' exists and bizon did not write it: move it away, use another destination_id, or run "
                f"with --adopt to take it over"
            )

    def _hidden_folders(self) -> list[Path]:
        """The folders from ``.bizon`` down to the one of this output."""
        chain = [self.folder, *self.folder.parents]
        names = [folder.name for folder in chain]
        return chain[names.index(HIDDEN_FOLDER) :: -1]

    def _check(self, found: Manifest | None) -> None:
        owner = self.claimant.owner
        if found is None or found.owner == owner:
            return
        if self.main.exists() or found.state not in (State.PUBLISHED, State.STREAMING):
            raise DestinationConnectionError(
                f"'{self.main}' belongs to {found.owner}, {owner} must not write it: use another destination_id, "
                f"or delete '{self.manifest_path}' and run with --adopt to hand the file over"
            )

    def _supersedes(self, found: Manifest) -> bool:
        """Whether the manifest names a later start than this one."""
        mine = self.claimant
        if found.owner != mine.owner or found.fence <= mine.fence:
            return False
        return self._is_own_job(found) or mine.knows(found.job_id)

    def _is_own_job(self, found: Manifest) -> bool:
        return found.owner == self.claimant.owner and found.job_id == self.claimant.job_id

    def _write(self, manifest: Manifest) -> None:
        write_bytes(self.manifest_path, manifest.to_bytes())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with append_private(self.folder / "lock") as lock:
            if fcntl is not None:
                _lock(lock.fileno(), self.folder)
            yield


def _lock(handle: int, folder: Path) -> None:
    """Wait for another start to end its step; the system releases the lock of a process that dies. A run that must end
    waits, too: it finishes a write that has begun."""
    for attempt in back_off(_LOOK_EVERY, _LOOK_EVERY, patience=_LONGEST_WAIT, sleep=time.sleep):
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt.is_last:
                raise DestinationError(
                    f"'{folder}' is locked by another run that was stopped in the middle of a step: end that process, "
                    f"then run again"
                ) from None
    raise AssertionError("back_off ends with its last attempt")


def is_below(path: Path, folder: Path) -> bool:
    """Whether a file lies in a folder or below it, outside bizon's hidden folders. Both paths have no links."""
    return path.is_relative_to(folder) and HIDDEN_FOLDER not in path.relative_to(folder).parts


def real_path(path: str) -> Path:
    """The path with links resolved, so that a link is not replaced by a file."""
    return Path(os.path.realpath(path))
