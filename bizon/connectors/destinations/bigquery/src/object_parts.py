"""Staging of one part of a joined job: objects in the bucket, and no rows.

The objects are the truth for any job. Several workers that load into one table would meet: a table that one of them
widens refuses the loads of the others, and nothing tells which of its rows a dead worker has loaded. So workers only
put objects into the bucket, and the publisher loads them, all at once, when the parts are complete. Until then the
table is empty. It says which columns the parts have, so that each key has one type.
"""

from typing import TYPE_CHECKING

from bizon.connectors.destinations.bigquery.src.object_staging import ObjectStaging

if TYPE_CHECKING:
    from google.cloud import bigquery

    from bizon.connectors.destinations.bigquery.src.background_loads import BackgroundLoads
    from bizon.connectors.destinations.bigquery.src.parts import Part
    from bizon.destination.models import ResumePoint


class PartOfObjects(ObjectStaging):
    """The objects of one part."""

    def trim(self, resume: "ResumePoint", like: "bigquery.Table | None") -> None:
        """Remove the objects of the part that no checkpoint names. Raises DestinationError when some are missing."""
        self._objects.remove_older_jobs()
        names = {part.name for part in self._checked(resume.committed)}
        left = [part for part in self._objects.parts() if part.epoch < resume.epoch and part.name not in names]
        self._objects.remove(left)

    def write(self, part: "Part", content: bytes, background: "BackgroundLoads | None") -> None:
        """Put the rows of a batch into the bucket."""
        self._store(part, content)
