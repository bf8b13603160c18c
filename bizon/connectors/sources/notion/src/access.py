"""Requests of several workers, and objects that are not shared with the connection."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bizon.common.safe_log import logger
from bizon.connectors.sources.notion.src.client import NotSharedError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Access:
    """Sends requests on up to ``workers`` threads, and decides what happens when an object is not shared: ``skips``
    leaves it out, counts it in ``skipped`` and logs it; otherwise the error ends the run. Used on the thread that
    fetches."""

    def __init__(self, workers: int, skips: bool) -> None:
        self.workers = workers
        self.skipped = 0
        self._skips = skips
        self._pool = ThreadPoolExecutor(workers, "notion") if workers > 1 else None

    def all_of(self, fetch: Callable[[Item], Result], items: list[Item]) -> list[Result | None]:
        """``fetch`` of each item, in order; None for one that was left out."""
        if self._pool is None or len(items) < 2:
            return [self.one(fetch, item) for item in items]
        results = [self._pool.submit(fetch, item) for item in items]
        try:
            return [self.one(lambda future: future.result(), each) for each in results]
        finally:
            for each in results:
                each.cancel()

    def one(self, fetch: Callable[[Item], Result], item: Item) -> Result | None:
        """``fetch`` of one item; None when it was left out."""
        try:
            return fetch(item)
        except NotSharedError as error:
            if not self._skips:
                raise
            self.skipped += 1
            logger.warning(f"Skipped, {self.skipped} so far: {error}")
            return None

    def close(self) -> None:
        """End the threads, once their requests have ended."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
