"""The name of an object in the bucket says which pages of which start it holds."""

import re
from typing import NamedTuple

_NAME = re.compile(r"(\d+)-(\d+)-(\d+)-(\d+)-([0-9a-f]+)\.(\w+)$")


class Stored(NamedTuple):
    """Size and checksum of an object in the bucket."""

    size: int | None
    crc32c: str | None  # base64


class Part(NamedTuple):
    """One object: pages of a job, for one table."""

    first: int
    last: int
    epoch: int
    load: int
    table: str  # a digest of its name, and of the content where columns are inferred
    format: str
    name: str  # in the bucket

    @property
    def label(self) -> str:
        """Tells its load job from the other load jobs of the same job."""
        return f"{self.epoch}_{self.load}_{self.table}"


def part_of(name: str) -> Part | None:
    """The part that an object's name describes; None when bizon did not write the object."""
    found = _NAME.search(name)
    if found is None:
        return None
    epoch, load, first, last, table, format = found.groups()
    return Part(int(first), int(last), int(epoch), int(load), table, format, name)
