"""Durations as ISO 8601 writes them."""

from datetime import timedelta


def duration(value: timedelta) -> str:
    """ISO 8601, for example ``P1DT2H`` or ``-PT0.5S``."""
    total = (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds
    return iso_duration(0, 0, total) if total >= 0 else f"-{iso_duration(0, 0, -total)}"


def iso_duration(months: int, days: int, microseconds: int) -> str:
    """ISO 8601 of an interval. The parts are independent: a month has no fixed number of days."""
    if months == days == 0:
        whole_days, microseconds = divmod(microseconds, 86_400_000_000)
        days = whole_days
    sign = -1 if microseconds < 0 else 1
    minutes, micros = divmod(abs(microseconds), 60_000_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{micros / 1_000_000:.6f}".rstrip("0").rstrip(".")
    dates = "".join(f"{part}{unit}" for part, unit in ((months, "M"), (days, "D")) if part)
    times = "".join(f"{sign * part}{unit}" for part, unit in ((hours, "H"), (minutes, "M")) if part)
    if seconds != "0":
        times += f"{'-' if sign < 0 else ''}{seconds}S"
    return f"P{dates}{'T' + times if times else ''}" if dates or times else "PT0S"
