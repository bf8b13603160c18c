"""The two clocks. Code that measures time takes one of them as a parameter, so tests can inject their own."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Monotonic = Callable[[], float]
"""Seconds from an arbitrary start; never jumps back. For ages and time-outs."""

monotonic: Monotonic = time.monotonic
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_now() -> datetime:
    """Wall-clock time, always aware and in UTC."""
    return datetime.now(UTC)


def as_utc(value: datetime) -> datetime:
    """``value`` in UTC. A naive value is assumed to be in UTC."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def microseconds(moment: datetime) -> int:
    """Microseconds from 1970 to an aware moment; negative before 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
