"""The parts of a joined job: each waits in a folder of its own, and one command publishes all of them.

``.bizon/<file name>/<job id>.<owner key>/part-<number>/`` has the staged rows of a part. The names of its files have
the number of the start of the part that wrote them, and no start changes or removes a file of another one. So a part
needs no claim and no lock, and a worker that was frozen while another took its part over disturbs nobody: the receipts
of the checkpoints decide which rows count. All workers claim the output for their job, alike, which supersedes every
older job. The command that publishes supersedes them by a claim of its own, and removes the folder of the job.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from bizon.connectors.destinations.file.src.file_staging import FileStaging, JobFolder
from bizon.connectors.destinations.file.src.line_staging import LineStaging
from bizon.connectors.destinations.file.src.part_staging import PartStaging

if TYPE_CHECKING:
    from bizon.connectors.destinations.file.src.config import FileFormat
    from bizon.connectors.destinations.file.src.file_staging import StagedFile
    from bizon.connectors.destinations.file.src.output import Output
    from bizon.destination.models import CommittedBatch

_NOBODY = 0  # no start has this number: nobody writes a file of it


def staging_in(output: "Output", format: "FileFormat", part: int | None = None) -> FileStaging:
    """The rows that wait next to an output, of a job or of one part of it."""
    staging = LineStaging(output, "json") if format == "json" else PartStaging(output, "parquet")
    if part is not None:
        staging.folder = staging.folder / f"part-{part:06d}"
    return staging


class PublishedParts(JobFolder):
    """The staged rows of all parts of a job, for the command that publishes them."""

    def __init__(self, output: "Output", format: "FileFormat") -> None:
        super().__init__(output)
        self._format = format

    def verify(self, committed: Sequence["CommittedBatch"]) -> None:
        """Check that the rows of every committed batch of every part are there, unchanged. Raises DestinationError."""
        files: list[StagedFile] = []
        for number, batches in groupby(committed, key=lambda batch: batch.partition):
            staging = staging_in(self.output, self._format, number)
            staging.epoch = _NOBODY
            staging.verify(list(batches))
            files += staging.files()
        self._files = files
