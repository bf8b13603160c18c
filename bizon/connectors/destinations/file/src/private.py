"""Files and folders that nobody else may read or plant: staging, journals and manifests.

The hidden folder may lie in a folder that others can write. So it must be a folder of this user's own and no link;
files in it are opened without following links, and temporary ones under names that cannot be guessed.
"""

import os
import re
import secrets
import stat
from pathlib import Path
from typing import BinaryIO

from bizon.connectors.destinations.file.src.durable import sync_folder

TEMPORARY_SUFFIX = ".tmp"
_FILE, _FOLDER, _ANYBODY = 0o600, 0o700, 0o666
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_UMASK = re.compile(r"^Umask:\s*([0-7]+)$", re.MULTILINE)
_USUAL_UMASK = 0o022


def make_private_folder(folder: Path) -> None:
    """Create a folder, durably, or see that it is this user's. Raises OSError for a link and for another user's."""
    try:
        folder.mkdir(mode=_FOLDER)
        sync_folder(folder.parent)
    except FileExistsError:
        check_private_folder(folder)
        _tighten(folder)


def check_private_folder(folder: Path) -> None:
    """Raise OSError unless a folder is a real one and belongs to this user; one that is not there passes."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(f"'{folder}' is not a folder, or is a link to one: remove it")
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        raise PermissionError(
            f"'{folder}' belongs to user {found.st_uid}, who could replace its files: remove it, or run as that user"
        )


def _tighten(folder: Path) -> None:
    """An older release made its folders with the permissions that the umask left."""
    if stat.S_IMODE(folder.lstat().st_mode) & ~_FOLDER:
        folder.chmod(_FOLDER)


def create_private(path: Path) -> BinaryIO:
    """Create a file that is not there yet. Raises OSError for one that is, and for a link."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS, _FILE), "wb")


def append_private(path: Path) -> BinaryIO:
    """Open a file of this user's to append to, or create it. Raises OSError for a link."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINKS, _FILE), "ab")


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
    """Permissions of an output: those it has, else those that the umask leaves."""
    if main.exists():
        return main.stat().st_mode & 0o7777
    return _ANYBODY & ~_umask()


def _umask() -> int:
    """Read where that changes nothing: setting it to find it out would be seen by other threads."""
    try:
        found = _UMASK.search(Path("/proc/self/status").read_text())
    except OSError:
        found = None
    return int(found[1], 8) if found else _USUAL_UMASK
