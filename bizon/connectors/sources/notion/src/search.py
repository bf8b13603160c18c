"""Search: everything that is shared with the connection."""

from typing import TYPE_CHECKING

from bizon.connectors.sources.notion.src.client import Json, Listed, NotionClient, StaleCursorError, UnreadableError
from bizon.connectors.sources.notion.src.windows import moment, settled

if TYPE_CHECKING:
    from bizon.connectors.sources.notion.src.edits import EditWindow


class Search:
    """Objects of one kind, the last edited first.

    An object that is edited during the search moves to the front, where it would be missed. So the front is read again
    after the last page, back to the time when the search began, until nothing new is found there. A place is
    ``{"cursor", "number": of the request, "since": when the search began, "again": whether it reads the front again,
    "found": whether that found anything}``. Not promised: that Notion's index knows an object which was shared a moment
    ago.
    """

    def __init__(self, client: NotionClient) -> None:
        self._client = client
        self._seen: set[str] = set()

    def read(self, kind: str, place: Json, edits: "EditWindow | None") -> tuple[list[Json], Json]:
        """The results at a place, and the next place; ``{}`` is the first one, and the end. ``kind``: page or
        data_source. With ``edits`` it ends at the first object that was edited before. Raises UnreadableError when
        Notion leaves out results."""
        if not place:
            self._seen.clear()
            since = settled().isoformat()
            place = {"cursor": None, "number": 0, "since": since, "again": False, "found": False}
        listed = self._results(kind, place["cursor"])
        begin = edits.begin if edits is not None else moment(place["since"]) if place["again"] else None
        recent = [each for each in listed.results if begin is None or moment(each["last_edited_time"]) >= begin]
        is_over = len(recent) < len(listed.results)
        if listed.is_cut and not is_over and (begin is None or listed.cursor is None):
            raise UnreadableError(
                f"search for every {kind}: Notion leaves out results after the first 10,000, and a search cannot be "
                "split; name the databases in database_ids and use the stream without 'all_', whose queries are split"
            )
        new = [each for each in recent if each.get("object") == kind and each["id"] not in self._seen]
        found = [each for each in new if edits is None or edits.covers(each)]
        self._seen.update(each["id"] for each in found)
        cursor = None if is_over else listed.cursor
        return found, self._after(place, cursor, bool(found), is_whole=edits is None)

    def _results(self, kind: str, cursor: str | None) -> Listed:
        body = {
            "filter": {"property": "object", "value": kind},
            "sort": {"timestamp": "last_edited_time", "direction": "descending"},
        }
        try:
            return self._client.search(body, cursor)
        except StaleCursorError:
            return self._client.search(body, None)

    def _after(self, place: Json, cursor: str | None, is_new: bool, *, is_whole: bool) -> Json:
        """The next place. The number keeps two places apart whose cursors are the same."""
        following = {**place, "cursor": cursor, "number": place["number"] + 1, "found": place["found"] or is_new}
        if cursor is not None:
            return following
        is_at_rest = place["again"] and not following["found"]
        return {} if is_at_rest or not is_whole else {**following, "again": True, "found": False}
