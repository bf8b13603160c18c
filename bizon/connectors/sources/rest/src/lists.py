"""One endpoint, for one parent after the other: its windows, and the pages in each."""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from bizon.common.errors.errors import SourceFetchError
from bizon.common.safe_log import logger
from bizon.connectors.sources.rest.src.ahead import Ahead
from bizon.connectors.sources.rest.src.client import Answer, Client
from bizon.connectors.sources.rest.src.pages import Token, style_of
from bizon.connectors.sources.rest.src.records import Found, RecordMaker
from bizon.connectors.sources.rest.src.request import Parts
from bizon.connectors.sources.rest.src.selector import selected
from bizon.connectors.sources.rest.src.windows import Bounds, Window, Windows

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.endpoint_config import EndpointConfig
    from bizon.connectors.sources.rest.src.pages_config import PagesConfig

_MOST_EMPTY = 1000  # pages in a row

Place = dict[str, Any]
"""Where to continue, as JSON; {} = at the beginning."""


class Parent(NamedTuple):
    """A parent as its children need it: values for templates, by dotted key, and fields for their records."""

    keys: dict[str, Any]
    included: dict[str, Any]


NOBODY = Parent({}, {})
"""The parent of a list without a parent."""


class Step(NamedTuple):
    """A page, and where to continue; None at the end."""

    found: list[Found]
    following: Place | None


Build = Callable[[Parent, Window], Parts]


