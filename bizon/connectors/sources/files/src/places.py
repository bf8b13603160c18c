"""The storage of a scheme, and the files that the paths of a configuration match."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bizon.common.errors.errors import MissingDependencyError, SourceConnectionError
from bizon.connectors.sources.files.src.local_files import LocalFiles

if TYPE_CHECKING:
    from bizon.connectors.sources.files.src.config import StorageConfig
    from bizon.connectors.sources.files.src.storage import FileInfo, Storage

_EXTRAS = {"s3": "s3", "gs": "gcs", "az": "azure"}


def storage_of(scheme: str, config: "StorageConfig") -> "Storage":
    """The storage of a scheme; empty for local files. Raises MissingDependencyError."""
    if not scheme:
        return LocalFiles()
    try:
        from bizon.connectors.sources.files.src.object_store import ObjectStore
    except ModuleNotFoundError as error:
        raise MissingDependencyError(_EXTRAS[scheme], f"a path {scheme}:// (module {error.name})") from error
    return ObjectStore(scheme, config)


def files_of(storage: "Storage", paths: Iterable[str], *, may_be_none: bool) -> list["FileInfo"]:
    """The files that match, each once, by path. Raises SourceConnectionError for a path that matches none."""
    found: dict[str, FileInfo] = {}
    for path in paths:
        matches = {each.path: each for each in storage.find(path)}
        if not matches and not may_be_none:
            raise no_files(path)
        found.update(matches)
    return [found[path] for path in sorted(found)]


def no_files(path: str) -> SourceConnectionError:
    """The error for a path that matches nothing, which would empty the output of a full refresh."""
    return SourceConnectionError(
        f"no file matches {path}; if that is right, and the stream is empty, set source.allow_no_files: true"
    )
