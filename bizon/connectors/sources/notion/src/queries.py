"""The pages of a database: a query per data source, split where Notion would cut it off."""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from bizon.connectors.sources.notion.src.client import Json, Listed, NotionClient, StaleCursorError, UnreadableError
from bizon.connectors.sources.notion.src.windows import OPEN, Window, combined, filters_of, halves

if TYPE_CHECKING:
    from bizon.connectors.sources.notion.src.access import Access
    from bizon.connectors.sources.notion.src.edits import EditWindow


class DatabaseQueries:
    """Reads the rows of databases page by page.

    A place is ``{"database", "data_source", "windows", "cursor"}``: the windows of time that are left, the current one
    first, and the cursor in it. A query that Notion cuts off at 10,000 results is repeated in two halves of its window,
    so a place holds some twenty windows at most. Windows are over ``created_time``, or ``last_edited_time`` when only
    edits are asked for, and results are sorted by the same field.
    """

    def __init__(self, client: NotionClient, access: "Access", filters: dict[str, Json]) -> None:
        self._client = client
        self._access = access
        self._filters = filters
        self._data_sources: dict[str, list[str]] = {}
        self._in_window: defaultdict[str, set[str]] = defaultdict(set)  # by data source: ids that went out
        self._repeats: defaultdict[str, set[str]] = defaultdict(set)  # by data source: ids that may come again

    def data_sources(self, database_id: str) -> list[str]:
        """The ids of a database's data sources, asked for once. Raises NotSharedError."""
        if database_id not in self._data_sources:
            self._data_sources[database_id] = data_sources_of(self._client.database(database_id))
        return self._data_sources[database_id]

    def read(self, place: Json, edits: "EditWindow | None") -> tuple[list[Json], Json | None]:
        """The rows at a place, and the next place; None after the last one of the database. ``{"database": id}`` is the
        first place."""
        database = place["database"]
        if "data_source" not in place:
            if self._access.one(self.data_sources, database) is None:
                return [], None
            place = self._after(database, None, edits) or {}
        if not place:
            return [], None
        read = self._access.one(lambda at: self._read_whole(at, edits), place)
        if read is None:
            return [], self._after(database, place["data_source"], edits)
        listed, place = read
        source = place["data_source"]
        fresh = [row for row in listed.results if row["id"] not in self._repeats[source]]
        if listed.cursor is not None:
            self._in_window[source].update(row["id"] for row in listed.results)
            return fresh, {**place, "cursor": listed.cursor}
        self._in_window.pop(source, None)
        if len(place["windows"]) > 1:
            return fresh, {**place, "windows": place["windows"][1:], "cursor": None}
        return fresh, self._after(database, source, edits)

    def _after(self, database_id: str, data_source_id: str | None, edits: "EditWindow | None") -> Json | None:
        """The first place in the next data source; None after the last one."""
        ids = self.data_sources(database_id)
        if data_source_id is not None:
            if data_source_id not in ids:
                raise UnreadableError(f"data source {data_source_id} is no longer part of database {database_id}")
            ids = ids[ids.index(data_source_id) + 1 :]
            self._repeats.pop(data_source_id, None)
        if not ids:
            return None
        window = OPEN if edits is None else edits.window
        return {"database": database_id, "data_source": ids[0], "windows": [window], "cursor": None}

    def _read_whole(self, place: Json, edits: "EditWindow | None") -> tuple[Listed, Json]:
        """The answer at a place; while Notion cuts its query off, in a smaller window, with the place in that."""
        while True:
            try:
                listed = self._client.query(place["data_source"], self._body(place, edits), place["cursor"])
            except StaleCursorError:
                place = self._restarted(place)
                continue
            if not listed.is_cut:
                return listed, place
            place = self._narrowed(place, edits)

    def _restarted(self, place: Json) -> Json:
        """The same place at the beginning of the current window: the row at its cursor is no longer a result. Rows that
        went out are left out when they come again. The count keeps the places apart."""
        self._repeats[place["data_source"]] |= self._in_window.pop(place["data_source"], set())
        return {**place, "cursor": None, "restarts": place.get("restarts", 0) + 1}

    def _body(self, place: Json, edits: "EditWindow | None", direction: str = "ascending") -> Json:
        field = "created_time" if edits is None else "last_edited_time"
        body: Json = {"sorts": [{"timestamp": field, "direction": direction}]}
        conditions = list(filters_of(place["windows"][0], field))
        condition = combined(self._filters.get(place["database"]), conditions)
        return body if condition is None else {**body, "filter": condition}

    def _narrowed(self, place: Json, edits: "EditWindow | None") -> Json:
        """The same place with the current window in halves. Rows of it may have gone out before Notion said that it
        cuts the query."""
        place = self._restarted(place)
        window, *others = place["windows"]
        oldest, newest = self._bounds(place, window, edits)
        two = halves(window, oldest, newest)
        if two is None:
            field = "created" if edits is None else "edited"
            raise UnreadableError(
                f"data source {place['data_source']}: Notion cuts off the pages {field} in the minute from "
                f"{window[0] or oldest}, and a query cannot ask for less than a minute; narrow database_filters for "
                f"database {place['database']}"
            )
        return {**place, "windows": [*two, *others]}

    def _bounds(self, place: Json, window: Window, edits: "EditWindow | None") -> tuple[str, str]:
        """The first and the last timestamp of an open window's rows."""
        if None not in window:
            return str(window[0]), str(window[1])
        field = "created_time" if edits is None else "last_edited_time"
        return self._end(place, edits, "ascending")[field], self._end(place, edits, "descending")[field]

    def _end(self, place: Json, edits: "EditWindow | None", direction: str) -> dict[str, Any]:
        listed = self._client.query(place["data_source"], self._body(place, edits, direction), limit=1)
        if not listed.results:
            raise UnreadableError(f"data source {place['data_source']}: Notion cuts off a query without results")
        return dict(listed.results[0])


def data_sources_of(database: Json) -> list[str]:
    """The ids of its data sources."""
    if "data_sources" not in database:
        raise UnreadableError(
            f"database {database.get('id')}: the answer names no data sources; source.notion_version must be "
            "2025-09-03 or later"
        )
    return [each["id"] for each in database["data_sources"]]
