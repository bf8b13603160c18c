"""The ``transforms`` block of a pipeline."""

from pydantic import BaseModel, ConfigDict, Field


class TransformModel(BaseModel):
    """A Python snippet that changes each record. It sees ``data``, a dict, and may change or replace it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    label: str = Field(min_length=1, description="Name of the transform in logs and errors.")
    python: str = Field(
        min_length=1,
        description="Python statements run once per record. `data` is the record; `data = None` drops it.",
    )
