"""The ``notion`` source: databases, pages, their blocks, and users of a workspace."""

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import requests
from requests.auth import AuthBase

from bizon.common.safe_log import logger
from bizon.common.waiting import Closing, ends_with
from bizon.connectors.sources.notion.src.access import Access
from bizon.connectors.sources.notion.src.client import Json, NotionClient
from bizon.connectors.sources.notion.src.config import NotionSourceConfig, NotionStreams
from bizon.connectors.sources.notion.src.edits import Delivered, EditWindow
from bizon.connectors.sources.notion.src.listings import ConfiguredPages, PageListing, SearchedPages
from bizon.connectors.sources.notion.src.objects import Objects
from bizon.connectors.sources.notion.src.pace import TokenBucket
from bizon.connectors.sources.notion.src.properties import with_all_relations
from bizon.connectors.sources.notion.src.queries import DatabaseQueries
from bizon.connectors.sources.notion.src.records import (
    block_record,
    markdown_record,
    object_record,
    page_markdown_record,
)
from bizon.connectors.sources.notion.src.search import Search
from bizon.connectors.sources.notion.src.tree import TreeWalker
from bizon.connectors.sources.notion.src.walk import BlockWalk
from bizon.source.auth.builder import AuthBuilder
from bizon.source.config import HttpRetriesConfig, SourceConfig
from bizon.source.models import SourceIncrementalState, SourceIteration, SourceRecord
from bizon.source.retries import shared_pace
from bizon.source.source import AbstractSource

if TYPE_CHECKING:
    from bizon.source.session import Session

_OVERLOADED = 529
_RETRIES = {
    "status_forcelist": (*HttpRetriesConfig().status_forcelist, _OVERLOADED),
    "allowed_methods": ("GET", "POST", "PATCH"),
    "retry_after_max": 900.0,  # seconds; Notion asks for more than a minute when the whole workspace is over its budget
}
_BY_SEARCH = (NotionStreams.ALL_PAGES, NotionStreams.ALL_BLOCKS_MARKDOWN)


