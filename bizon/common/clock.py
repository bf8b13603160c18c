"""Wall-clock time, always aware and in UTC. Ages and time-outs use ``time.monotonic``."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


def as_utc(value: datetime) -> datetime:
    """``value`` in UTC. A naive value is assumed to be in UTC."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def microseconds(moment: datetime) -> int:
    """Microseconds from 1970 to an aware moment; negative before 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
