"""The ``transforms`` block of a pipeline."""

from pydantic import Field, model_validator

from bizon.config.strict import StrictModel
from bizon.transform.snippet import SnippetError, compile_snippet


class TransformModel(StrictModel):
    """A Python snippet that changes each record. It may change or replace the dict ``data``."""

    label: str = Field(min_length=1, description="Name of the transform in logs and errors.")
    python: str = Field(
        min_length=1,
        description="Python statements run once per record. `data` is the record; `data = None` drops it.",
    )

    @model_validator(mode="after")
    def _python_compiles(self) -> "TransformModel":
        try:
            compile_snippet(self.label, self.python)
        except SnippetError as error:
            raise ValueError(f"`python` of transform '{self.label}' is not valid: {error}") from None
        return self
