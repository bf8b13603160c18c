"""Streams of single objects: users, databases and data sources."""

from typing import TYPE_CHECKING

from bizon.connectors.sources.notion.src.client import Json, NotionClient
from bizon.connectors.sources.notion.src.listings import rest_of
from bizon.connectors.sources.notion.src.queries import data_sources_of
from bizon.connectors.sources.notion.src.rich_text import plain_text

if TYPE_CHECKING:
    from bizon.connectors.sources.notion.src.access import Access
    from bizon.connectors.sources.notion.src.edits import EditWindow
    from bizon.connectors.sources.notion.src.search import Search

Page = tuple[list[Json], Json]
"""Objects, and the place of the next ones; ``{}`` at the end."""


class Objects:
    """Reads one page of objects at a place; ``{}`` is the first place."""

    def __init__(self, client: NotionClient, access: "Access", search: "Search", database_ids: tuple[str, ...]) -> None:
        self._client = client
        self._access = access
        self._search = search
        self._database_ids = database_ids
        self._parents: set[str] = set()

    def users(self, place: Json) -> Page:
        """The people and bots of the workspace."""
        listed = self._client.users(place.get("cursor"))
        return listed.results, {"cursor": listed.cursor} if listed.cursor else {}

    def databases(self, place: Json) -> Page:
        """The configured databases."""
        ids, following = self._some_databases(place)
        return [each for each in self._access.all_of(self._client.database, ids) if each], following

    def data_sources(self, place: Json) -> Page:
        """The data sources of the configured databases, each with id and title of its database."""
        databases, following = self.databases(place)
        found = []
        for database in databases:
            sources = self._access.all_of(self._client.data_source, data_sources_of(database))
            origin = {"parent_database_id": database["id"], "parent_database_title": plain_text(database["title"])}
            found += [{**each, **origin} for each in sources if each]
        return found, following

    def all_data_sources(self, place: Json, edits: "EditWindow | None") -> Page:
        """Every data source that is shared with the connection."""
        return self._search.read("data_source", place, edits)

    def all_databases(self, place: Json) -> Page:
        """The databases of all these data sources, each once."""
        if not place:
            self._parents.clear()
        sources, following = self.all_data_sources(place, None)
        ids = dict.fromkeys(each["parent"]["database_id"] for each in sources if each["parent"].get("database_id"))
        new = [each for each in ids if each not in self._parents]
        self._parents.update(new)
        return [each for each in self._access.all_of(self._client.database, new) if each], following

    def _some_databases(self, place: Json) -> tuple[list[str], Json]:
        """As many databases as there are workers; and the place of the next one."""
        first = place.get("database") or self._database_ids[0]
        ids = [first, *rest_of(self._database_ids, "database", first)]
        rest = ids[self._access.workers :]
        return ids[: self._access.workers], {"database": rest[0]} if rest else {}
