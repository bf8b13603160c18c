"""Rows that cannot be delivered: whether they are written, and where."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from bizon.common.on_error import OnError
from bizon.common.safe_log import logger
from bizon.destination.destination import AbstractDestination, DestinationFactory

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.engine.pipeline.models import ResumePoint


class DeadLetters(NamedTuple):
    """``on_error`` of the pipeline, and the destination of its dead letters: the second output of a job, staged,
    committed and published like the first.

    ``destination`` is also open when the job has dead letters from before ``on_error`` was changed: they are published
    too. ``scrub`` keeps secrets out of the reasons.
    """

    on_error: OnError = OnError.FAIL
    destination: AbstractDestination | None = None
    scrub: Callable[[str], str] = str

    @classmethod
    def beside(
        cls,
        destination: AbstractDestination,
        config: "BizonConfig",
        scrub: Callable[[str], str],
        *,
        has_some: bool,
        member: int | None = None,
    ) -> "DeadLetters":
        """The dead letters of a job with this output. ``has_some``: the job has dead letters already. ``member``: of a
        stream, which has a file of its own."""
        if not config.keeps_dead_letters and not has_some:
            return cls(config.on_error, scrub=scrub)
        path = config.dead_letter_path or destination.dead_letter_id
        file = dead_letter_destination(
            path if member is None else f"{path}.member{member}",
            sync_metadata=destination.sync_metadata,
            backend=destination.backend,
            source_callback=destination.source_callback,
            monitor=destination.monitor,
        )
        return cls(config.on_error, file, scrub)

    @property
    def fails(self) -> bool:
        """Whether a row that cannot be delivered ends the run."""
        return self.on_error is OnError.FAIL

    def prepare(self, resume: "ResumePoint") -> None:
        """Make staging hold exactly the dead letters of the committed pages. A member of a stream is alone with its
        file."""
        if self.destination is None:
            return
        part = None if self.destination.sync_metadata.in_place else resume.partition
        letters, count = resume.committed_letters, resume.dead_letters
        self.destination.prepare(
            replace(resume, rows_written=count, committed=letters, committed_letters=(), partition=part)
        )

    def describe(self) -> str | None:
        """Where dead letters are, in words; None when they have no destination."""
        return None if self.destination is None else self.destination.describe()

    def to_write(self, rejected: pl.DataFrame) -> pl.DataFrame:
        """The dead letters for rows that were refused: one for each, or none where such rows are skipped. Logs both."""
        if rejected.is_empty():
            return rejected
        letters = rejected.with_columns(reason=pl.Series([self.scrub(reason) for reason in rejected["reason"]]))
        count = f"{letters.height:,} record" if letters.height == 1 else f"{letters.height:,} records"
        if self.on_error is OnError.DEAD_LETTER:
            logger.warning(f"{count} set aside as dead letters, the first: {letters['reason'][0]}")
            return letters
        logger.warning(f"{count} skipped, the first: {letters['reason'][0]}")
        return letters.clear()


def dead_letter_destination(path: str, **parts: Any) -> AbstractDestination:
    """The ``file`` destination for dead letters at ``path``, which has no extension. ``parts``: the parameters of
    ``DestinationFactory.get_destination`` without ``config``."""
    from bizon.connectors.destinations.file.src.config import FileDestinationConfig, FileDestinationDetailsConfig

    details = FileDestinationDetailsConfig(destination_id=path)
    config = FileDestinationConfig.model_validate({"name": "file", "config": details})
    return DestinationFactory.get_destination(config=config, **parts)
