"""File operations that survive a power cut: a file is on disk when its bytes and its folder entry are."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

TEMPORARY_SUFFIX = ".tmp"
_NEWLINE = b"\n"
_BLOCK = 1024 * 1024


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
    if folder.is_dir():
        return
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


def drop_from_cache(handle: BinaryIO) -> None:
    """Let the system use the memory of what is on disk already: large outputs push nothing else out of its cache, and
    the next batch gets the same pages again."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@dataclass(frozen=True, slots=True)
class LineEnd:
    """Where a line of a file ends: bytes up to and with its newline; ``lines`` there are up to it."""

    lines: int
    offset: int


def end_of_line(path: Path, number: int) -> LineEnd:
    """The end of the ``number``-th line, or of the last whole line when there are fewer."""
    lines = offset = 0
    end = LineEnd(0, 0)
    with path.open("rb") as handle:
        while lines < number and (block := handle.read(_BLOCK)):
            found = block.count(_NEWLINE)
            if lines + found < number:
                if found:
                    end = LineEnd(lines + found, offset + block.rindex(_NEWLINE) + 1)
            else:
                at = -1
                for _ in range(number - lines):
                    at = block.index(_NEWLINE, at + 1)
                end = LineEnd(number, offset + at + 1)
            lines, offset = lines + found, offset + len(block)
    return end


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
