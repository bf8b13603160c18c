"""Wall-clock time, always aware and in UTC. Ages and time-outs use ``time.monotonic``."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_fixed: ContextVar[datetime | None] = ContextVar("fixed", default=None)


def utc_now() -> datetime:
    """The time of this machine."""
    return _fixed.get() or datetime.now(UTC)


@contextmanager
def fixed_at(moment: datetime) -> Iterator[None]:
    """Within, on this thread: ``utc_now`` is this moment. For recordings, whose requests must be the same when they are
    replayed."""
    token = _fixed.set(moment)
    try:
        yield
    finally:
        _fixed.reset(token)


def as_utc(value: datetime) -> datetime:
    """``value`` in UTC. A naive value is assumed to be in UTC."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def microseconds(moment: datetime) -> int:
    """Microseconds from 1970 to an aware moment; negative before 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
