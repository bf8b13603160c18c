"""Waits that end when the run must end. Whatever waits on a thread of a run waits by ``pause``.

The runner names the flag of the run with ``ends_with``; a session takes it when it is made, since a connector may use
it on other threads too. ``within`` bounds what is retried, for checks that must answer soon.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from bizon.common.clock import Monotonic, monotonic
from bizon.common.errors.errors import StoppedError

_LOOK_EVERY = 0.1  # seconds; how late a wait sees that it must end


class StopSign(Protocol):
    """Whether the run must end."""

    def is_set(self) -> bool: ...


_sign: ContextVar[StopSign | None] = ContextVar("sign", default=None)
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def ends_with(sign: StopSign) -> Iterator[None]:
    """Within, on this thread: waits end once ``sign`` is set."""
    token = _sign.set(sign)
    try:
        yield
    finally:
        _sign.reset(token)


@contextmanager
def within(seconds: float, clock: Monotonic = monotonic) -> Iterator[None]:
    """Within, on this thread: nothing is retried once so many seconds have passed."""
    token = _deadline.set(clock() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def stop_sign() -> StopSign | None:
    """The flag of the run that this thread works for; None outside a run."""
    return _sign.get()


def was_stopped(error: BaseException | None) -> bool:
    """Whether an error comes from a wait that was ended, however a source has wrapped it."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if isinstance(error, StoppedError):
            return True
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False


def is_in_time(wait: float, clock: Monotonic = monotonic) -> bool:
    """Whether another try after ``wait`` seconds is still within the bound, if there is one."""
    deadline = _deadline.get()
    return deadline is None or clock() + wait <= deadline


def pause(
    seconds: float,
    sign: StopSign | None,
    *,
    clock: Monotonic = monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait. Raises StoppedError as soon as ``sign`` is set, also when there is nothing to wait for."""
    until = clock() + seconds
    while True:
        if sign is not None and sign.is_set():
            raise StoppedError
        left = until - clock()
        if left <= 0:
            return
        sleep(min(left, _LOOK_EVERY))


def rest(seconds: float) -> None:
    """Wait, on a thread that works for a run; for connectors, in place of ``time.sleep``. Raises StoppedError as soon
    as the run must end."""
    pause(seconds, stop_sign())
