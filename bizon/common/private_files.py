"""Files and folders that nobody else may read or plant: state, spools, staging, journals, manifests, dead letters.

They may lie in a folder that others can write. So a private folder must be this user's own and no link; files in it are
opened without following links.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

_FILE, _FOLDER = 0o600, 0o700
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


def sync_folder(folder: Path) -> None:
    """Put the entries of a folder on disk: what was created, renamed or removed in it."""
    if os.name == "nt":
        return  # Windows cannot open a folder, and journals its entries
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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


def make_private_folders(folder: Path) -> None:
    """Create a folder and those above it that are missing; one that is there stays as it is."""
    for path in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        path.mkdir(mode=_FOLDER, exist_ok=True)


def create_private_if_missing(path: Path) -> None:
    """Create an empty file, unless there is one. Raises OSError for a link that another user has put there."""
    try:
        create_private(path).close()
    except FileExistsError:
        if path.is_symlink() and hasattr(os, "geteuid") and path.lstat().st_uid not in (os.geteuid(), 0):
            raise PermissionError(f"'{path}' is a link of user {path.lstat().st_uid}: remove it") from None