class NotionSource(AbstractSource):
    """One page of the source is one request per worker, and what it takes to know which ones."""

    config: NotionSourceConfig
    cursor_resolution = 60  # Notion cuts last_edited_time to the minute
    unfiltered_streams = (NotionStreams.USERS,)

    def __init__(self, config: NotionSourceConfig) -> None:
        super().__init__(config)
        self._client = NotionClient(self.session, config.base_url, config.page_size)
        self._access = Access(config.max_workers, config.skip_inaccessible)
        self._delivered = Delivered(config.incremental_lookback)
        search = Search(self._client)
        self._objects = Objects(self._client, self._access, search, config.database_ids)
        queries = DatabaseQueries(self._client, self._access, config.database_filters)
        configured = ConfiguredPages(self._client, self._access, queries, config.database_ids, config.page_ids)
        self._listing: PageListing = SearchedPages(search) if config.stream in _BY_SEARCH else configured
        self._walker = TreeWalker(
            self._client, self._access, config.max_recursion_depth if config.fetch_blocks_recursively else 0
        )
        self._walk = BlockWalk(self._client, self._access, self._listing, self._walker, self._delivered)
        if config.stream == NotionStreams.BLOCKS and config.fetch_blocks_recursively:
            self._walk.follow_databases(configured, config.database_ids)

    @staticmethod
    def streams() -> list[str]:
        return [stream.value for stream in NotionStreams]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return NotionSourceConfig

    def get_authenticator(self) -> AuthBase:
        return AuthBuilder.token(self.config.authentication.params)

    def get_retry_policy(self) -> HttpRetriesConfig:
        """Notion's statuses and waits, except where the user has set others."""
        policy = super().get_retry_policy()
        return policy.model_copy(update={k: v for k, v in _RETRIES.items() if k not in policy.model_fields_set})

    def get_session(self) -> "Session":
        self._closing = Closing()
        with ends_with(self._closing):
            session = super().get_session()
        session.headers["Notion-Version"] = self.config.notion_version
        budget = self.config.requests_per_minute
        limit = (self.config.base_url, self.config.authentication.params.token, budget)
        session.keep_pace(shared_pace(lambda: TokenBucket(budget), *limit))
        return session

    def check_connection(self) -> tuple[bool, Any | None]:
        """Asks who the token belongs to. A budget that is used up is not a failure: the first page waits for it."""
        try:
            self._client.me()
        except requests.HTTPError as error:
            if error.response.status_code not in (requests.codes.too_many_requests, _OVERLOADED):
                return False, str(error)
        except requests.RequestException as error:
            return False, str(error)
        return True, None

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        """A page of the whole stream."""
        return self._page(pagination or {}, None)

    def get_records_after(
        self, source_state: SourceIncrementalState, pagination: dict[str, Any] | None = None
    ) -> SourceIteration:
        """A page of the edits in the window. Users carry no timestamp, so that stream comes whole."""
        match self.config.stream:
            case NotionStreams.USERS:
                if not pagination:
                    logger.warning("Stream 'users' cannot be filtered by time: fetching all of it")
                return self.get(pagination)
            case NotionStreams.PAGES | NotionStreams.ALL_PAGES:
                return self.get_pages_after(source_state, pagination)
            case NotionStreams.BLOCKS_MARKDOWN | NotionStreams.ALL_BLOCKS_MARKDOWN:
                return self.get_blocks_markdown_after(source_state, pagination)
            case _:
                return self._edited(source_state, pagination)

    def get_pages_after(
        self, source_state: SourceIncrementalState, pagination: dict[str, Any] | None = None
    ) -> SourceIteration:
        """Pages that were edited in the window: configured databases by a query with their filter and the time, single
        pages one by one, and stream all_pages by a search that ends at the first older page."""
        return self._edited(source_state, pagination)

    def get_blocks_markdown_after(
        self, source_state: SourceIncrementalState, pagination: dict[str, Any] | None = None
    ) -> SourceIteration:
        """All blocks of the pages that ``get_pages_after`` finds: an edit may have moved or removed some."""
        return self._edited(source_state, pagination)

    def close(self) -> None:
        self._closing.close()
        self._access.close()
        super().close()

    def _edited(self, state: SourceIncrementalState, pagination: dict[str, Any] | None) -> SourceIteration:
        place = dict(pagination or {})
        window = place.pop("window", None)
        edits = EditWindow(window) if window else EditWindow.of_run(state, datetime.now(UTC))
        self._delivered.follow(state, edits)
        return self._iteration([], {}, edits) if edits.is_empty else self._page(place, edits)

    def _page(self, place: Json, edits: EditWindow | None) -> SourceIteration:
        match self.config.stream:
            case NotionStreams.USERS:
                objects, following = self._objects.users(place)
                return self._iteration([object_record(each) for each in objects], following, edits)
            case NotionStreams.DATABASES:
                return self._of_objects(*self._objects.databases(place), edits)
            case NotionStreams.DATA_SOURCES:
                return self._of_objects(*self._objects.data_sources(place), edits)
            case NotionStreams.ALL_DATABASES:
                return self._of_objects(*self._objects.all_databases(place), edits)
            case NotionStreams.ALL_DATA_SOURCES:
                return self._of_objects(*self._objects.all_data_sources(place, edits), edits)
            case NotionStreams.PAGES | NotionStreams.ALL_PAGES:
                return self._of_pages(place, edits)
            case _:
                return self._of_blocks(place, edits)

    def _of_objects(self, objects: list[Json], following: Json, edits: EditWindow | None) -> SourceIteration:
        edited = [each for each in objects if edits is None or edits.covers(each)]
        return self._iteration([object_record(e) for e in edited if self._delivered.is_new(e)], following, edits)

    def _of_pages(self, place: Json, edits: EditWindow | None) -> SourceIteration:
        batch = self._listing.read(place, edits)
        new = [page for page in batch.pages if self._delivered.is_new(page)]
        whole = self._access.all_of(partial(with_all_relations, self._client), new)
        return self._iteration([object_record(page) for page in whole if page], batch.following or {}, edits)

    def _of_blocks(self, place: Json, edits: EditWindow | None) -> SourceIteration:
        step = self._walk.step(place.get("stack", []), edits)
        if self.config.stream == NotionStreams.BLOCKS:
            records = [block_record(block) for block in step.blocks]
        else:
            records = [markdown_record(block) for block in step.blocks]
            if self.config.page_markdown:
                texts = self._access.all_of(lambda tree: self._client.markdown(tree["page"]), step.begun)
                pages = zip(step.begun, texts, strict=True)
                records += [page_markdown_record(tree, text) for tree, text in pages if text is not None]
        return self._iteration(records, {"stack": step.stack} if step.stack else {}, edits)

    def _iteration(self, records: list[SourceRecord], following: Json, edits: EditWindow | None) -> SourceIteration:
        if following:
            if edits is not None:
                following = {**following, "window": edits.window}
            return SourceIteration(records=records, next_pagination=following)
        if self._access.skipped:
            logger.warning(f"{self._access.skipped} objects were skipped: they are not shared with the connection")
        if self._walker.cut and self.config.fetch_blocks_recursively:
            logger.warning(
                f"{self._walker.cut} blocks have blocks below them that max_recursion_depth "
                f"{self.config.max_recursion_depth} leaves out"
            )
        is_incremental = self.config.is_incremental
        state = self._delivered.next_state if is_incremental else None
        return SourceIteration(records=records, next_pagination={}, next_state=state)
