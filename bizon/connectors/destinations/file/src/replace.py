"""Creates and replaces a file in one step: a reader sees, and a crash leaves, the old content or the new.

A file gets its name when it is complete. Until then it has a name that nobody can guess. Outputs have the permissions
that the umask leaves."""

import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from bizon.common.private_files import create_private, sync_folder

TEMPORARY_SUFFIX = ".tmp"
_ANYBODY = 0o666
_UMASK = re.compile(r"^Umask:\s*([0-7]+)$", re.MULTILINE)
_USUAL_UMASK = 0o022


def append_published(path: Path) -> BinaryIO:
    """Open an output to append to, or create it with the permissions that the umask leaves."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _ANYBODY), "ab")


def temporary_beside(path: Path) -> Path:
    """A name for a file that becomes ``path`` by a rename."""
    return path.with_name(f"{path.name}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")


def remove_temporaries(folder: Path) -> None:
    """Remove what crashes have left under temporary names."""
    for path in folder.glob(f"*{TEMPORARY_SUFFIX}"):
        path.unlink(missing_ok=True)


def published_mode(main: Path) -> int:
    """Permissions of an output: its own, else the ones that the umask leaves."""
    if main.exists():
        return main.stat().st_mode & 0o7777
    return _ANYBODY & ~_umask()


def _umask() -> int:
    """The umask, read from /proc: setting it to find it out would affect other threads."""
    try:
        found = _UMASK.search(Path("/proc/self/status").read_text())
    except OSError:
        found = None
    return int(found[1], 8) if found else _USUAL_UMASK


def write_aside(temporary: Path, write: Callable[[BinaryIO], None]) -> None:
    """Create ``temporary`` with what ``write`` writes, on disk. An error removes it, a crash leaves it."""
    try:
        with create_private(temporary) as handle:
            write(handle)
            handle.flush()
            os.fsync(handle.fileno())
    except Exception:
        temporary.unlink(missing_ok=True)
        raise


def write_file(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Create or replace a private file with what ``write`` writes. Raises OSError."""
    temporary = temporary_beside(path)
    write_aside(temporary, write)
    os.replace(temporary, path)
    sync_folder(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """:func:`write_file` for bytes."""

    def write(handle: BinaryIO) -> None:
        handle.write(content)

    write_file(path, write)
