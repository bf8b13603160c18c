"""The interface of a place where files are: a file system or an object store."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from bizon.common.errors.errors import SourceFetchError

if TYPE_CHECKING:
    import polars as pl


_Result = TypeVar("_Result")
_QUERY = re.compile(r"(https?://[^\s?]+)\?\S+")


class FileInfo(NamedTuple):
    """One version of a file. ``version``: the etag, or size and modification time; ``size`` in bytes."""

    path: str
    version: str
    modified: datetime
    size: int


class ChangedError(SourceFetchError):
    """A file is not, or no longer, what it was when the run or its checkpoint saw it. The run ends: a page never mixes
    two versions."""

    def __init__(self, path: str, what: str = "has changed while it was read") -> None:
        super().__init__(
            f"file {path} {what}, and a page never mixes two versions; run again once the file is complete, with "
            "--fresh when the checkpoint is inside of it"
        )


class OpenFile(Protocol):
    """One version of a file, open for reading."""

    info: FileInfo

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes; none at the end. Raises ChangedError instead of bytes of another version."""

    def check(self) -> None:
        """Raise ChangedError when the file is another one by now."""

    def scan(self) -> "pl.LazyFrame":
        """The file as Parquet. Nothing is read yet. Call ``check`` after reading: it raises when the data may come from
        another version."""

    def repeated(self, use: Callable[[], _Result]) -> _Result:
        """Use ``scan``, again while an object store is overloaded or not reached. Raises the errors of ``use``."""

    def close(self) -> None:
        """Release what is open."""


class Storage(Protocol):
    """A file system or an object store."""

    def find(self, pattern: str) -> Iterator[FileInfo]:
        """The files that a path or pattern matches, in any order; one may come twice. Raises
        SourceConnectionError."""

    def info(self, path: str) -> FileInfo:
        """A file as it is now. Raises ChangedError when it is gone."""

    def open(self, info: FileInfo) -> OpenFile:
        """Open a version of a file. Raises ChangedError when it is another one by now."""


def without_queries(text: str) -> str:
    """A text without the queries of the URLs in it: a signature may be there."""
    return _QUERY.sub(r"\1?...", text)
