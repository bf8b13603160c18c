"""The key ``incremental`` of an endpoint: how to ask for what changed, and in which steps to read a history."""

from typing import Literal, Self

from pydantic import Field, model_validator

from bizon.config.strict import StrictModel, stated
from bizon.connectors.sources.rest.src.moments_config import Moment, MomentFormat, Seconds, Zone
from bizon.connectors.sources.rest.src.selector import Selector


class BoundConfig(StrictModel):
    """The parameter with one end of a window."""

    param: str | None = Field(
        default=None,
        min_length=1,
        description="Name of the parameter; in a JSON body a path like `filter.updated_after`. Left out where a text "
        "has `{since}` or `{until}` in it.",
    )
    format: MomentFormat = Field(
        default="iso8601",
        description="iso8601 = 2024-05-01T10:00:00Z | date = 2024-05-01 | epoch = seconds since 1970 | epoch_ms = "
        "milliseconds | a strftime text.",
    )
    as_text: bool = Field(
        default=False, description="True sends the numbers of epoch and epoch_ms in a JSON body as text."
    )
    where: Literal["params", "json", "header"] = Field(
        default="params", alias="in", description="Where it goes: params = query string | json = JSON body | header."
    )


class SinceConfig(BoundConfig):
    """The parameter with the start of a window."""

    inclusive: bool = Field(
        default=False,
        description="True: the API returns records of the very moment that the parameter names. Otherwise bizon asks "
        "one unit of `format` earlier, so that none is lost, and leaves out what is older than the window.",
    )


class IncrementalConfig(StrictModel):
    """Changes by the time of the last change. Without `since` every run reads the whole list, and leaves out what is
    outside of its window."""

    cursor_field: Selector = Field(description="JMESPath of the time of the last change in a record.")
    cursor_format: MomentFormat = Field(default="iso8601", description="Format of that time; values as for `format`.")
    zone: Zone = Field(default="UTC", description="Time zone of moments that name none, in records and in parameters.")
    since: SinceConfig | None = Field(default=None, description="Parameter with the start of a window.")
    until: BoundConfig | None = Field(
        default=None, description="Parameter with the end of a window, if the API has one."
    )
    window: Seconds | None = Field(
        default=None, description="Longest window of one query, like 7d. Needs `since` and `until`."
    )
    start: Moment | None = Field(
        default=None, description="Moment from which a run without a watermark reads; what is older is left out."
    )
    lookback: Seconds | None = Field(
        default=None,
        description="Overlap with the last run, like 2m, for records that become visible late. They come again.",
    )

    @model_validator(mode="after")
    def _windows_can_be_asked_for(self) -> Self:
        if self.until is not None and self.since is None:
            raise stated("`until` needs `since`")
        if self.window is not None and self.until is None:
            raise stated("`window` needs `since` and `until`, the two ends of a query")
        return self
