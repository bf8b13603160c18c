"""The base of every block of a configuration."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """Unknown keys are errors, nothing changes after validation, and no value appears in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
