"""File operations that survive a power cut: a file is on disk when its bytes and its folder entry are.

A file is created or replaced in one step: a reader sees, and a crash leaves, the old content or the new. It gets its
name when it is complete. Until then it has a name that nobody can guess. Outputs have the permissions that the umask
leaves.
"""

import mmap
import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO

import xxhash

from bizon.common.private_files import create_private, sync_folder

TEMPORARY_SUFFIX = ".tmp"
_NEWLINE = b"\n"
_BLOCK = 1024 * 1024
_ANYBODY = 0o666
_UMASK = re.compile(r"^Umask:\s*([0-7]+)$", re.MULTILINE)
_USUAL_UMASK = 0o022


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, durably."""
    if folder.is_dir():
        return
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def truncate(handle: BinaryIO | FileIO, size: int) -> None:
    """Cut an open file to ``size`` bytes, on disk; a shorter file stays as it is. A file that another start has put in
    its place meanwhile is not touched."""
    if os.fstat(handle.fileno()).st_size > size:
        os.ftruncate(handle.fileno(), size)
        os.fsync(handle.fileno())


def take_back(handle: BinaryIO, size: int) -> None:
    """Close a file after a write that failed, then cut it to ``size`` bytes: closing writes buffered bytes."""
    rest = os.dup(handle.fileno())
    with os.fdopen(rest, "r+b", buffering=0) as file:
        with suppress(OSError):
            handle.close()
        truncate(file, size)


def truncate_file(path: Path, size: int) -> None:
    """:func:`truncate` by name; a missing file stays missing."""
    if path.exists():
        with path.open("r+b") as handle:
            truncate(handle, size)


def ends_a_line(path: Path, size: int) -> bool:
    """False when the first ``size`` bytes of a file do not end a line: text appended to them would be glued to it."""
    if not size:
        return True
    with path.open("rb") as handle:
        handle.seek(size - 1)
        return handle.read(1) == _NEWLINE


def digest(path: Path, start: int, end: int) -> int:
    """Checksum (XXH3, 64 bits) of the bytes of a file from ``start`` up to ``end``. Raises EOFError when it has fewer.

    They are mapped, not read: bytes that were just written are in memory, and need no copy. One block is mapped at a
    time, because mapped bytes count as memory of the process.
    """
    checksum = xxhash.xxh3_64()
    with path.open("rb", buffering=0) as handle:
        if os.fstat(handle.fileno()).st_size < end:
            raise EOFError(f"'{path}' has fewer than {end} bytes")
        for first in range(start - start % mmap.ALLOCATIONGRANULARITY, end, _BLOCK):
            with (
                mmap.mmap(handle.fileno(), min(_BLOCK, end - first), access=mmap.ACCESS_READ, offset=first) as mapped,
                memoryview(mapped) as block,
                block[max(0, start - first) :] as content,
            ):
                checksum.update(content)
    return checksum.intdigest()


def drop_from_cache(handle: BinaryIO) -> None:
    """Release cached bytes that are on disk: large outputs push nothing else out of the system's cache, and the next
    batch reuses the same pages."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def concatenate(sources: list[tuple[Path, int]], target: BinaryIO) -> None:
    """Append the first bytes of files of lines to ``target``, each ending with a newline. Raises OSError when one
    has fewer."""
    for source, size in sources:
        start = target.tell()
        with source.open("rb") as handle:
            copy_bytes(handle, target, size)
            if target.tell() - start != size:
                raise OSError(f"{source} changed while it was copied: {target.tell() - start} of {size} bytes")
            handle.seek(max(size - 1, 0))
            glued = size and handle.read(1) != _NEWLINE
        if glued:
            target.write(_NEWLINE)
            target.flush()


def copy_bytes(source: BinaryIO, target: BinaryIO, size: int) -> None:
    """Copy at most ``size`` bytes from where ``source`` stands, inside the kernel where the file systems can, else
    through memory. ``target`` stands at its end afterwards."""
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
        while remaining > 0 and (block := source.read(min(remaining, _BLOCK))):
            target.write(block)
            remaining -= len(block)
        target.flush()
    target.seek(0, os.SEEK_END)


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
