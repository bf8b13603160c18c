"""File operations that survive a power cut: a file is on disk when its bytes and its folder entry are."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

TEMPORARY_SUFFIX = ".tmp"
_NEWLINE = b"\n"


def sync_folder(folder: Path) -> None:
    """Put the entries of a folder on disk: what was created, renamed or removed in it."""
    if os.name == "nt":
        return  # Windows cannot open a folder, and journals its entries
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, durably."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def write_aside(temporary: Path, write: Callable[[BinaryIO], None]) -> None:
    """Create ``temporary`` with what ``write`` writes, on disk. An error removes it, a crash leaves it."""
    try:
        with temporary.open("wb") as handle:
            write(handle)
            handle.flush()
            os.fsync(handle.fileno())
    except Exception:
        temporary.unlink(missing_ok=True)
        raise


def write_file(path: Path, write: Callable[[BinaryIO], None], temporary: Path | None = None) -> None:
    """Create or replace ``path`` in one step: a reader, and a crash, finds the old content or the new."""
    temporary = temporary or path.with_name(path.name + TEMPORARY_SUFFIX)
    write_aside(temporary, write)
    os.replace(temporary, path)
    sync_folder(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """:func:`write_file` with ready bytes."""

    def write(handle: BinaryIO) -> None:
        handle.write(content)

    write_file(path, write)


def truncate(path: Path, size: int) -> None:
    """Cut a file to ``size`` bytes; a file that is shorter, or absent, stays as it is."""
    if not path.exists() or path.stat().st_size <= size:
        return
    with path.open("r+b") as handle:
        handle.truncate(size)
        os.fsync(handle.fileno())


def lacks_newline(path: Path) -> bool:
    """True when a file has content and its last line is not ended: text appended to it would be glued to that line."""
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as handle:
        handle.seek(-1, os.SEEK_END)
        return handle.read(1) != _NEWLINE


def concatenate(sources: list[Path], target: BinaryIO) -> None:
    """Append files of lines to ``target``, each ending with a newline. Raises OSError when one shrinks meanwhile."""
    for source in sources:
        with source.open("rb") as handle:
            size, start = os.fstat(handle.fileno()).st_size, target.tell()
            _copy(handle, target, size)
            if target.tell() - start != size:
                raise OSError(f"{source} changed while it was copied: {target.tell() - start} of {size} bytes")
        if lacks_newline(source):
            target.write(_NEWLINE)
            target.flush()


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    """Copy ``size`` bytes inside the kernel where the file systems can, else through memory."""
    remaining = size
    try:
        while remaining > 0:
            copied = os.copy_file_range(source.fileno(), target.fileno(), remaining)
            if not copied:
                break
            remaining -= copied
    except (OSError, AttributeError):
        if remaining != size:
            raise
        shutil.copyfileobj(source, target)
        target.flush()
    target.seek(0, os.SEEK_END)
