"""Files in an object store. The only module that imports obstore."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
import polars as pl
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError, UnauthenticatedError
from obstore.store import AzureStore, GCSStore, S3Store

from bizon.common.errors.errors import SourceConnectionError
from bizon.connectors.sources.files.src.patterns import fixed_prefix, is_wild, path_matcher
from bizon.connectors.sources.files.src.storage import ChangedError, FileInfo, without_queries
from bizon.connectors.sources.files.src.store_options import allows_http, store_options
from bizon.connectors.sources.files.src.store_retries import MOST_QUICK, QUICKLY, repeated

if TYPE_CHECKING:
    from bizon.connectors.sources.files.src.config import StorageConfig
    from bizon.connectors.sources.files.src.storage import OpenFile

_STORES = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
_DENIED = re.compile(r"status code: 40[13]\b")
_EXTENSIONS = ["json", "ndjson", "jsonl", "csv", "tsv", "parquet", "pq", "gz", "gzip", "zst", "zstd", "bz2", "xz"]
_AT_ONCE = 1000  # objects of a listing
_HEAD = 65_536  # bytes
_Result = TypeVar("_Result")


class ObjectStore:
    """A storage. The version of an object is its etag; each request asks for that version only."""

    def __init__(self, scheme: str, storage: "StorageConfig") -> None:
        self._scheme = scheme
        self._storage = storage
        self._stores: dict[tuple[str, int], S3Store | GCSStore | AzureStore] = {}
        self._quick_retries = min(MOST_QUICK, storage.retries)

    def find(self, pattern: str) -> Iterator[FileInfo]:
        bucket, key = self._parts(pattern)
        if not is_wild(key):
            yield from self._single(pattern)
            return
        matches = path_matcher(key).fullmatch
        place, prefix = f"{self._scheme}://{bucket}", fixed_prefix(key) or None
        store = self._store(bucket, self._quick_retries)
        listing = _Listing(lambda: iter(obstore.list(store, prefix, chunk_size=_AT_ONCE)))
        while parts := self._asked(place, listing.following):
            for found in parts:
                yield from (self._info(bucket, each) for each in found if matches(each["path"]) and _is_file(each))

    def info(self, path: str) -> FileInfo:
        for found in self._single(path):
            return found
        raise ChangedError(path, "was removed")

    def open(self, info: FileInfo) -> "OpenFile":
        return _OpenObject(self, info)

    def read(self, info: FileInfo, start: int, end: int) -> bytes:
        """A range of a version of an object. Raises ChangedError."""
        bucket, key = self._parts(info.path)
        store = self._store(bucket)

        def content() -> bytes:
            answer = obstore.get(store, key, options={"range": (start, end), "if_match": f'"{info.version}"'})
            if self._info(bucket, answer.meta).version != info.version:  # some servers ignore the condition
                raise ChangedError(info.path)
            return bytes(answer.bytes())

        return self._asked(info.path, content)

    def scan(self, path: str) -> pl.LazyFrame:
        """An object as Parquet, read by Polars."""
        options: dict[str, Any] = store_options(self._scheme, self._storage)
        if allows_http(self._storage):
            options["allow_http"] = "true"
        first, longest = QUICKLY
        options |= {
            "max_retries": self._quick_retries,
            "retry_init_backoff_ms": first,
            "retry_max_backoff_ms": longest,
        }
        return pl.scan_parquet(
            path, glob=False, hive_partitioning=False, storage_options=options, credential_provider=None
        )

    def repeated(self, place: str, request: Callable[[], _Result]) -> _Result:
        """Send a request to the store, and again while that may help. Raises the error of the last attempt."""
        return repeated(request, retries=self._storage.retries, shown=lambda error: f"{place}: {_brief(error)}")

    def _asked(self, place: str, request: Callable[[], _Result]) -> _Result:
        """The same for obstore. Raises SourceConnectionError, and ChangedError."""
        with _in_words(place):
            return self.repeated(place, request)

    def _single(self, path: str) -> Iterator[FileInfo]:
        bucket, key = self._parts(path)
        store = self._store(bucket)
        try:
            yield self._info(bucket, self._asked(path, lambda: obstore.head(store, key)))
        except ChangedError:
            return

    def _info(self, bucket: str, found: "obstore.ObjectMeta") -> FileInfo:
        moment = found["last_modified"]
        etag = (found["e_tag"] or "").removeprefix("W/").strip('"')
        version = etag or f"{found['size']}-{moment.isoformat()}"
        return FileInfo(f"{self._scheme}://{bucket}/{found['path']}", version, moment, found["size"])

    def _parts(self, path: str) -> tuple[str, str]:
        bucket, _, key = path.partition("://")[2].partition("/")
        return bucket, key

    def _store(self, bucket: str, quick_retries: int = 0) -> S3Store | GCSStore | AzureStore:
        """``quick_retries``: of each request, by obstore itself."""
        if (bucket, quick_retries) not in self._stores:
            first, longest = (timedelta(milliseconds=each) for each in QUICKLY)
            with _in_words(f"{self._scheme}://{bucket}"):
                self._stores[bucket, quick_retries] = _STORES[self._scheme](
                    bucket,
                    config=store_options(self._scheme, self._storage),
                    client_options={
                        "allow_http": allows_http(self._storage),
                        "timeout": timedelta(seconds=self._storage.timeout),
                    },
                    retry_config={
                        "max_retries": quick_retries,
                        "backoff": {"init_backoff": first, "max_backoff": longest, "base": 2},
                    },
                )
        return self._stores[bucket, quick_retries]


class _Listing:
    """The objects of a bucket, in parts. One that breaks off begins again, since not every store can continue after an
    object: some of its objects come twice then. ``start``: begins it."""

    def __init__(self, start: "Callable[[], Iterator[Sequence[obstore.ObjectMeta]]]") -> None:
        self._start = start
        self._parts = start()
        self._read = 0
        self._due = 1

    def following(self) -> "list[Sequence[obstore.ObjectMeta]]":
        """The next part, after a failure with all parts before it; nothing at the end."""
        try:
            found = list(islice(self._parts, self._due))
        except BaseError:
            self._parts, self._due = self._start(), self._read + 1
            raise
        self._read, self._due = self._read + 1, 1
        return found


def _is_file(found: "obstore.ObjectMeta") -> bool:
    """Whether an object is more than the marker of a folder: empty, with a name that ends with a slash, which obstore
    drops. An empty object with the name of a file is a file."""
    name = found["path"].rpartition("/")[2]
    return found["size"] > 0 or name.rpartition(".")[2].lower() in _EXTENSIONS


class _OpenObject:
    """The first bytes are kept: they tell format, compression and header, and a small object is one request."""

    def __init__(self, store: ObjectStore, info: FileInfo) -> None:
        self.info = info
        self._store = store
        self._head: bytes | None = None

    def read_at(self, offset: int, size: int) -> bytes:
        end = min(offset + size, self.info.size)
        if offset >= end:
            return b""
        if offset < _HEAD and self._head is None:
            self._head = self._store.read(self.info, 0, min(_HEAD, self.info.size))
        data = (self._head or b"")[offset:end]
        start = offset + len(data)
        return data + self._store.read(self.info, start, end) if start < end else data

    def check(self) -> None:
        if self._store.info(self.info.path).version != self.info.version:
            raise ChangedError(self.info.path)

    def scan(self) -> pl.LazyFrame:
        return self._store.scan(self.info.path)

    def repeated(self, use: Callable[[], _Result]) -> _Result:
        return self._store.repeated(self.info.path, use)

    def close(self) -> None:
        """Nothing is open between requests."""


@contextmanager
def _in_words(place: str) -> Iterator[None]:
    """Within: an error of obstore becomes a SourceError, on one line."""
    try:
        yield
    except PreconditionError:
        raise ChangedError(place) from None
    except FileNotFoundError:
        raise ChangedError(place, "was removed") from None
    except (BaseError, ValueError, OSError) as error:
        is_denied = isinstance(error, PermissionDeniedError | UnauthenticatedError) or _DENIED.search(str(error))
        what = "access is denied, check the keys of storage" if is_denied else "cannot be read"
        raise SourceConnectionError(f"{place}: {what}: {_brief(error)}") from error


def _brief(error: Exception) -> str:
    """The text of an error without its details for developers, on one line. It is shortened where it is shown: who cuts
    a text before its secrets are masked leaves a part of them."""
    return without_queries(" ".join(str(error).partition("Debug source:")[0].split()))
