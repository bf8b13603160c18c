"""The partitions of one of several members of the stream: claimed before it reads them, handed over before they go."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bizon.connectors.sources.kafka.src.places import pagination_of, place_of

if TYPE_CHECKING:
    from bizon.connectors.sources.kafka.src.client import Partition
    from bizon.source.member import Member


class Membership:
    """Claims and hands over the partitions of a member; does nothing without a ``member``. Called within callbacks of
    librdkafka, which must not raise: False is returned after an error, and ``read`` raises it."""

    def __init__(self, group: str, member: "Member | None") -> None:
        self._group = group
        self._member = member
        self.is_asking = False
        """Whether the engine is being asked. It may call ``commit`` then, while librdkafka keeps the consumer for its
        own thread."""
        self.error: BaseException | None = None
        """The first error of a callback."""

    def claim(self, keys: "Iterable[Partition]", resume: Callable[[Mapping[str, Any]], None]) -> bool:
        """Claim partitions that are assigned now, and ``resume`` after the last checkpoint of each."""
        return self._asking(lambda member: self._claim(member, keys, resume))

    def write_all(self) -> bool:
        """Write and commit everything that was read, before partitions go."""
        return self._asking(lambda member: member.write_all())

    def release(self, keys: "Iterable[Partition]") -> None:
        """Nothing from these partitions is left to write, and others may read them."""
        self._asking(lambda member: member.release([place_of(*key) for key in keys]))

    def fail(self, error: BaseException) -> bool:
        """Keep an error until ``read`` raises it. Returns False."""
        self.error = self.error or error
        return False

    @contextmanager
    def evicted(self) -> Iterator[None]:
        """Within: the member leaves because the group has evicted it. It has nothing to hand over."""
        member, self._member = self._member, None
        try:
            yield
        finally:
            self._member = member

    def _claim(
        self, member: "Member", keys: "Iterable[Partition]", resume: Callable[[Mapping[str, Any]], None]
    ) -> None:
        found = member.claim([place_of(*key) for key in keys])
        groups = {place.get("group") for place in found.values()}
        for group in sorted(groups, key=lambda group: group == self._group):  # `group_id` may have changed
            resume(pagination_of({name: place for name, place in found.items() if place.get("group") == group}))

    def _asking(self, ask: "Callable[[Member], None]") -> bool:
        if self._member is None:
            return True
        self.is_asking = True
        try:
            ask(self._member)
        except BaseException as error:  # noqa: BLE001 - `read` raises it
            return self.fail(error)
        finally:
            self.is_asking = False
        return True
