"""Which versions of files a run has read, for the next incremental run."""

from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import SourceFetchError

if TYPE_CHECKING:
    from bizon.connectors.sources.files.src.storage import FileInfo

_SIZE = 8  # bytes of a digest; with a million files, one new version in 10^13 is taken for a known one
_KEY = "files"


class KnownFiles:
    """Versions of files, as digests of path and version: eleven characters of state for each file that matches."""

    def __init__(self, state: dict[str, Any]) -> None:
        try:
            packed = b64decode(state.get(_KEY, ""), validate=True)
        except (TypeError, ValueError):
            raise SourceFetchError("the state of the stream is not of source 'files': run with --fresh") from None
        self._digests = {packed[start : start + _SIZE] for start in range(0, len(packed), _SIZE)}

    def __contains__(self, info: "FileInfo") -> bool:
        return _digest(info) in self._digests


def state_of(files: Iterable["FileInfo"]) -> dict[str, Any]:
    """The state after these versions have been read. Files that are gone leave it."""
    return {_KEY: b64encode(b"".join(sorted(map(_digest, files)))).decode()}


def _digest(info: "FileInfo") -> bytes:
    return blake2b(f"{info.path}\0{info.version}".encode("utf-8", "surrogateescape"), digest_size=_SIZE).digest()
