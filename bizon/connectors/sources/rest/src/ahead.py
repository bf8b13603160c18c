"""Pages that are asked for before their turn, and handed over in order."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Ahead:
    """Keeps up to ``workers`` requests under way. Used on the thread that fetches.

    Pages belong to a list, ``key``. The first page that is read of a list is asked for alone: it may be the only one. A
    page that is not wanted after all, since the list ended or a page was shorter than expected, is dropped, and so is
    its error.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, "rest") if workers > 1 else None
        self._key: Any = None
        self._waiting: dict[Any, Future[Any]] = {}
        self._kept: tuple[Any, Any] | None = None

    def keep(self, key: Any, answer: Any) -> None:
        """Keep the answer for the first page of a list, until it is asked for, or another page is."""
        self._kept = (key, answer)

    def get(self, key: Any, token: Any, fetch: Callable[[Any], Any], ahead: Callable[[Any], Any]) -> Any:
        """The page: the result of ``fetch(token)``, or its error. ``ahead``: the token after a token, None when that is
        not known."""
        kept, self._kept = self._kept, None
        is_first, self._key = token is None or key != self._key, key
        if kept is not None and token is None and kept[0] == key:
            return kept[1]
        if self._pool is None or is_first:
            self.drop()
            return fetch(token)
        if token not in self._waiting:
            self.drop()
        following = token
        while following is not None and len(self._waiting) < self._workers:
            if following not in self._waiting:
                self._waiting[following] = self._pool.submit(fetch, following)
            following = ahead(following)
        return self._waiting.pop(token).result()

    def drop(self) -> None:
        """Forget the pages that wait. Requests under way end by themselves."""
        for each in self._waiting.values():
            each.cancel()
        self._waiting.clear()

    def close(self) -> None:
        """End the threads, once their requests have ended."""
        self.drop()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
