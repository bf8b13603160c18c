"""Creates and replaces a file in one step: a reader sees, and a crash leaves, the old content or the new."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from bizon.common.private_files import create_private, sync_folder
from bizon.connectors.destinations.file.src.permissions import temporary_beside


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
