"""Unguessable names for temporary files, and permissions of outputs, which follow the umask."""

import os
import re
import secrets
from pathlib import Path
from typing import BinaryIO

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
