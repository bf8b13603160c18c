"""The ``files`` source: records of files, in a folder or an object store."""

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

from requests.auth import AuthBase

from bizon.common.errors.errors import SourceError
from bizon.connectors.sources.files.src.config import FilesSourceConfig
from bizon.connectors.sources.files.src.known_files import KnownFiles, state_of
from bizon.connectors.sources.files.src.partitions import files_in, grouped
from bizon.connectors.sources.files.src.places import files_of, no_files, storage_of
from bizon.connectors.sources.files.src.reading import FileQueue
from bizon.source.models import SourceIteration
from bizon.source.source import AbstractSource

if TYPE_CHECKING:
    from bizon.connectors.sources.files.src.storage import FileInfo
    from bizon.source.config import SourceConfig
    from bizon.source.models import SourceIncrementalState


class FilesSource(AbstractSource):
    """Reads files in the order of their paths, piece by piece. The pagination names the file, its version and the
    position in it, or the last file that was read."""

    config: FilesSourceConfig
    fetches_over_http = False

    def __init__(self, config: FilesSourceConfig) -> None:
        super().__init__(config)
        self._storage = storage_of(config.scheme, config.storage)
        self._queue: FileQueue | None = None

    @staticmethod
    def streams() -> list[str]:
        return ["*"]

    @staticmethod
    def get_config_class() -> type["SourceConfig"]:
        return FilesSourceConfig

    def get_authenticator(self) -> AuthBase | None:
        return None

    def check_connection(self) -> tuple[bool, Any | None]:
        """Whether each path matches a file, and the first of them can be read."""
        try:
            for path in self.config.paths:
                first = next(iter(self._storage.find(path)), None)
                if first is None and not self.config.allow_no_files:
                    return False, str(no_files(path))
                if first is not None:
                    with closing(self._storage.open(first)) as file:
                        file.read_at(0, 1)
        except SourceError as error:
            return False, str(error)
        return True, None

    def get_partitions(self) -> list[dict[str, Any]]:
        """Groups of files. A large file is one group: its records are read in order."""
        found = files_of(self._storage, self.config.paths, may_be_none=self.config.allow_no_files)
        return grouped(found, self.config.piece_size)

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        return self._page(pagination or {}, lambda found: found)

    def get_records_after(
        self, source_state: "SourceIncrementalState", pagination: dict[str, Any] | None = None
    ) -> SourceIteration:
        """The records of files that are new or changed since the last run. A window of the past has no state: it takes
        the files that were modified in it."""
        return self._page(pagination or {}, lambda found: _changed(found, source_state))

    def close(self) -> None:
        if self._queue is not None:
            self._queue.close()
        super().close()

    def _page(
        self, pagination: dict[str, Any], chosen: "Callable[[list[FileInfo]], list[FileInfo]]"
    ) -> SourceIteration:
        """The first page of a run has the state for the next one: the files as they are listed now. A file that changes
        later is therefore read by the next run."""
        next_state = None
        if self.partition is not None:
            self._queue = self._queue or FileQueue(self._storage, self.config, files_in(self.partition))
            next_state = None if pagination else self.partition.get("state")
        elif self._queue is None or not pagination:
            found = files_of(self._storage, self.config.paths, may_be_none=self.config.allow_no_files)
            self._queue = FileQueue(self._storage, self.config, chosen(found))
            next_state = None if pagination else state_of(found)
        records, following = self._queue.page(pagination)
        return SourceIteration(next_pagination=following, records=records, next_state=next_state)


def _changed(found: "list[FileInfo]", source_state: "SourceIncrementalState") -> "list[FileInfo]":
    if not source_state.state:
        return [file for file in found if source_state.covers(file.modified)]
    known = KnownFiles(source_state.state)
    return [file for file in found if file not in known]
