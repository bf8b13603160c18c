"""The content of a file from any position on: decompressed, and in an encoding in which a line break is one byte."""

import codecs
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.files.src.compression import MAGIC_LENGTH, ByteStream, compression_of, decompressed
from bizon.connectors.sources.files.src.config import Compression

if TYPE_CHECKING:
    from bizon.connectors.sources.files.src.config import FilesSourceConfig
    from bizon.connectors.sources.files.src.storage import OpenFile

_BOM = codecs.BOM_UTF8
_MANY = 16_777_216  # bytes that are skipped at once
LONGEST_RECORD = 67_108_864  # bytes, unless pieces are large
_MOST_PIECES = 8  # for one record
_WIDE = ("utf-16", "utf-32")  # their line breaks have several bytes


class Content:
    """The bytes of a file, read in pieces.

    Positions count bytes after decompression. Bytes of UTF-16 and UTF-32 are read as UTF-8, and count as such.
    ``position``: of the first byte that is not consumed. ``encoding``: of the bytes.
    """

    def __init__(self, file: "OpenFile", config: "FilesSourceConfig", position: int = 0) -> None:
        self.position = position
        self.place = f"file {file.info.path}"
        self._longest = max(LONGEST_RECORD, _MOST_PIECES * config.piece_size)
        self._is_wide = config.encoding.startswith(_WIDE)
        self.encoding = "utf-8" if self._is_wide else config.encoding
        head = file.read_at(0, MAGIC_LENGTH)
        kind = compression_of(file.info.path, head, config.compression)
        is_plain = kind is Compression.NONE and not self._is_wide
        self._stream: ByteStream = _Stored(file, position if is_plain else 0)
        if kind is not Compression.NONE:
            self._stream = decompressed(self._stream, file.info.path, kind)
        if self._is_wide:
            self._stream = _Transcoded(self._stream, config.encoding, self.place)
        if not is_plain:
            _skip(self._stream, position, self.place)
        self._held = b""
        self._is_exhausted = False

    def ahead(self, size: int) -> bytes:
        """At least ``size`` bytes from the position on, fewer at the end of the file. A byte order mark at the start of
        the file is consumed."""
        wanted = max(size, len(_BOM)) if self.position == 0 else size
        parts, length = [self._held], len(self._held)
        while length < wanted and not self._is_exhausted:
            data = self._stream.read(wanted - length)
            parts.append(data)
            length += len(data)
            self._is_exhausted = not data
        self._held = b"".join(parts)
        if self.position == 0 and self.encoding == "utf-8" and self._held.startswith(_BOM):
            self.consume(len(_BOM))
        return self._held

    def growing(self, size: int) -> Iterator[bytes]:
        """``ahead`` with more and more bytes, as long as a record needs them: up to 64 MB, or eight pieces. Ends after
        that, or with the whole file."""
        while True:
            yield self.ahead(size)
            if self._is_exhausted or size >= self._longest:
                return
            size = min(size * 2, self._longest)

    def consume(self, count: int) -> None:
        """Move the position past this number of the bytes that ``ahead`` returned."""
        self._held = self._held[count:]
        self.position += count

    @property
    def has_all(self) -> bool:
        """Whether ``ahead`` returned everything up to the end of the file."""
        return self._is_exhausted

    def is_at_end(self) -> bool:
        """Whether nothing follows the position."""
        return not self._held and not self.ahead(1)


class _Stored:
    """The bytes of a file as they are stored."""

    def __init__(self, file: "OpenFile", position: int) -> None:
        self._file = file
        self._position = position

    def read(self, size: int) -> bytes:
        data = self._file.read_at(self._position, size)
        self._position += len(data)
        return data


class _Transcoded:
    """A wide encoding as UTF-8."""

    def __init__(self, stream: ByteStream, encoding: str, place: str) -> None:
        self._stream = stream
        self._name = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._place = place
        self._waiting = b""

    def read(self, size: int) -> bytes:
        while not self._waiting:
            data = self._stream.read(size)
            try:
                self._waiting = self._decoder.decode(data, final=not data).encode()
            except UnicodeError as error:
                raise SourceFetchError(f"{self._place} is not valid {self._name}: {error}") from None
            if not data:
                break
        found, self._waiting = self._waiting[:size], self._waiting[size:]
        return found


def _skip(stream: ByteStream, count: int, place: str) -> None:
    while count:
        passed = len(stream.read(min(count, _MANY)))
        if not passed:
            raise SourceFetchError(f"{place} ends before the checkpoint inside of it: run again with --fresh")
        count -= passed
