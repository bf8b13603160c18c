"""Files of this machine."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, TypeVar

import polars as pl

from bizon.common.errors.errors import SourceConnectionError
from bizon.connectors.sources.files.src.patterns import is_wild, name_matcher
from bizon.connectors.sources.files.src.storage import ChangedError, FileInfo, OpenFile

_Result = TypeVar("_Result")


class LocalFiles:
    """A storage. The version of a file is its size and its modification time."""

    def find(self, pattern: str) -> Iterator[FileInfo]:
        if not is_wild(pattern) or os.path.exists(pattern):
            yield from _single(pattern)
            return
        root, parts = ("/", pattern[1:].split("/")) if pattern.startswith("/") else ("", pattern.split("/"))
        try:
            yield from _below(root, [part for part in parts if part])
        except OSError as error:
            raise SourceConnectionError(f"{pattern} cannot be listed: {error}") from error

    def info(self, path: str) -> FileInfo:
        try:
            return _info(path, os.stat(path))
        except FileNotFoundError:
            raise ChangedError(path, "was removed") from None
        except OSError as error:
            raise SourceConnectionError(f"file {path} cannot be read: {error}") from error

    def open(self, info: FileInfo) -> OpenFile:
        return _OpenFile(info)


class _OpenFile:
    def __init__(self, info: FileInfo) -> None:
        self.info = info
        self._file: BinaryIO
        try:
            self._file = Path(info.path).open("rb", buffering=0)  # noqa: SIM115 - closed by ``close``
        except FileNotFoundError:
            raise ChangedError(info.path, "was removed") from None
        except OSError as error:
            raise SourceConnectionError(f"file {info.path} cannot be read: {error}") from error
        self._inode = os.fstat(self._file.fileno()).st_ino

    def read_at(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        data = self._file.read(min(size, self.info.size - offset)) if offset < self.info.size else b""
        self.check()
        return data

    def check(self) -> None:
        path = self.info.path
        try:
            found = os.stat(path)
        except FileNotFoundError:
            raise ChangedError(path, "was removed while it was read") from None
        if _info(path, found).version != self.info.version or found.st_ino != self._inode:
            raise ChangedError(path)

    def scan(self) -> pl.LazyFrame:
        return pl.scan_parquet(self.info.path, glob=False, hive_partitioning=False)

    def repeated(self, use: Callable[[], _Result]) -> _Result:
        return use()

    def close(self) -> None:
        self._file.close()


def _single(path: str) -> Iterator[FileInfo]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SourceConnectionError(f"file {path} cannot be read: {error}") from error
    if not S_ISREG(found.st_mode):
        raise SourceConnectionError(f"{path} is not a file; for the files of a folder write {path.rstrip('/')}/*")
    yield _info(path, found)


def _below(folder: str, parts: list[str]) -> Iterator[FileInfo]:
    """The files below a folder whose path matches the parts of a pattern."""
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield from _below(folder, rest or ["*"])
    elif not is_wild(part):
        path = f"{folder}{part}"
        if rest and os.path.isdir(path):
            yield from _below(f"{path}/", rest)
        elif not rest and os.path.isfile(path):
            yield _info(path, os.stat(path))
        return
    matches = name_matcher("*" if part == "**" else part).fullmatch
    with os.scandir(folder or ".") as entries:
        for entry in entries:
            if not matches(entry.name):
                continue
            if part == "**":
                if entry.is_dir(follow_symlinks=False):
                    yield from _below(f"{folder}{entry.name}/", parts)
            elif rest and entry.is_dir():
                yield from _below(f"{folder}{entry.name}/", rest)
            elif not rest and entry.is_file():
                with suppress(FileNotFoundError):  # removed since
                    yield _info(f"{folder}{entry.name}", entry.stat())


def _info(path: str, found: os.stat_result) -> FileInfo:
    if not path.isprintable() and any("\ud800" <= character <= "\udfff" for character in path):
        raise SourceConnectionError(f"the name of file {path!r} is not valid UTF-8: rename it")
    modified = datetime.fromtimestamp(found.st_mtime, UTC)
    return FileInfo(path, f"{found.st_size}-{found.st_mtime_ns}", modified, found.st_size)
