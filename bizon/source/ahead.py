"""Pages that are asked for before their turn, and handed over in order.

For lists in which the place of a page is known before the page before it has arrived: numbers, offsets, ranges, ids.
"""

from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

from bizon.common.waiting import Closing, ends_with

Token = TypeVar("Token", bound=Hashable)
Page = TypeVar("Page")

_REACH = 2  # pages of each worker that may be under way or waiting: one slow answer does not idle the others


class Ahead(Generic[Token, Page]):
    """Keeps up to ``workers`` requests under way. Made and used on the thread that calls ``get`` of a source.

    A request runs on a thread of its own, by the session of the source and so at its pace. The first page of a list is
    asked for alone, on the calling thread: it may be the only one. Up to twice as many pages as there are workers are
    asked for or wait in memory. A page that is not wanted after all, since the list ended, is dropped, and so is its
    error. With one worker nothing is asked for ahead.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._tasks: SimpleQueue[Callable[[], bool]] = SimpleQueue()
        self._threads: list[Thread] = []
        self._waiting: dict[Token, Future[Page]] = {}
        self._list: tuple[Any] | None = None
        self._closing = Closing()

    def get(
        self,
        token: Token,
        fetch: Callable[[Token], Page],
        following: Callable[[Token], Token | None],
        *,
        of: Any = None,
    ) -> Page:
        """The page that a token names: the result of ``fetch(token)``, or its error.

        ``following``: the token after a token, as far as it is known without the page; None when it is not. ``of``: the
        list that the page belongs to, of a source that reads several. A first page may have the token None.
        """
        is_first, self._list = token is None or self._list != (of,), (of,)
        if self._workers == 1 or is_first:
            self._keep([])
            return fetch(token)
        wanted = list(self._chain(token, following))
        self._keep(wanted)
        for each in wanted:
            if each not in self._waiting:
                self._waiting[each] = self._asked(fetch, each)
        return self._waiting.pop(token).result()

    def ask(self, token: Token, fetch: Callable[[Token], Page]) -> None:
        """Ask for the next page of a list as soon as its token is known, for a source that has work to do until then.
        Every other page that waits is dropped."""
        self._keep([token])
        if self._workers > 1 and token not in self._waiting:
            self._waiting[token] = self._asked(fetch, token)

    def close(self, *, wait: bool = False) -> None:
        """End the threads. Waits before a retry end now; requests under way end by themselves, and keep no process.
        ``wait``: until they have ended, for connections that must not be closed under them."""
        self._closing.close()
        self._keep([])
        for _ in self._threads:
            self._tasks.put(lambda: False)
        for thread in self._threads if wait else ():
            thread.join()

    def _chain(self, token: Token | None, following: Callable[[Token], Token | None]) -> Iterator[Token]:
        for _ in range(_REACH * self._workers):
            if token is None:
                return
            yield token
            token = following(token)

    def _keep(self, wanted: list[Token]) -> None:
        """Forget the pages that wait, except for these."""
        for each in self._waiting.keys() - wanted:
            self._waiting.pop(each).cancel()

    def _asked(self, fetch: Callable[[Token], Page], token: Token) -> Future[Page]:
        future: Future[Page] = Future()
        self._tasks.put(partial(copy_context().run, self._answer, future, fetch, token))
        if len(self._threads) < self._workers:
            thread = Thread(target=self._work, name=f"bizon-ahead-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def _work(self) -> None:
        while self._tasks.get()():  # no variable: it would keep the last page in memory
            pass

    def _answer(self, future: Future[Page], fetch: Callable[[Token], Page], token: Token) -> bool:
        if future.set_running_or_notify_cancel():
            try:
                with ends_with(self._closing):
                    future.set_result(fetch(token))
            except BaseException as error:  # noqa: BLE001 - it is raised where the page is wanted
                future.set_exception(error)
        return True
