"""Ownership of tables: labels that pipelines leave on the tables they write.

A final table has a label per pipeline that writes it, ``bizon_<pipeline>``. Its value is the pipeline's last
publication, ``<created>-<job>``: when the job was created, and its id; it is empty until a job has published. Several
pipelines may append to one table. A staging table has the label ``bizon_staging``, whose value is the pipeline, and the
labels of ``claim.py``. Older releases left ``bizon_pipeline`` on both.
"""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from google.cloud import bigquery

if TYPE_CHECKING:
    from bizon.destination.models import Owner

STAGING = "bizon_staging"
_OLDER = "bizon_pipeline"
_FINAL = re.compile(r"bizon_([0-9a-f]{32})")
_LONGEST_JOB = 40  # letters of a job's id in a label, which has at most 63
_NOT_IN_LABELS = re.compile(r"[^a-z0-9_-]")


class Publication(NamedTuple):
    """A job that published a table. ``created_us``: when it was created, in microseconds since 1970."""

    created_us: int
    job_id: str

    @property
    def label(self) -> str:
        """The value of a label."""
        return f"{self.created_us:016d}-{label_of(self.job_id)}"


class OwnerLabels:
    """The labels of one pipeline on final tables."""

    def __init__(self, owner: "Owner") -> None:
        self.owner = owner

    @property
    def label(self) -> str:
        """Name of the label that this pipeline leaves."""
        return f"bizon_{self.owner.mark}"

    def writes(self, table: bigquery.Table) -> bool:
        """Whether this pipeline may write a final table."""
        labels: Mapping[str, str] = table.labels
        return STAGING not in labels and (self.label in labels or labels.get(_OLDER) == self.owner.mark)

    def publication(self, table: bigquery.Table) -> Publication | None:
        """The last publication by this pipeline; None when there is none, or when its job is unknown."""
        created, _, job = table.labels.get(self.label, "").partition("-")
        return Publication(int(created), job) if created.isdecimal() else None

    def has_published(self, table: bigquery.Table) -> bool:
        """Whether this pipeline has put rows into a final table."""
        labels: Mapping[str, str] = table.labels
        return bool(labels.get(self.label)) or (self.label not in labels and labels.get(_OLDER) == self.owner.mark)

    def has_rows_in(self, table: bigquery.Table) -> bool:
        """Whether a final table still has rows, and this pipeline has put some there."""
        return self.has_published(table) and bool(rows_in(table))

    def others(self, table: bigquery.Table) -> list[str]:
        """Names of the labels that other pipelines have left on a final table."""
        names = [name for name in table.labels if _FINAL.fullmatch(name) and name != self.label]
        return names + ([_OLDER] if table.labels.get(_OLDER, self.owner.mark) != self.owner.mark else [])


def rows_in(table: bigquery.Table) -> int | None:
    """Rows of a table, including rows in the buffer of streaming inserts; None for a view and the like."""
    if table.num_rows is None:
        return None
    buffer = table.streaming_buffer
    return int(table.num_rows) + int((buffer.estimated_rows if buffer is not None else 0) or 0)


def label_of(job_id: str) -> str:
    """A job's id in the characters that a label may have."""
    return _NOT_IN_LABELS.sub("_", job_id.lower())[:_LONGEST_JOB]


Knows = Callable[[str], bool]
"""Whether the state of this run has a job; the order of an unknown job says nothing."""
