"""Calls of a client library that may never return, waited for within a limit."""

from collections.abc import Callable
from threading import Thread
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class BoundedCalls(Generic[Result]):
    """Makes each call on a daemon thread of its own and waits for it at most ``seconds``.

    For calls without a timeout, such as the synchronous commit of librdkafka, which at times outlives its broker. No
    second call begins while one has not returned. The caller must not close or destroy the client while ``is_stuck``:
    the thread still uses it. Not safe to share between threads.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._late: Thread | None = None

    @property
    def is_stuck(self) -> bool:
        """True while a call that was given up has not returned."""
        return self._late is not None and self._late.is_alive()

    def call(self, function: Callable[[], Result]) -> Result:
        """The result of ``function``, or the error that it raises. Raises TimeoutError when it has not returned in
        time, or an earlier call has not."""
        if self._late is not None and not self._returns(self._late):
            raise TimeoutError(f"an earlier call has not returned, {self._seconds:g} more seconds later")
        outcome: dict[str, Any] = {}
        thread = Thread(target=_call, args=(function, outcome), name="bounded-call", daemon=True)
        thread.start()
        if not self._returns(thread):
            raise TimeoutError(f"the call has not returned within {self._seconds:g} seconds")
        if "error" in outcome:
            raise outcome["error"]
        result: Result = outcome["result"]
        return result

    def _returns(self, thread: Thread) -> bool:
        thread.join(self._seconds)
        self._late = thread if thread.is_alive() else None
        return self._late is None


def _call(function: Callable[[], Any], outcome: dict[str, Any]) -> None:
    try:
        outcome["result"] = function()
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is wanted
        outcome["error"] = error
