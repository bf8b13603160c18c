"""The identity of a run, passed whole to every part of it."""

from typing import TYPE_CHECKING, NamedTuple

from bizon.engine.partitions import PageOrigin, Positions

if TYPE_CHECKING:
    from bizon.engine.backend.models import StreamKey
    from bizon.engine.partitions import Partition
    from bizon.engine.pipeline.models import ResumePoint
    from bizon.engine.queue.models import QueueMessage


class Run(NamedTuple):
    """One start of a job. Built once, when the job is opened or joined.

    ``epoch`` is the number of this start; commits of an earlier one are refused. ``producer_epoch`` is the start of the
    producer whose pages count, and differs from ``epoch`` only in a consumer that runs apart from its producer.
    ``partitions``: all that the job was planned in; empty when it is one chain, or when nothing is left to fetch.
    """

    job_id: str
    key: "StreamKey"
    epoch: int
    producer_epoch: int
    resume: "ResumePoint"
    partitions: "tuple[Partition, ...]" = ()

    @property
    def positions(self) -> Positions:
        """Where the partitions continue."""
        return Positions.of_checkpoint(self.partitions, self.resume.pagination if self.partitions else {})

    @property
    def part(self) -> int | None:
        """The part of a joined job that this run works on; None for the whole job."""
        return self.resume.partition

    def mark_of(self, message: "QueueMessage") -> str | None:
        """The page of a partition as the ids of its rows name it; None in a job that is one chain."""
        origin = message.origin if self.part is None else PageOrigin(self.part, message.iteration)
        return None if origin is None else str(origin)

    @property
    def is_joined(self) -> bool:
        """True for a consumer that runs apart from its producer."""
        return self.epoch != self.producer_epoch
