"""The two sides of a run."""

from enum import StrEnum


class Role(StrEnum):
    """The side that fetches, or the side that writes. A run has both, or one of them runs alone (``--role``)."""

    PRODUCER = "producer"
    CONSUMER = "consumer"
