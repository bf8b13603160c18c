"""Work on a thread of its own."""

from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")


def started(work: Callable[[], Result], name: str) -> Future[Result]:
    """The future result of work that runs on a new daemon thread, whose log records name the stream as here. Any
    exception becomes the one of the future, SystemExit and the like too."""
    future: Future[Result] = Future()
    surroundings = copy_context()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the thread that waits handles SystemExit and the like too
            future.set_exception(error)

    Thread(target=surroundings.run, args=(run,), name=name, daemon=True).start()
    return future