class Lists:
    """Reads the lists of one endpoint. ``build`` makes the request for a list, without its page. Used on the thread
    that fetches. ``skipped`` counts the lists that a rule of ``errors`` has cut off."""

    def __init__(
        self,
        stream: str,
        endpoint: "EndpointConfig",
        pages: "PagesConfig",
        rules: list[Any],
        client: Client,
        ahead: Ahead,
        build: Build,
    ) -> None:
        self.maker = RecordMaker(stream, endpoint)
        self.skipped = 0
        self.stream = stream
        self._endpoint = endpoint
        self._pages = pages
        self._style = style_of(pages)
        self._rules = rules
        self._client = client
        self._ahead = ahead
        self._build = build

    def step(self, parent: Parent, place: Place, bounds: Bounds) -> Step:
        """One page of the list of a parent."""
        windows = Windows(self._endpoint.incremental, bounds)
        window = Window.from_json(place["window"]) if "window" in place else windows.first()
        if window is None:
            return Step([], None)
        token: Token = place.get("page")
        answer = self._answer(parent, window, token)
        if isinstance(answer, str):
            self.skipped += 1
            logger.warning(f"endpoint '{self.stream}': skipped, {self.skipped} so far: {answer}")
            return Step([], self._after(windows, window))
        items = self._items(answer)
        total = self._total(answer)
        if token is None and self._is_cut(total):
            return Step([], {"window": self._half(windows, window, total, answer).as_json()})
        past: Place = place.get("past", {})
        seen = past.get("seen", 0) + len(items)
        following = self._style.following(token, answer, items)
        digest = _digest(items)
        self._refuse_repeated(past, token, following, digest, answer)
        found = [each for item in items if (each := self.maker.found(item, parent.included, window)) is not None]
        if following is None:
            self._reconcile(seen, past.get("total") if total is None else total, answer)
            return Step(found, self._after(windows, window))
        number = past.get("number", 0) + 1
        empty = 0 if items else past.get("empty", 0) + 1
        if empty > _MOST_EMPTY:
            raise answer.refused(f"{_MOST_EMPTY} empty pages came in a row, and `pages.more` says that there are more")
        mark = past.get("mark") if number & (number - 1) else following  # anew after 1, 2, 4, 8... pages
        now = {"seen": seen, "number": number, "empty": empty, "digest": digest, "total": total, "mark": mark}
        return Step(found, {"window": window.as_json(), "page": following, "past": now})

    def first_page(self, parent: Parent, bounds: Bounds) -> None:
        """Ask for the first page, and keep the answer for the step that needs it. Raises what that step would raise."""
        window = Windows(self._endpoint.incremental, bounds).first()
        if window is not None:
            answer = self._answer(parent, window, None)
            if isinstance(answer, Answer):
                self._items(answer)
            self._ahead.keep((self.stream, parent.keys, window), answer)

    def _answer(self, parent: Parent, window: Window, token: Token) -> Answer | str:
        key = (self.stream, parent.keys, window)
        answer: Answer | str = self._ahead.get(key, token, partial(self._fetch, parent, window), self._style.ahead)
        return answer

    def _fetch(self, parent: Parent, window: Window, token: Token) -> Answer | str:
        parts = self._build(parent, window)
        self._style.place(parts, token)
        return self._client.send(parts.finished(), self._rules, self._endpoint.format)

    def _items(self, answer: Answer) -> list[dict[str, Any]]:
        """The objects of a page. Raises SourceFetchError when the answer has no list of objects."""
        if answer.is_empty:
            return []
        selector = self._endpoint.records
        found = selected(selector, answer.value)
        if answer.is_xml:
            found = _as_list(found, selector, answer.value)
        if not isinstance(found, list):
            raise answer.refused(f"there is no list at '{selector}', the key `records`")
        if not all(isinstance(item, dict) for item in found):
            raise answer.refused(f"the list at '{selector}', the key `records`, holds more than objects")
        return found

    def _total(self, answer: Answer) -> int | None:
        if self._pages.total is None:
            return None
        found = selected(self._pages.total, answer.value)
        if isinstance(found, str) and found.isdecimal():
            found = int(found)
        if found is not None and (isinstance(found, bool) or not isinstance(found, int)):
            raise answer.refused(f"`pages.total` finds no integer at '{self._pages.total}'")
        return found

    def _is_cut(self, total: int | None) -> bool:
        return self._pages.cap is not None and total is not None and total >= self._pages.cap

    def _half(self, windows: Windows, window: Window, total: int | None, answer: Answer) -> Window:
        half = windows.half(window)
        if half is None:
            raise answer.refused(
                f"the list has {total} records, and the API gives out {self._pages.cap} of a list, `pages.cap`; no "
                "shorter window can be asked for: give `incremental` with `start`, `since` and `until`, or a finer "
                "`format`"
            )
        return half

    def _after(self, windows: Windows, window: Window) -> Place | None:
        following = windows.after(window)
        return None if following is None else {"window": following.as_json()}

    def _refuse_repeated(self, past: Place, token: Token, following: Token, digest: str | None, answer: Answer) -> None:
        """Refuse a page that came before: its token, or its records right after the same ones."""
        remedy = "it would never end; is the paging of the configuration that of the API?"
        if following is not None and following in (token, past.get("mark")):
            raise answer.refused(f"the page names one that came before as the next page; {remedy}")
        if digest is not None and digest == past.get("digest"):
            raise answer.refused(f"the page has the same records as the page before; {remedy}")

    def _reconcile(self, seen: int, total: int | None, answer: Answer) -> None:
        """Compare a list that has ended with what the API said about it."""
        cap = self._pages.cap
        if cap is not None and total is None and seen >= cap:
            raise answer.refused(
                f"the list ended after {seen} records, and the API gives out {cap} of a list, `pages.cap`: there "
                "may be more; give `pages.total`, so that a window can be split, or a shorter `incremental.window`"
            )
        if total is None or total == seen:
            return
        text = f"the list has {total} records by `pages.total`, and {seen} came"
        if self._pages.strict:
            raise SourceFetchError(f"endpoint '{self.stream}': {text}")
        logger.warning(f"endpoint '{self.stream}': {text}; records that change while they are read explain a few")


def _as_list(found: Any, selector: str, value: Any) -> Any:
    """The records of an XML document, in which a list of one is no list, and an empty one is not there."""
    if isinstance(found, dict):
        return [found]
    above = selector.rpartition(".")[0]
    is_empty = found is None and above != "" and selected(above, value) is not None
    return [] if is_empty else found


def _digest(items: list[dict[str, Any]]) -> str | None:
    """Identifies the records of a page; None for an empty page."""
    if not items:
        return None
    try:
        text = orjson.dumps(items)
    except TypeError:  # an integer beyond 64 bits, half a surrogate pair
        text = json.dumps(items).encode()
    return hashlib.blake2b(text, digest_size=9).hexdigest()
