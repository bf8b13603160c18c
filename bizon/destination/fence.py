"""The fence of targets that keep a claim next to a table: whose the table is, and which start may change it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from bizon.common.errors.errors import OvertakenError

if TYPE_CHECKING:
    from bizon.destination.models import Owner, ResumePoint


class Held(Protocol):
    """A claim as the target keeps it: the mark of its pipeline, its job, and the fence of the start that holds it."""

    @property
    def owner(self) -> str: ...

    @property
    def job_id(self) -> str: ...

    @property
    def fence(self) -> tuple[int, int]: ...


Claimed = TypeVar("Claimed", bound=Held)


class Fence:
    """Judges claims for one start. ``knows``: whether the state of the pipeline has a job of this id."""

    def __init__(self, owner: "Owner", knows: Callable[[str], bool]) -> None:
        self.owner = owner
        self._knows = knows

    def is_owner(self, held: Held | None) -> bool:
        """Whether a table belongs to this pipeline."""
        return held is not None and held.owner == self.owner.mark

    def check_newest(self, held: Held | None, resume: "ResumePoint") -> None:
        """Raise OvertakenError when a later start holds the claim, of this job or of one that the state knows."""
        if held is None or held.fence <= resume.fence:
            return
        if not self.is_foreign(held, resume):
            raise OvertakenError(resume.job_id)

    def is_foreign(self, held: Held, resume: "ResumePoint") -> bool:
        """Whether another job holds the claim, and the state does not know it: the order of fences says nothing."""
        return held.job_id != resume.job_id and not self._knows(held.job_id)

    def holds(self, held: Held, resume: "ResumePoint") -> bool:
        """Whether the claim is this start's."""
        return self.is_owner(held) and (held.job_id, held.fence) == (resume.job_id, resume.fence)

    def checked(self, held: Claimed | None, resume: "ResumePoint") -> Claimed:
        """The claim, if this start holds it. Raises OvertakenError otherwise."""
        if held is None or not self.holds(held, resume):
            raise OvertakenError(resume.job_id)
        return held
