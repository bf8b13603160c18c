"""Files and folders that no other user may read or create: state, spools, staging, journals, manifests, dead letters.

Their parent folder may be writable for others. So a private folder must belong to this user and must not be a link, and
its files are opened without following links.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

_FILE, _FOLDER = 0o600, 0o700
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


def sync_folder(folder: Path) -> None:
    """Flush the entries of a folder to disk: files created, renamed or removed in it."""
    if os.name == "nt":
        return  # Windows cannot open a folder, and journals its entries
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_private_folder(folder: Path) -> None:
    """Create a folder, durably, or check that it belongs to this user. Raises OSError for a link, and for a folder of
    another user."""
    try:
        folder.mkdir(mode=_FOLDER)
        sync_folder(folder.parent)
    except FileExistsError:
        check_private_folder(folder)
        _tighten(folder)


def check_private_folder(folder: Path) -> None:
    """Raise OSError unless this is a real folder of this user. A missing folder passes."""
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
    """Older releases created folders with the permissions of the umask."""
    if stat.S_IMODE(folder.lstat().st_mode) & ~_FOLDER:
        folder.chmod(_FOLDER)


def create_private(path: Path) -> BinaryIO:
    """Create a new file. Raises OSError for an existing file or link."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS, _FILE), "wb")


def append_private(path: Path) -> BinaryIO:
    """Open or create a file of this user for appending. Raises OSError for a link."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINKS, _FILE), "ab")


def make_private_folders(folder: Path) -> None:
    """Create a folder and its missing parents; existing ones stay unchanged."""
    for path in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        path.mkdir(mode=_FOLDER, exist_ok=True)


def create_private_if_missing(path: Path) -> None:
    """Create an empty file if it is missing. Raises OSError for a link of another user."""
    try:
        create_private(path).close()
    except FileExistsError:
        if path.is_symlink() and hasattr(os, "geteuid") and path.lstat().st_uid not in (os.geteuid(), 0):
            raise PermissionError(f"'{path}' is a link of user {path.lstat().st_uid}: remove it") from None
