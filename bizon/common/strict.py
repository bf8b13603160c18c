"""The base of every block of a configuration."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """Unknown keys are errors, nothing changes after validation, and no value appears in an error.

    ``defer_build``: a block is compiled as part of the file it is in, once, instead of by itself as well.
    """

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True, hide_input_in_errors=True)
