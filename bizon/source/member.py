"""The engine as a source sees it that takes members."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Member(Protocol):
    """One of several instances that read a stream at once: ``AbstractSource.member``. All calls come from within
    ``get`` or ``close``, on the thread that fetches. A *place* is what the protocol of the source moves between members
    and reads in order, by its name: the partition of a topic, a shard.
    """

    def claim(self, places: Sequence[str]) -> Mapping[str, dict[str, Any]]:
        """These places are this member's from now on; called before it reads them. Returns where they continue, each by
        the last checkpoint of any member, as ``AbstractSource.places_of`` divides it; places without one are left out.
        A member that still held one of them commits nothing any more. Raises OvertakenError when that has happened to
        this member itself; pass it on."""
        ...

    def write_all(self) -> None:
        """Write and commit all pages that ``get`` has returned; ``AbstractSource.commit`` is called meanwhile. Called
        before places go to another member in good order, so that nothing comes twice. Raises what a write raises; pass
        it on."""
        ...

    def release(self, places: Sequence[str]) -> None:
        """This member reads these places no longer. Called once everything from them is committed, also in the
        protocol of the source; not for places that were lost."""
        ...
