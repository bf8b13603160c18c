"""Waits that end when the run must end. All code on a thread of a run waits by ``pause``, and retries by ``back_off``.

The runner names the stop flag of the run with ``ends_with``. A session takes the flag when it is created, since a
connector may use the session on other threads too. ``within`` bounds the retries of checks that must answer soon.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from random import uniform
from time import monotonic
from typing import Protocol

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
def within(seconds: float, clock: Callable[[], float] = monotonic) -> Iterator[None]:
    """Within, on this thread: nothing is retried once this many seconds have passed."""
    token = _deadline.set(clock() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def stop_sign() -> StopSign | None:
    """The flag of the run that this thread works for; None outside a run."""
    return _sign.get()


class Closing:
    """A stop flag for a source that fetches on threads of its own: set when the run must end, or when the source is
    closed. After an error no thread waits for its next attempt then. Created on the thread of the run."""

    def __init__(self) -> None:
        self._run = stop_sign()
        self._is_closed = False

    def is_set(self) -> bool:
        return self._is_closed or (self._run is not None and self._run.is_set())

    def close(self) -> None:
        self._is_closed = True


def was_stopped(error: BaseException | None) -> bool:
    """Whether an error comes from a wait that ended early, however a source has wrapped it."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if isinstance(error, StoppedError):
            return True
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False


def is_in_time(wait: float, clock: Callable[[], float] = monotonic) -> bool:
    """Whether a retry after ``wait`` seconds is still within the bound, if there is one."""
    deadline = _deadline.get()
    return deadline is None or clock() + wait <= deadline


def pause(
    seconds: float,
    sign: StopSign | None,
    *,
    clock: Callable[[], float] = monotonic,
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
    """Wait on a thread of a run; for connectors, instead of ``time.sleep``. Raises StoppedError as soon as the run must
    end."""
    pause(seconds, stop_sign())


def doubling(first: float, longest: float) -> Iterator[float]:
    """Seconds to wait before each retry: ``first``, then twice as long each time, up to ``longest``. Never ends."""
    wait = first
    while True:
        yield min(wait, longest)
        wait = min(wait * 2, longest)


class Attempt:
    """One attempt of ``back_off``. ``number`` counts from 1. ``wait``: seconds before the next attempt; the caller may
    change it to the wait that a server asks for."""

    def __init__(self, number: int, wait: float, is_last: Callable[[], bool]) -> None:
        self.number = number
        self.wait = wait
        self._is_last = is_last

    @cached_property
    def is_last(self) -> bool:
        """True when no attempt follows; ask once this one has failed, since the patience may have run out meanwhile."""
        return self._is_last()


def back_off(
    first: float,
    longest: float,
    *,
    tries: int | None = None,
    patience: float | None = None,
    spread: float = 0,
    sleep: Callable[[float], None] = rest,
    clock: Callable[[], float] = monotonic,
) -> Iterator[Attempt]:
    """Attempts at something that may fail for a short time, with waits between them that double up to ``longest``
    seconds::

        for attempt in back_off(1, 15, tries=6):
            try:
                return send()
            except Unreachable:
                if attempt.is_last:
                    raise
                logger.warning(f"unreachable; retrying in {attempt.wait:g} s")

    Ends after ``tries`` attempts, or once an attempt fails more than ``patience`` seconds after the first began; never,
    without a bound. ``spread``: the share of each wait, 0 to 1, by which it is longer or shorter at random, so that
    those who have failed together do not meet again. ``rest`` raises StoppedError when the run must end; pass another
    ``sleep`` for work that must be finished even then. A wait of 0 seconds does not call ``sleep``.
    """
    began = clock()
    for number, wait in enumerate(doubling(first, longest), start=1):

        def is_last(number: int = number) -> bool:
            return number == tries or (patience is not None and clock() - began > patience)

        attempt = Attempt(number, wait * uniform(1 - spread, 1 + spread), is_last)
        yield attempt
        if attempt.is_last:
            return
        if attempt.wait:
            sleep(attempt.wait)
