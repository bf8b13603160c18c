"""Configuration of the ``notion`` source."""

import re
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator

from bizon.source.auth.authenticators.token import TokenAuthParams
from bizon.source.auth.config import AuthConfig, AuthType
from bizon.source.config import SourceConfig

_BARE_ID = re.compile(r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})", re.IGNORECASE)
_SAFE_ID = re.compile(r"[A-Za-z0-9_-]+")


class NotionStreams(StrEnum):
    """Streams of the source."""

    DATABASES = "databases"
    DATA_SOURCES = "data_sources"
    PAGES = "pages"
    BLOCKS = "blocks"
    BLOCKS_MARKDOWN = "blocks_markdown"
    USERS = "users"
    ALL_PAGES = "all_pages"
    ALL_DATABASES = "all_databases"
    ALL_DATA_SOURCES = "all_data_sources"
    ALL_BLOCKS_MARKDOWN = "all_blocks_markdown"


OF_DATABASES = (NotionStreams.DATABASES, NotionStreams.DATA_SOURCES)
OF_PAGES = (NotionStreams.PAGES, NotionStreams.BLOCKS, NotionStreams.BLOCKS_MARKDOWN)


class NotionAuthConfig(AuthConfig):
    """The token of a Notion connection (an integration)."""

    type: Literal[AuthType.API_KEY, AuthType.BEARER] = Field(description="api_key | bearer.")
    params: TokenAuthParams = Field(description="The token of the connection.")


class NotionSourceConfig(SourceConfig):
    """``source: {name: notion}``: databases, pages, their content, and users of a workspace."""

    authentication: NotionAuthConfig = Field(description="The token of the connection: api_key or bearer.")
    database_ids: tuple[str, ...] = Field(
        default=(),
        description="Databases to read, by id. Streams databases and data_sources need one; pages, blocks and "
        "blocks_markdown need a database or a page. The other streams read everything shared with the connection.",
    )
    page_ids: tuple[str, ...] = Field(
        default=(),
        validate_default=True,
        description="Pages to read, by id, in streams pages, blocks and blocks_markdown. They come first.",
    )
    fetch_blocks_recursively: bool = Field(
        default=True,
        description="Read nested blocks, and in stream blocks the pages of inline databases; false = only the blocks "
        "directly on a page.",
    )
    max_recursion_depth: int = Field(
        default=5, ge=1, le=100, description="Levels of nested blocks below the blocks directly on a page."
    )
    page_size: int = Field(default=100, ge=1, le=100, description="Results per request.")
    max_workers: int = Field(default=3, ge=1, le=10, description="Requests at the same time.")
    requests_per_minute: int = Field(
        default=180,
        ge=1,
        le=1_000_000,
        description="Requests per 60 seconds, all workers together; the budget depends on the plan of the workspace.",
    )
    database_filters: dict[str, dict[str, Any]] = Field(
        default={}, description="Filters by database id, as Notion's query endpoint takes them."
    )
    base_url: str = Field(default="https://api.notion.com/v1", description="URL of the API.")
    notion_version: str = Field(
        default="2025-09-03",
        pattern=r"\d{4}-\d{2}-\d{2}",
        description="Version of the API, sent as Notion-Version; versions before 2025-09-03 have no data sources.",
    )
    skip_inaccessible: bool = Field(
        default=False,
        description="Skip databases, pages and blocks that are not shared with the connection, and count them in the "
        "log; false = the first one ends the run.",
    )
    page_markdown: bool = Field(
        default=False,
        description="In streams blocks_markdown and all_blocks_markdown: one more record per page, of block_type page, "
        "with the whole page as Notion renders it, where Notion does. One more request per page.",
    )

    def in_share(self, count: int) -> Self:
        """The budget is divided."""
        return self.model_copy(update={"requests_per_minute": max(1, self.requests_per_minute // count)})

    @field_validator("base_url")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        if not re.match(r"https?://[^/]", value):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @field_validator("database_ids", "page_ids")
    @classmethod
    def _are_ids(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_as_id(each) for each in value))

    @field_validator("database_filters")
    @classmethod
    def _are_by_id(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {_as_id(key): each for key, each in value.items()}

    @field_validator("page_ids")
    @classmethod
    def _stream_has_input(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        stream, databases = info.data.get("stream"), info.data.get("database_ids", ())
        if stream in OF_DATABASES and not databases:
            raise ValueError(f"stream '{stream}' needs database_ids; stream 'all_{stream}' reads all that are shared")
        if stream in OF_PAGES and not databases and not value:
            raise ValueError(f"stream '{stream}' needs database_ids or page_ids")
        return value


def _as_id(text: str) -> str:
    """An id as Notion's answers write it: in lower case, with dashes."""
    bare = _BARE_ID.fullmatch(text.strip())
    if bare is not None:
        return "-".join(bare.groups()).lower()
    if not _SAFE_ID.fullmatch(text):
        raise ValueError(f"'{text}' is not an id: copy the 32 letters and digits from the link of the page or database")
    return text
