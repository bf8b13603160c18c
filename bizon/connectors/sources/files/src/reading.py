"""The files of a run as pages: several small files make one page, a large file makes several."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bizon.connectors.sources.files.src.formats import reader_of
from bizon.connectors.sources.files.src.json_rows import Rows, page_of
from bizon.connectors.sources.files.src.storage import ChangedError, FileInfo

if TYPE_CHECKING:
    from bizon.connectors.sources.files.src.config import FilesSourceConfig
    from bizon.connectors.sources.files.src.json_rows import RowReader
    from bizon.connectors.sources.files.src.storage import OpenFile, Storage
    from bizon.source.models import JsonLines

_WORTH_READING = 4  # a page ends when less than this part of a piece is left
_MOST_FILES = 100  # of a page: each takes a request, and a run can only stop between pages


class FileQueue:
    """Files in the order of their paths.

    A pagination is ``{"after": PATH}`` between two files. Inside of a file it is ``{"path", "version"}`` with the
    position of its reader. A file stays open from page to page.
    """

    def __init__(self, storage: "Storage", config: "FilesSourceConfig", files: Sequence[FileInfo]) -> None:
        self._storage = storage
        self._config = config
        self._files = files
        self._paths = [file.path for file in files]
        self._file: OpenFile | None = None
        self._reader: RowReader | None = None

    def page(self, pagination: dict[str, Any]) -> "tuple[JsonLines, dict[str, Any]]":
        """The records of the next piece, and the pagination after it: empty after the last file."""
        following, parts, left = pagination, list[Rows](), self._config.piece_size
        while True:
            reader = self._reader_at(following)
            if reader is None:
                return page_of(parts), {}
            rows = reader.read(left)
            parts.append(rows)
            left -= int(rows.texts.estimated_size())
            following = self._place()
            if not self._paths_after(following):
                return page_of(parts), {}
            is_full = left < self._config.piece_size // _WORTH_READING or len(parts) == _MOST_FILES
            if "path" in following or is_full:
                return page_of(parts), following

    def close(self) -> None:
        """Close the file that is open."""
        if self._file is not None:
            self._file.close()
        self._file = self._reader = None

    def _paths_after(self, pagination: dict[str, Any]) -> bool:
        """Whether anything is left after a pagination."""
        return "path" in pagination or bisect_right(self._paths, pagination["after"]) < len(self._paths)

    def _reader_at(self, pagination: dict[str, Any]) -> "RowReader | None":
        """The reader of the place that a pagination names; None after the last file."""
        if "path" not in pagination:
            self.close()
            number = bisect_right(self._paths, pagination["after"]) if pagination else 0
            return self._opened(self._files[number], {}) if number < len(self._files) else None
        if self._file is not None and self._reader is not None and pagination == self._place():
            self._file.check()
            return self._reader
        self.close()
        info = self._storage.info(pagination["path"])
        if info.version != pagination["version"]:
            raise ChangedError(info.path, "has changed since the checkpoint inside of it")
        return self._opened(info, pagination)

    def _opened(self, info: FileInfo, at: dict[str, Any]) -> "RowReader":
        """The reader of a file. One that has changed since it was listed is read as it is now."""
        try:
            return self._open(info, at)
        except ChangedError:
            if at:
                raise
            self.close()
            return self._open(self._storage.info(info.path), at)

    def _open(self, info: FileInfo, at: dict[str, Any]) -> "RowReader":
        self._file = self._storage.open(info)
        self._reader = reader_of(self._file, self._config, at)
        return self._reader

    def _place(self) -> dict[str, Any]:
        """The pagination of what follows what was read last."""
        file, reader = self._file, self._reader
        if file is None or reader is None:
            return {}
        if reader.is_at_end():
            return {"after": file.info.path}
        return {"path": file.info.path, "version": file.info.version, **reader.position()}
