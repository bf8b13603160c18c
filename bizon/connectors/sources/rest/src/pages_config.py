"""The key ``pages`` of an endpoint: how the API divides a list into pages. ``type`` decides which keys are allowed."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bizon.config.strict import StrictModel, stated
from bizon.connectors.sources.rest.src.selector import Selector

Placement = Literal["params", "json", "header", "path"]

_PARAM = Field(min_length=1, description="Name of the parameter; in a JSON body a path like `variables.after`.")
_WHERE: Placement = Field(
    default="params",
    description="Where the parameter goes: params = query string | json = JSON body | header | path = `{page}` there.",
)
_MORE = Field(default=None, description="JMESPath in the answer; false, null, 0 or empty = this is the last page.")


class PagesConfig(StrictModel):
    """The keys of all styles of paging."""

    total: Selector | None = Field(
        default=None,
        description="JMESPath of the number of records that the API says the list has. Compared at the end with the "
        "records that came.",
    )
    strict: bool = Field(default=False, description="True makes a difference to `total` an error instead of a warning.")
    cap: int | None = Field(
        default=None,
        ge=1,
        description="Records after which the API cuts off a list, if it does. A window with more is split, which needs "
        "`total`; where that is not possible, the run fails.",
    )


class SizedConfig(PagesConfig):
    """Styles in which a request may say how many records it wants."""

    size_param: str | None = Field(
        default=None, min_length=1, description="Name of the parameter with the number of records per page."
    )
    size: int | None = Field(default=None, ge=1, description="Records per page, sent as `size_param`.")
    where: Placement = _WHERE

    @model_validator(mode="after")
    def _size_goes_with_its_parameter(self) -> Self:
        if self.size_param is not None and self.size is None:
            raise stated("`size_param` needs `size`")
        return self


class NoPages(PagesConfig):
    """The answer is the whole list."""

    type: Literal["none"] = Field(description="none.")


class CursorPages(SizedConfig):
    """The answer holds a text or number that fetches the next page."""

    type: Literal["cursor"] = Field(description="cursor.")
    param: str = _PARAM
    next: Selector = Field(description="JMESPath of the cursor of the next page; null or empty = the last page.")
    more: Selector | None = _MORE


class NextUrlPages(PagesConfig):
    """The answer holds the URL of the next page."""

    type: Literal["next_url"] = Field(description="next_url.")
    next: Selector = Field(description="JMESPath of the URL, absolute or relative; null or empty = the last page.")


class LinkHeaderPages(PagesConfig):
    """A header of the answer holds the URL of the next page: ``Link`` with ``rel="next"`` (RFC 8288), or a header that
    is the URL."""

    type: Literal["link_header"] = Field(description="link_header.")
    header: str = Field(
        default="Link", min_length=1, description="Name of the header. Any other than Link is the URL itself."
    )


class NumberPages(SizedConfig):
    """Pages have numbers. The first empty page ends the list, unless ``more`` ends it before."""

    type: Literal["page"] = Field(description="page.")
    param: str = _PARAM
    start: int = Field(default=1, ge=0, description="Number of the first page.")
    more: Selector | None = _MORE


class OffsetPages(SizedConfig):
    """A request says how many records it skips. The first empty page ends the list, unless ``more`` ends it before."""

    type: Literal["offset"] = Field(description="offset.")
    param: str = _PARAM
    start: int = Field(default=0, ge=0, description="Offset of the first record.")
    more: Selector | None = _MORE


class KeysetPages(SizedConfig):
    """A request names the last record of the page before. The first empty page ends the list, unless ``more`` ends it
    before."""

    type: Literal["keyset"] = Field(description="keyset.")
    param: str = _PARAM
    key: Selector = Field(
        default="id", description="JMESPath in the last record of a page: what the next request sends."
    )
    more: Selector | None = _MORE


Pages = Annotated[
    NoPages | CursorPages | NextUrlPages | LinkHeaderPages | NumberPages | OffsetPages | KeysetPages,
    Field(discriminator="type"),
]
