"""Bytes as they were before compression, in bounded memory. An archive that is cut off or damaged is an error."""

import bz2
import lzma
import sys
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from bizon.common.errors.errors import MissingDependencyError, SourceFetchError
from bizon.connectors.sources.files.src.config import Compression

_CHUNK = 262_144  # compressed bytes that are read at once
_GZIP = 31  # for zlib: a header, a trailer with a checksum
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")  # of an archive with content, and without
_MAGIC = (
    (Compression.GZIP, (b"\x1f\x8b",)),
    (Compression.ZSTD, (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + each]) + b"\x2a\x4d\x18" for each in range(16)))),
    (Compression.BZIP2, tuple(b"BZh%d" % level + block for level in range(1, 10) for block in _BZIP2_BLOCKS)),
    (Compression.XZ, (b"\xfd7zXZ\0",)),
)
MAGIC_LENGTH = 10
_SUFFIXES = {
    ".gz": Compression.GZIP,
    ".gzip": Compression.GZIP,
    ".zst": Compression.ZSTD,
    ".zstd": Compression.ZSTD,
    ".bz2": Compression.BZIP2,
    ".xz": Compression.XZ,
}


class ByteStream(Protocol):
    """Bytes in order."""

    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size`` of them; none at the end."""


def compression_of(path: str, head: bytes, configured: Compression) -> Compression:
    """How a file is compressed, by its first bytes. Raises SourceFetchError when its name says otherwise."""
    if configured is not Compression.AUTO:
        return configured
    found = next((each for each, magics in _MAGIC if head.startswith(magics)), Compression.NONE)
    named = _SUFFIXES.get(path[len(uncompressed_name(path)) :].lower())
    if named is not None and found is Compression.NONE:
        raise SourceFetchError(
            f"file {path} is named like {named.value}, and does not begin like it: it is cut off, or not compressed; "
            "for the latter set source.compression: none"
        )
    return found


def uncompressed_name(path: str) -> str:
    """The path without the extension of a compression."""
    return next((path[: -len(suffix)] for suffix in _SUFFIXES if path.lower().endswith(suffix)), path)


def decompressed(stream: ByteStream, path: str, compression: Compression) -> ByteStream:
    """The content of an archive, whose members follow each other."""
    makers: dict[Compression, Callable[[], Any]] = {
        Compression.GZIP: _Gzip,
        Compression.BZIP2: bz2.BZ2Decompressor,
        Compression.XZ: lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ),
    }
    return _Decompressed(stream, path, compression, makers.get(compression) or _zstd_decompressor(path))


class _Decompressed:
    def __init__(self, stream: ByteStream, path: str, compression: Compression, new: Callable[[], Any]) -> None:
        self._stream = stream
        self._place = f"file {path}"
        self._kind = compression.value
        self._new = new
        self._member = new()
        self._waiting = b""

    def read(self, size: int) -> bytes:
        while True:
            if self._member.eof and not self._next_member():
                return b""
            if self._member.needs_input and not self._waiting:
                self._waiting = self._stream.read(_CHUNK)
                if not self._waiting:
                    raise SourceFetchError(f"{self._place} is cut off: its {self._kind} archive has no end")
            given, self._waiting = self._waiting, b""
            try:
                data: bytes = self._member.decompress(given, size)
            except Exception as error:  # noqa: BLE001 - each library raises another class
                raise SourceFetchError(f"{self._place} is damaged, and no valid {self._kind}: {error}") from None
            if data:
                return data

    def _next_member(self) -> bool:
        """Begin the member after this one; False at the end of the file. Zeros between members are padding."""
        rest = self._member.unused_data
        while not rest.lstrip(b"\0"):
            rest = self._stream.read(_CHUNK)
            if not rest:
                return False
        self._member, self._waiting = self._new(), rest.lstrip(b"\0")
        return True


class _Gzip:
    """A member of a gzip file, with the interface of the other decompressors."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_GZIP)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, size: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, size)


def _zstd_decompressor(path: str) -> Callable[[], Any]:
    """The standard library has zstd since Python 3.14."""
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ModuleNotFoundError as error:
        raise MissingDependencyError("zstd", f"file {path}, which is zstd,") from error
    maker: Callable[[], Any] = zstd.ZstdDecompressor
    return maker
