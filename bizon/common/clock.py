"""The two clocks. Everything that measures time takes one of these as a parameter, so tests can inject their own."""

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
    """Return ``value`` in UTC. A naive value is taken as UTC already."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def microseconds(moment: datetime) -> int:
    """Since 1970, of an aware moment; negative before."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
