"""The ways to handle a record that cannot be delivered."""

from enum import StrEnum


class OnError(StrEnum):
    """Value of ``on_error``, for records that are not JSON, fail in a transform, or do not fit their table."""

    FAIL = "fail"
    SKIP = "skip"
    DEAD_LETTER = "dead_letter"
