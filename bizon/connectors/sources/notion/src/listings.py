"""The pages that a stream is about: the configured ones, or all that a search finds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from bizon.common.errors.errors import SourceFetchError

if TYPE_CHECKING:
    from bizon.connectors.sources.notion.src.access import Access
    from bizon.connectors.sources.notion.src.client import Json, NotionClient
    from bizon.connectors.sources.notion.src.edits import EditWindow
    from bizon.connectors.sources.notion.src.queries import DatabaseQueries
    from bizon.connectors.sources.notion.src.search import Search


class Batch(NamedTuple):
    """Some pages of a listing. ``following``: where the next batch begins, None after the last one. ``database_id``:
    the database whose rows they are, None for other pages. ``are_named``: they are named in the configuration."""

    pages: list["Json"]
    following: "Json | None"
    database_id: str | None = None
    are_named: bool = False


class PageListing(Protocol):
    """Pages of Notion, batch by batch."""

    def read(self, place: "Json", edits: "EditWindow | None") -> Batch:
        """The batch at a place; ``{}`` is the first place. It may be empty. With ``edits``, only pages that were edited
        in this window."""


class ConfiguredPages:
    """The pages of ``page_ids``, then the rows of ``database_ids``. A row that ``page_ids`` names comes once."""

    def __init__(
        self,
        client: "NotionClient",
        access: "Access",
        queries: "DatabaseQueries",
        database_ids: tuple[str, ...],
        page_ids: tuple[str, ...],
        left_out: tuple[str, ...] = (),
    ) -> None:
        self._client = client
        self._access = access
        self._queries = queries
        self._database_ids = database_ids
        self._page_ids = page_ids
        self._left_out = frozenset((*page_ids, *left_out))

    def of_database(self, database_id: str) -> "ConfiguredPages":
        """The rows of another database, without the configured pages."""
        return ConfiguredPages(self._client, self._access, self._queries, (database_id,), (), self._page_ids)

    def read(self, place: "Json", edits: "EditWindow | None") -> Batch:
        place = place or self._first_place(self._page_ids) or {}
        if "page" in place:
            return self._named_pages(place["page"], edits)
        if "database" not in place:
            return Batch([], None)
        database = place["database"]
        rows, following = self._queries.read(place, edits)
        if following is None:
            rest = rest_of(self._database_ids, "database", database)
            following = {"database": rest[0]} if rest else None
        pages = [row for row in rows if row.get("object") == "page" and row["id"] not in self._left_out]
        return Batch(_edited(self._access.all_of(self._whole, pages), edits), following, database)

    def _first_place(self, page_ids: Sequence[str]) -> "Json | None":
        if page_ids:
            return {"page": page_ids[0]}
        return {"database": self._database_ids[0]} if self._database_ids else None

    def _named_pages(self, page_id: str, edits: "EditWindow | None") -> Batch:
        ids = [page_id, *rest_of(self._page_ids, "page", page_id)]
        batch, rest = ids[: self._access.workers], ids[self._access.workers :]
        pages = _edited(self._access.all_of(self._client.page, batch), edits)
        return Batch(pages, self._first_place(rest), are_named=True)

    def _whole(self, row: "Json") -> "Json":
        """A row with its properties; a query returns some rows without."""
        return row if "properties" in row else self._client.page(row["id"])


class SearchedPages:
    """All pages that are shared with the connection."""

    def __init__(self, search: "Search") -> None:
        self._search = search

    def read(self, place: "Json", edits: "EditWindow | None") -> Batch:
        found, following = self._search.read("page", place, edits)
        return Batch(found, following or None)


def _edited(pages: list["Json | None"], edits: "EditWindow | None") -> list["Json"]:
    return [page for page in pages if page is not None and (edits is None or edits.covers(page))]


def rest_of(ids: tuple[str, ...], kind: str, current: str) -> tuple[str, ...]:
    """The configured ids after the current one."""
    if current not in ids:
        raise SourceFetchError(
            f"the checkpoint continues at {kind} {current}, which source.{kind}_ids no longer names; use --fresh"
        )
    return ids[ids.index(current) + 1 :]
