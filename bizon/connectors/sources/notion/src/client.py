"""Notion's endpoints, as methods that return checked answers."""

from typing import TYPE_CHECKING, Any, NamedTuple

import requests

from bizon.common.errors.errors import SourceFetchError
from bizon.common.safe_log import logger

if TYPE_CHECKING:
    from bizon.source.session import Session

Json = dict[str, Any]
_NOT_FOUND = 404
_NO_MARKDOWN = (400, 404)  # a version or an API without the endpoint


class NotSharedError(SourceFetchError):
    """Notion knows no such object, or it is not shared with the connection: the API does not tell which."""


class StaleCursorError(SourceFetchError):
    """Notion refuses a request that continues at a cursor; perhaps the result there is no longer one."""


class UnreadableError(SourceFetchError):
    """Notion leaves out results, or what a checkpoint names."""


class Listed(NamedTuple):
    """One page of a list. ``cursor``: where the next page begins, None on the last one. ``is_cut``: Notion leaves out
    results, on this page or a later one, because the list is too long."""

    results: list[Json]
    cursor: str | None
    is_cut: bool


class NotionClient:
    """Sends requests through the session of the source, which authenticates, retries and keeps the pace.

    Used on the threads of all workers. Raises ``NotSharedError`` for ``object_not_found``, and ``StaleCursorError``
    when a query or a search cannot continue; other refusals raise the ``requests.HTTPError`` of the session.
    """

    def __init__(self, session: "Session", base_url: str, page_size: int) -> None:
        self._session = session
        self._base_url = base_url
        self._page_size = page_size

    def me(self) -> Json:
        """The bot user of the token."""
        return self._send("GET", "users/me")

    def users(self, cursor: str | None) -> Listed:
        return self._whole_list("GET", "users", cursor)

    def database(self, database_id: str) -> Json:
        return _whole(self._send("GET", f"databases/{database_id}"))

    def data_source(self, data_source_id: str) -> Json:
        return _whole(self._send("GET", f"data_sources/{data_source_id}"))

    def page(self, page_id: str) -> Json:
        return _whole(self._send("GET", f"pages/{page_id}"))

    def children(self, block_id: str, cursor: str | None) -> Listed:
        """The blocks directly below a block or a page."""
        return self._whole_list("GET", f"blocks/{block_id}/children", cursor)

    def property_items(self, page_id: str, property_id: str, cursor: str | None) -> Listed:
        """The values of one property of a page; a page object holds only the first 25 of a relation."""
        return self._whole_list("GET", f"pages/{page_id}/properties/{property_id}", cursor)

    def markdown(self, page_id: str) -> str | None:
        """A whole page as Notion renders it; None when Notion does not, or leaves out a part of a long page."""
        try:
            answer = self._send("GET", f"pages/{page_id}/markdown")
        except requests.HTTPError as error:
            if error.response.status_code not in _NO_MARKDOWN:
                raise
            answer = {"truncated": True}
        if answer.get("truncated"):
            logger.warning(f"Notion does not render the whole page {page_id} as Markdown; its blocks come nevertheless")
            return None
        return str(answer["markdown"])

    def query(self, data_source_id: str, body: Json, cursor: str | None = None, limit: int | None = None) -> Listed:
        """The rows of a data source. ``body``: filter and sorts. Check ``is_cut``."""
        return self._list("POST", f"data_sources/{data_source_id}/query", cursor, body, limit)

    def search(self, body: Json, cursor: str | None) -> Listed:
        """Pages or data sources that are shared with the connection. Check ``is_cut``."""
        listed = self._list("POST", "search", cursor, body)
        return listed._replace(results=[_whole(each) for each in listed.results])

    def _whole_list(self, method: str, path: str, cursor: str | None) -> Listed:
        listed = self._list(method, path, cursor)
        if listed.is_cut:
            raise UnreadableError(f"{method} /{path}: Notion leaves out results, and this list cannot be split")
        return listed

    def _list(
        self, method: str, path: str, cursor: str | None, body: Json | None = None, limit: int | None = None
    ) -> Listed:
        place: Json = {"page_size": limit or self._page_size}
        if cursor is not None:
            place["start_cursor"] = cursor
        if method == "POST":
            answer = self._send_at(cursor, path, {**(body or {}), **place})
        else:
            answer = self._send(method, path, params=place)
        results, following = answer.get("results"), answer.get("next_cursor")
        if not isinstance(results, list):
            raise SourceFetchError(f"{method} /{path}: the answer is not a list of results")
        if answer.get("has_more") and not following:
            raise SourceFetchError(f"{method} /{path}: the answer says that there are more results, and not where")
        is_cut = (answer.get("request_status") or {}).get("type") == "incomplete"
        return Listed(results, following if answer.get("has_more") else None, is_cut)

    def _send_at(self, cursor: str | None, path: str, body: Json) -> Json:
        try:
            return self._send("POST", path, json=body)
        except requests.HTTPError as error:
            if cursor is not None and error.response.status_code == requests.codes.bad_request:
                raise StaleCursorError(str(error)) from error
            raise

    def _send(self, method: str, path: str, **arguments: Any) -> Json:
        try:
            response = self._session.request(method, f"{self._base_url}/{path}", **arguments)
        except requests.HTTPError as error:
            if _is_not_found(error.response):
                raise NotSharedError(
                    f"{method} /{path}: object_not_found: it does not exist, or is not shared with the "
                    "connection. Share it in Notion (menu of the page, Connections), or leave it out with "
                    "source.skip_inaccessible: true"
                ) from error
            raise
        answer = response.json()
        if not isinstance(answer, dict):
            raise SourceFetchError(f"{method} /{path}: the answer is not a JSON object")
        return answer


def _whole(item: Json) -> Json:
    """The object. Raises SourceFetchError when Notion shows no more of it than its id."""
    if "last_edited_time" not in item:
        raise SourceFetchError(
            f"Notion shows only the id of {item.get('object')} {item.get('id')}: give the connection the capability to "
            "read content"
        )
    return item


def _is_not_found(response: requests.Response) -> bool:
    if response.status_code != _NOT_FOUND:
        return False
    try:
        answer = response.json()
    except (requests.JSONDecodeError, SourceFetchError):
        return False
    return isinstance(answer, dict) and answer.get("code") == "object_not_found"
