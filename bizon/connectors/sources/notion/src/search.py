"""Search: everything that is shared with the connection."""

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.notion.src.client import Json, NotionClient
from bizon.connectors.sources.notion.src.edits import EditWindow


class Search:
    """Objects of one kind, the last edited first: one that is edited during the search moves to the front, and none is
    missed. Not promised: that Notion's index knows an object which was shared a moment ago."""

    def __init__(self, client: NotionClient) -> None:
        self._client = client
        self._seen: set[tuple[str, str]] = set()

    def read(self, kind: str, cursor: str | None, edits: EditWindow | None) -> tuple[list[Json], str | None]:
        """A page of results, and the cursor of the next. ``kind``: page or data_source. With ``edits`` it ends at the
        first object that was edited before. Raises SourceFetchError when Notion leaves out results."""
        body = {
            "filter": {"property": "object", "value": kind},
            "sort": {"timestamp": "last_edited_time", "direction": "descending"},
        }
        if cursor is None:
            self._seen.clear()
        listed = self._client.search(body, cursor)
        is_over = edits is not None and any(edits.is_before(each) for each in listed.results)
        if listed.is_cut and not is_over and (edits is None or listed.cursor is None):
            raise SourceFetchError(
                f"search for every {kind}: Notion leaves out results after the first 10,000, and a search cannot be "
                "split; name the databases in database_ids and use the stream without 'all_', whose queries are split"
            )
        found = []
        for each in listed.results:
            key = (each["id"], each["last_edited_time"])
            if each.get("object") == kind and key not in self._seen and (edits is None or edits.covers(each)):
                found.append(each)
            self._seen.add(key)
        return found, None if is_over else listed.cursor
