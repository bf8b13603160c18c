"""The base of every block of a configuration."""

from pydantic import BaseModel, ConfigDict

MOST_SECONDS = 3_155_760_000
"""A hundred years: as good as for ever, and still within what timers, sockets and calendars can hold. The upper bound
of every setting that is a time."""


class StrictModel(BaseModel):
    """Unknown keys are errors, nothing changes after validation, and no value appears in an error.

    ``defer_build``: a block is compiled as part of the file it is in, once, instead of by itself as well.
    """

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True, hide_input_in_errors=True)
