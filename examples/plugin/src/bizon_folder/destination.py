"""The ``folder`` destination: a file of JSON lines for each batch."""

import os
from pathlib import Path

import polars as pl
from pydantic import Field

from bizon.common.errors.errors import DestinationConnectionError
from bizon.destination.config import AbstractDestinationDetailsConfig
from bizon.destination.destination import AbstractDestination
from bizon.destination.models import ResumePoint, WriteMode


class FolderConfig(AbstractDestinationDetailsConfig):
    """``destination.config``: the folder."""

    folder: str = Field(description="Folder of the files; its parent must exist.")


class FolderDestination(AbstractDestination):
    """Files are named after the job and its pages, so a batch that is written again replaces itself.

    Rows are visible as soon as they are written: a full refresh removes the old files when it begins.
    """

    config: FolderConfig

    @staticmethod
    def get_config_class() -> type[FolderConfig]:
        return FolderConfig

    def check_connection(self) -> bool:
        parent = self._folder.absolute().parent
        if not parent.is_dir():
            raise DestinationConnectionError(f"folder: there is no folder {parent}; create it")
        return True

    def prepare(self, resume: ResumePoint) -> None:
        """Remove the files of pages that no checkpoint covers and, in a full refresh, the files of other jobs."""
        self._folder.mkdir(exist_ok=True)
        replaces = self.sync_metadata.write_mode is WriteMode.REPLACE
        for file in self._folder.glob("*.jsonl"):
            job, first, _ = file.stem.rsplit("-", 2)
            is_ours = job == self.sync_metadata.job_id
            is_committed = resume.last_iteration is not None and int(first) <= resume.last_iteration
            if (is_ours and not is_committed) or (replaces and not is_ours):
                file.unlink()

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        pages = f"{self.batch.from_iteration:06}-{self.batch.to_iteration:06}"
        file = self._folder / f"{self.sync_metadata.job_id}-{pages}.jsonl"
        unfinished = file.with_suffix(".unfinished")
        try:
            with unfinished.open("w", encoding="utf-8") as lines:
                lines.writelines(f"{text}\n" for text in df_destination_records["source_data"])
                lines.flush()
                os.fsync(lines.fileno())
            unfinished.replace(file)
        except OSError as error:
            return False, f"{file}: {error.strerror}"
        return True, None

    def describe(self) -> str:
        return str(self._folder)

    @property
    def _folder(self) -> Path:
        return Path(self.config.folder)
