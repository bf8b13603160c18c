"""The manifest of a table of part files: which parts it has, whose it is, and which start may change it.

The manifest is one small JSON object in the store. Every change reads it, and replaces it only if it is still what was
read, so a change happens as a whole or not at all. A start claims the manifest with its fence; after that, a start with
an older claim finds another fence there, and changes nothing.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from bizon.common.errors.errors import DestinationError, TableRefusedError
from bizon.destination.fence import Fence

if TYPE_CHECKING:
    from bizon.destination.models import Owner, ResumePoint

SUFFIX = ".manifest.json"
_MOST_TRIES = 100
_LONGEST_NAME = 200  # bytes of a table; file systems take 255, with the suffix and what a store adds while it writes
_NOT_IN_A_NAME = re.compile(r"[/\\:\x00-\x1f\x7f]")


def fault_of(table: str) -> str | None:
    """Why the name of a table is refused; None for a plain name, which leads to no other place and no other table: its
    files are below ``<table>/``, and its manifest is next to that."""
    is_short = 0 < len(table.encode(errors="replace")) <= _LONGEST_NAME
    is_special = table.startswith(".") or table.casefold().endswith(SUFFIX)
    if is_short and not is_special and not _NOT_IN_A_NAME.search(table):
        return None
    return (
        f"destination_id {table!r} cannot name a table: a name has 1 to {_LONGEST_NAME} bytes, no slash, backslash, "
        f"colon or control character, no dot at its start and no '{SUFFIX}' at its end"
    )


class Store(Protocol):
    """Where the files are: a folder, a bucket. Names have ``/`` between folders; none is absolute or has ``..``."""

    def read(self, name: str) -> bytes | None:
        """The content of a file; None when there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file durably, as a whole or not at all; it may exist."""

    def replace(self, name: str, old: bytes | None, new: bytes) -> bool:
        """Write a file only if its content is ``old`` (None: if there is none), in one step; say whether it was."""

    def delete(self, name: str) -> None:
        """Delete a file, which may be gone."""

    def names(self, prefix: str) -> Iterable[str]:
        """The names of all files that begin with ``prefix``."""


@dataclass(frozen=True)
class Part:
    """A file of rows. ``job_id`` and ``last_page`` tell which checkpoint vouches for it."""

    name: str
    rows: int
    job_id: str
    last_page: int


@dataclass(frozen=True)
class Manifest:
    """Everything about one table. ``owner`` is a mark, ``pipeline`` says the same in words."""

    owner: str = ""
    pipeline: str = ""
    job_id: str = ""
    fence: tuple[int, int] = (0, 0)
    published_by: str | None = None
    parts: tuple[Part, ...] = field(default_factory=tuple)

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> "Manifest":
        """Read a manifest. Raises TableRefusedError for anything else."""
        try:
            found: dict[str, Any] = json.loads(content)
            parts = tuple(Part(**part) for part in found.pop("parts"))
            first, second = found.pop("fence")
            return cls(**found, fence=(first, second), parts=parts)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise TableRefusedError(
                f"'{name}' is not a manifest that bizon wrote; nothing was changed. Write to another destination_id"
            ) from None

    def to_bytes(self) -> bytes:
        """As it is stored."""
        return json.dumps(asdict(self)).encode()


class Manifests:
    """The manifests of one start. ``knows``: whether the state of the pipeline has a job of this id."""

    def __init__(self, store: Store, owner: "Owner", knows: Callable[[str], bool]) -> None:
        self._store = store
        self._fence = Fence(owner, knows)
        self.is_owner, self.checked = self._fence.is_owner, self._fence.checked

    def find(self, table: str) -> Manifest | None:
        """The manifest of a table as it is now."""
        content = self._store.read(table + SUFFIX)
        return None if content is None else Manifest.from_bytes(content, table + SUFFIX)

    def own_tables(self) -> list[str]:
        """The tables of this pipeline."""
        tables = [name.removesuffix(SUFFIX) for name in self._store.names("") if name.endswith(SUFFIX)]
        return [table for table in tables if self.is_owner(self.find(table))]

    def check_owner(self, manifest: Manifest | None, table: str, *, adopt: bool) -> None:
        """Raise TableRefusedError for a table of another pipeline. ``adopt``: take it over."""
        if manifest is not None and not self.is_owner(manifest) and not adopt:
            raise TableRefusedError(
                f"'{table}' belongs to {manifest.pipeline}; nothing was changed. Write to another destination_id, or "
                f"run with --adopt to take it over"
            )

    def take(self, table: str, resume: "ResumePoint") -> Manifest:
        """Claim a table for this start; every earlier start is superseded. Raises what ``check_owner`` raises, and
        OvertakenError in a superseded start."""

        def claimed(found: Manifest | None) -> Manifest:
            self.check_owner(found, table, adopt=resume.adopt)
            self._fence.check_newest(found, resume)
            before, owner = found or Manifest(), self._fence.owner
            published_by = before.published_by if self.is_owner(found) else None
            mine = Manifest(owner.mark, str(owner), resume.job_id, resume.fence, published_by)
            return replace(mine, parts=before.parts)

        return self._changed(table, claimed)

    def change(self, table: str, resume: "ResumePoint", change: Callable[[Manifest], Manifest]) -> Manifest:
        """Change a manifest in one step. Raises OvertakenError when another start holds it."""

        def changed(found: Manifest | None) -> Manifest:
            return change(self.checked(found, resume))

        return self._changed(table, changed)

    def _changed(self, table: str, change: Callable[[Manifest | None], Manifest]) -> Manifest:
        for _ in range(_MOST_TRIES):
            content = self._store.read(table + SUFFIX)
            found = None if content is None else Manifest.from_bytes(content, table + SUFFIX)
            new = change(found)
            if new == found:
                return new
            if self._store.replace(table + SUFFIX, content, new.to_bytes()):
                return new
        raise DestinationError(f"'{table}{SUFFIX}' keeps being changed by others")
