"""Where the files of a pipeline are: the configured one, and those that records may name in sync mode ``stream``."""

from pathlib import Path
from typing import TYPE_CHECKING

from bizon.connectors.destinations.file.src.config import check_stem, path_stem
from bizon.connectors.destinations.file.src.output import ForeignPathError, is_below, real_path

if TYPE_CHECKING:
    from bizon.connectors.destinations.file.src.config import FileFormat


class Places:
    """Paths by ``destination_id``. ``default``: the configured one."""

    def __init__(self, format: "FileFormat", default: str) -> None:
        self._format = format
        self.default = default
        self.main = self._real(default)

    def path(self, destination_id: str) -> str:
        """The path as the user knows it."""
        return f"{path_stem(destination_id, self._format)}.{self._format}"

    def named(self, destination_id: str) -> Path:
        """The file that a record names: the configured one, or one in the same folder or below it. Raises
        ForeignPathError for any other."""
        if destination_id == self.default:
            return self.main
        try:
            main = self._real(destination_id)
        except ValueError as error:
            raise ForeignPathError(str(error)) from error
        if not is_below(main, self.main.parent):
            raise ForeignPathError(f"a record may only name files in '{self.main.parent}' and below")
        return main

    def _real(self, destination_id: str) -> Path:
        return real_path(self.path(check_stem(destination_id)))
