"""One endpoint, for one parent after the other: its windows, and the pages in each."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from bizon.common.safe_log import logger
from bizon.connectors.sources.rest.src.progress import Progress
from bizon.connectors.sources.rest.src.records import Found, RecordMaker
from bizon.connectors.sources.rest.src.styles import style_of
from bizon.connectors.sources.rest.src.windows import Bounds, Window, Windows

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.answer import Answer
    from bizon.connectors.sources.rest.src.client import Client
    from bizon.connectors.sources.rest.src.endpoint_config import EndpointConfig
    from bizon.connectors.sources.rest.src.pages_config import PagesConfig
    from bizon.connectors.sources.rest.src.request import Parts
    from bizon.connectors.sources.rest.src.tokens import Tokens
    from bizon.source.ahead import Ahead

Place = dict[str, Any]
"""Where to continue, as JSON; {} = at the beginning."""


class Parent(NamedTuple):
    """A parent as its children need it: values for templates, by dotted key, and fields for their records."""

    keys: dict[str, Any]
    included: dict[str, Any]


NOBODY = Parent({}, {})
"""The parent of a list without a parent."""


NOTHING = Found([], set())
"""A page without records."""


class Step(NamedTuple):
    """A page, and where to continue; None at the end."""

    found: Found
    following: Place | None


Build = Callable[[Parent, Window], "Parts"]


class Lists:
    """Reads the lists of one endpoint. ``build`` makes the request for a list, without its page. Used on the thread
    that fetches."""

    def __init__(
        self,
        stream: str,
        endpoint: "EndpointConfig",
        pages: "PagesConfig",
        rules: list[Any],
        client: "Client",
        ahead: "Ahead[Any, Answer | str]",
        build: Build,
        tokens: "Tokens",
    ) -> None:
        self.maker = RecordMaker(stream, endpoint)
        self._skipped = 0
        self._stream = stream
        self._endpoint = endpoint
        self._pages = pages
        self._style = style_of(pages)
        self._rules = rules
        self._client = client
        self._ahead = ahead
        self._build = build
        self._kept: tuple[Any, Answer | str] | None = None
        self._tokens = tokens

    def step(self, parent: Parent, place: Place, bounds: Bounds) -> Step:
        """One page of the list of a parent."""
        windows = Windows(self._endpoint.incremental, bounds)
        window = Window.from_json(place["window"]) if "window" in place else windows.first()
        if window is None:
            return Step(NOTHING, None)
        page = place.get("page")
        token = self._tokens.sent(page)
        answer = self._answer(parent, window, token)
        if isinstance(answer, str):
            self._skipped += 1
            logger.warning(f"endpoint '{self._stream}': skipped, {self._skipped} so far: {answer}")
            return Step(NOTHING, self._after(windows, window))
        items = answer.items(self._endpoint.records)
        total = answer.total(self._pages.total)
        cap = self._pages.cap
        if token is None and cap is not None and total is not None and total >= cap:
            return Step(NOTHING, {"window": self._half(windows, window, total, answer).as_json()})
        following = self._tokens.kept(self._style.following(token, answer, items))
        progress = Progress.from_json(place.get("past")).after(answer, items, page, following, total)
        found = self.maker.found(items, parent.included, window)
        if following is not None:
            return Step(found, {"window": window.as_json(), "page": following, "past": list(progress)})
        self._reconcile(progress.difference(answer, cap), answer)
        return Step(found, self._after(windows, window))

    def first_page(self, parent: Parent, bounds: Bounds) -> None:
        """Ask for the first page, and keep the answer for the step that needs it. Raises what that step would raise."""
        window = Windows(self._endpoint.incremental, bounds).first()
        if window is not None:
            answer = self._answer(parent, window, None)
            if not isinstance(answer, str):
                answer.items(self._endpoint.records)
            self._kept = (parent.keys, window), answer

    def _answer(self, parent: Parent, window: Window, token: Any) -> "Answer | str":
        kept, self._kept = self._kept, None
        fetch = partial(self._fetch, parent, window)
        if kept is not None and token is None and kept[0] == (parent.keys, window):
            fetch = partial(_already, kept[1])
        return self._ahead.get(token, fetch, self._style.ahead, of=(self._stream, parent.keys, window))

    def _fetch(self, parent: Parent, window: Window, token: Any) -> "Answer | str":
        parts = self._build(parent, window)
        self._style.place(parts, token)
        return self._client.send(parts.finished(), self._rules, self._endpoint.format)

    def _half(self, windows: Windows, window: Window, total: int | None, answer: "Answer") -> Window:
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

    def report(self) -> None:
        """Log what was left out."""
        if self.maker.refused:
            logger.info(f"endpoint '{self._stream}': {self.maker.refused} records were left out by `where`")
        if self._skipped:
            logger.warning(f"endpoint '{self._stream}': {self._skipped} lists were skipped by a rule of `errors`")

    def _reconcile(self, difference: str | None, answer: "Answer") -> None:
        """Report a list that differs from what the API said about it."""
        if difference is not None and self._pages.strict:
            raise answer.refused(difference)
        if difference is not None:
            explained = "records that change while they are read explain a few"
            logger.warning(f"endpoint '{self._stream}': {difference}; {explained}")


def _already(answer: "Answer | str", _token: Any) -> "Answer | str":
    """Fetches nothing: the answer has come before."""
    return answer
