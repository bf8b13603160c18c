"""Values that a destination and its caller exchange. Imports nothing heavy."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple


class WriteMode(StrEnum):
    """How the rows of a job reach the output."""

    REPLACE = "replace"  # staged, then published instead of the old rows
    APPEND = "append"  # staged, then published after the old rows
    IN_PLACE = "in_place"  # written to the output at once; nothing is staged


class Owner(NamedTuple):
    """The pipeline that an output belongs to."""

    pipeline: str
    source: str
    stream: str

    @property
    def mark(self) -> str:
        """32 hex digits that tell the pipeline from others, for labels."""
        return hashlib.sha256("\0".join(self).encode()).hexdigest()[:32]

    @property
    def key(self) -> str:
        """The first eight digits of ``mark``, for file names."""
        return self.mark[:8]

    def __str__(self) -> str:
        return f"pipeline '{self.pipeline}' ({self.source}.{self.stream})"


class BatchRange(NamedTuple):
    """The pages that the current ``write_records`` call delivers, both ends inclusive."""

    from_iteration: int
    to_iteration: int


class CommittedBatch(NamedTuple):
    """A batch as its checkpoint records it: pages, inclusive at both ends, rows, and the destination's receipt.

    ``partition``: the part of a joined job that the pages belong to, which numbers them from 0; None in other jobs.
    """

    from_iteration: int
    to_iteration: int
    rows: int
    receipt: Mapping[str, Any] | None = None
    partition: int | None = None


class OutputState(NamedTuple):
    """The published output as a destination finds it.

    ``identity`` tells it from other outputs: destination, place and format, for example ``{"destination": "file",
    "place": "/data/out.json", "format": "json"}``. ``published_by``: the job of this pipeline that published last,
    read from a mark stored with the output; None without one. ``has_rows``: False for an output that is missing or
    empty, None when the destination cannot tell.
    """

    identity: Mapping[str, str]
    published_by: str | None = None
    has_rows: bool | None = None


class PublishedOutput(NamedTuple):
    """The output that a watermark vouches for, as the state recorded it when ``job_id`` published.

    ``identity`` and ``has_rows``: see :class:`OutputState`. ``also``: jobs that may have published to it since, without
    moving the watermark.
    """

    job_id: str
    identity: Mapping[str, str]
    has_rows: bool | None
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a run starts: read once from the last destination cursor.

    ``last_iteration``: the last committed page, None for a fresh job. ``pagination`` leads to the page after it.
    ``exhausted``: no page is left, only publishing remains. ``rows_written`` counts committed rows, ``dead_letters``
    committed dead letters.
    ``has_history``: some run of the stream, in this job or an earlier one, has committed something; without it, an
    output that this pipeline wrote means that the state was lost. ``adopt``: take an output over all the same.
    ``epoch``: number of this start of the job, from 1; nothing that an earlier start does from now on is committed.
    ``job_created_us``: when the job was created, in microseconds since 1970; later for each job of a stream.
    ``committed``: the batches that ``rows_written`` counts, in page order; ``committed_letters``: the batches that
    ``dead_letters`` counts. Both are empty in sync mode ``stream``, whose single checkpoint moves on. ``published``:
    the output that the watermark of an incremental run belongs to, None when there is no such watermark.

    In a joined job (``bizon run --join``) several commands deliver one output, part by part. ``partition``: this
    instance is the worker of that part; ``epoch``, ``last_iteration``, ``committed`` and ``committed_letters`` belong
    to the part alone, and ``job_id`` is the job. ``parts``: how many parts the job has, 0 in other jobs. An instance
    with parts and without a partition is the publisher: ``committed`` lists the batches of all parts, ordered by
    partition and page, and ``epoch`` is the job's.

    ``prepare`` of a worker looks at the output and at whose it is, claims the staging of its part, and the output for
    the job (``of_job``), and trims its part. A later epoch of the part supersedes an earlier one; other parts and the
    rows of the output are left alone. A worker never calls ``verify`` and ``finalize``. ``prepare`` of the publisher
    claims the output and trims nothing, ``verify`` compares the batches of all parts, and ``finalize`` publishes their
    union once, then discards the staging of every part.

    In sync mode ``stream`` the members of a stream are such workers: ``partition`` is the seat of the member, and
    ``parts`` is 0, since nothing is published. ``prepare`` claims the seat, and takes back the rows of that seat after
    ``last_iteration``. ``job_epoch``: the epoch of the job when its members began to gather; 0 in a joined job that is
    published. A destination that takes members says so by ``refuses_members``.
    """

    job_id: str
    last_iteration: int | None = None
    pagination: Mapping[str, Any] = field(default_factory=dict)
    rows_written: int = 0
    dead_letters: int = 0
    exhausted: bool = False
    has_history: bool = True
    adopt: bool = False
    epoch: int = 1
    job_created_us: int = 0
    committed: tuple[CommittedBatch, ...] = ()
    committed_letters: tuple[CommittedBatch, ...] = ()
    published: PublishedOutput | None = None
    partition: int | None = None
    parts: int = 0
    job_epoch: int = 0

    @property
    def fence(self) -> tuple[int, int]:
        """Grows with every start: a destination refuses a start whose fence is lower than one it has seen.

        The fence of a worker grows with every start of its part. It is compared with fences of the same part only.
        """
        return self.job_created_us, self.epoch

    @property
    def of_job(self) -> "ResumePoint":
        """The start that claims the output: this one, or for the worker of a part, its job. All workers of a job claim
        it alike, with ``job_epoch``, so they leave each other alone. A publisher, whose epoch is higher, supersedes
        them."""
        return self if self.partition is None else replace(self, partition=None, epoch=self.job_epoch)

    @property
    def next_iteration(self) -> int:
        """Number of the first page this run delivers."""
        return 0 if self.last_iteration is None else self.last_iteration + 1
