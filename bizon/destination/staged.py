"""Destinations that stage: the protocol, written once. A connector supplies the primitives.

``prepare``, once per start, before anything is written:

1. ``_open``: find the output and check its owner; change nothing.
2. Refuse to append again: the state knows of no run, but this pipeline has written the output.
3. ``_take_over``: claim output and staging for this start. Every earlier start is superseded from here on.
4. Stop here if an earlier start has published the job already.
5. ``_trim``, fenced: staging holds the committed rows and nothing else.

``verify``, once all rows are committed:

6. Compare staging with the receipts of the checkpoints, unless the job is published.

``finalize``, perhaps again after a crash at any step:

7. ``_publish``, unless it is done: the staged rows replace the output or are appended to it, in one visible step.
8. ``_note_published``, then ``_discard``, fenced: the output names the job, and the staging is removed.

A start may be frozen at any step and wake up when another has taken over. So each destructive step is *fenced*: it
compares owner, job and epoch (``ResumePoint.fence``) with the claim that step 3 has stored, and raises OvertakenError
if it is superseded. Steps 5 and 8 run within ``_fenced``. Step 7 takes long, so it fences the instant at which it
changes the output. Where the target has no lock that can be held for a step, ``_fenced`` compares first, and each
request that removes something compares again. A step may also fail because the later start has removed its staging: the
error is OvertakenError then, too.

In a joined job several instances stage at once, each the rows of one part, and one publishes them all.

- The *worker* of a part (``ResumePoint.partition``) does steps 1 and 2. Then, instead of 3, ``_take_part``: it claims
  the staging of its part for this start, and the output for the job, which any number of workers do alike
  (``ResumePoint.of_job``). Then step 5, for the rows of its part. An earlier epoch of the part is superseded from here
  on, and so is every older job. Other parts go on.
- The *publisher* (``ResumePoint.parts``) does steps 1 to 4. Its claim supersedes all workers: the parts are complete,
  so a worker that wakes up now is late. There is nothing to trim. Steps 6 to 8 are about the staging of all parts:
  their union, ordered by part and page, is published in one visible step.

In write mode ``in_place`` nothing is staged, and only ``_prepare_in_place`` is called.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import Enum, auto
from typing import Any, ClassVar, Protocol

from bizon.common.errors.errors import DestinationError, FinalizeError, RowsRejectedError, TableRefusedError
from bizon.destination.destination import AbstractDestination
from bizon.destination.models import CommittedBatch, ResumePoint, WriteMode


class Step(Enum):
    """The part of the protocol in which an error is explained."""

    PREPARE = auto()
    VERIFY = auto()
    PUBLISH = auto()


class Staging(Protocol):
    """Where the rows of a job wait until they are published."""

    def receipt(self) -> Mapping[str, Any] | None:
        """The receipt of the last write."""

    def verify(self, committed: Sequence[CommittedBatch]) -> None:
        """Check that the rows of every committed batch are there, unchanged. Raises DestinationError."""


class StagedDestination(AbstractDestination):
    """A destination whose rows are staged and published once, see the protocol above.

    ``failures``: what a primitive may raise when the target fails. ``_staging`` is set by ``_take_over`` at the latest.
    """

    failures: ClassVar[tuple[type[Exception], ...]] = (DestinationError,)
    _staging: Staging

    @property
    def write_mode(self) -> WriteMode:
        """How the rows of this job reach the output."""
        return self.sync_metadata.write_mode

    @property
    def _in_place(self) -> bool:
        return self.write_mode is WriteMode.IN_PLACE

    def prepare(self, resume: ResumePoint) -> None:
        """Steps 1 to 5. Raises DestinationError when committed rows are missing or damaged, DestinationConnectionError
        when output or staging belong to somebody else, and OvertakenError in a superseded start."""
        with self._explained(Step.PREPARE):
            if self._in_place:
                self._prepare_in_place(resume)
                return
            self._open(resume)
            self._refuse_to_append_again(resume)
            if resume.partition is not None:
                self._take_part(resume)
            else:
                self._take_over(resume)
                if resume.parts or (resume.exhausted and self._is_published()):
                    return
            with self._fenced():
                self._trim(resume)

    def receipt(self) -> Mapping[str, Any] | None:
        """Where the rows of the last write are in staging; None when nothing is staged."""
        return None if self._in_place else self._staging.receipt()

    def verify(self, committed: Sequence[CommittedBatch]) -> None:
        """Step 6. Raises DestinationError when rows are missing, foreign or damaged."""
        if self._in_place or self._is_published():
            return
        with self._explained(Step.VERIFY), self._unless_superseded():
            self._verify(committed)

    def finalize(self) -> bool:
        """Steps 7 and 8. Raises FinalizeError, after which it can be called again, and OvertakenError in a superseded
        start."""
        if self._in_place:
            return True
        try:
            with self._explained(Step.PUBLISH), self._unless_superseded():
                if not self._is_published():
                    self._publish(self.write_mode)
                with self._fenced():
                    self._note_published()
                    self._discard()
        except self.failures as error:
            raise FinalizeError(
                f"'{self._place}' was not replaced: {error}; all rows are staged, run again to publish them"
            ) from error
        return True

    @property
    @abstractmethod
    def _place(self) -> str:
        """The output, as errors name it."""

    @abstractmethod
    def _prepare_in_place(self, resume: ResumePoint) -> None:
        """Prepare an output that rows are written to at once."""

    @abstractmethod
    def _open(self, resume: ResumePoint) -> None:
        """Step 1. Raises DestinationConnectionError when the output belongs to somebody else."""

    @abstractmethod
    def _has_own_rows(self) -> bool:
        """Whether the output holds rows that this pipeline has published."""

    @abstractmethod
    def _take_over(self, resume: ResumePoint) -> None:
        """Step 3, of a publisher also for the staging of every part. Raises OvertakenError when a later start has
        claimed the output or its staging."""

    def _take_part(self, resume: ResumePoint) -> None:
        """Step 3 of a worker. Raises OvertakenError when a later start has claimed the part, or when the output was
        claimed by a publisher of the job or by a later job. By default ``_take_over``, which then looks at
        ``resume.partition``; a destination with one writer takes no parts."""
        if self.single_writer:
            raise DestinationError(f"'{self._place}' takes no parts of a job: run without --join and runner ray")
        self._take_over(resume)

    @abstractmethod
    def _is_published(self) -> bool:
        """Whether this job was published, by this start or an earlier one: step 7 must not run again."""

    @abstractmethod
    def _fenced(self) -> AbstractContextManager[object]:
        """Within: this start holds its claim, a worker the claim to its part. Raises OvertakenError when it does
        not."""

    @abstractmethod
    def _trim(self, resume: ResumePoint) -> None:
        """Step 5, for a fresh job and for a resumed one; of a worker, for its part alone. Raises DestinationError when
        committed rows are missing."""

    def _verify(self, committed: Sequence[CommittedBatch]) -> None:
        """Step 6. The publisher of a joined job has the batches of all parts here. Raises DestinationError."""
        self._staging.verify(committed)

    @abstractmethod
    def _publish(self, mode: WriteMode) -> None:
        """Step 7, with the rows that step 6 has found; fences the change itself."""

    @abstractmethod
    def _note_published(self) -> None:
        """Step 8: mark the output with this job; repeating it changes nothing."""

    @abstractmethod
    def _discard(self) -> None:
        """Step 8: remove the staging of this job, of all its parts; staging that is gone is not an error."""

    def _explained(self, step: Step) -> AbstractContextManager[None]:
        """Within: turns errors of the target into errors of the tree. By default they pass as they are."""
        return nullcontext()

    @contextmanager
    def _refusing(self, rows: int) -> Iterator[None]:
        """Within: ``rows`` rows are written. A record that has named a table that it must not costs its rows alone:
        TableRefusedError becomes RowsRejectedError, except for the configured table."""
        try:
            yield
        except TableRefusedError as error:
            named = self.destination_id
            if named == self.default_destination_id:
                raise
            raise RowsRejectedError(dict.fromkeys(range(rows), f"destination_id {named!r}: {error}")) from error

    @contextmanager
    def _unless_superseded(self) -> Iterator[None]:
        """Within: a failure becomes OvertakenError if another start has taken over."""
        try:
            yield
        except self.failures:
            with self._fenced():
                raise

    def _refuse_to_append_again(self, resume: ResumePoint) -> None:
        """Step 2. Raises DestinationError."""
        if self.write_mode is not WriteMode.APPEND or resume.has_history or resume.adopt or not self._has_own_rows():
            return
        raise DestinationError(
            f"'{self._place}' was written by {self.sync_metadata.owner}, but its state knows of no run: was the state "
            f"lost, or is it elsewhere? This run would append everything again. Run with --fresh to replace the "
            f"output, or with --adopt to append to it"
        )
