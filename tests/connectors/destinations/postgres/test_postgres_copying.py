"""The text of a batch for COPY."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from bizon.connectors.destinations.postgres.src.copying import copy_text

HARD = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), None]
USUAL = datetime(2026, 2, 28, 23, 59, 59, 7, tzinfo=UTC)


def written(moments: list[datetime | None], zone: str | None = "UTC") -> list[bytes]:
    series = pl.Series("at", moments, dtype=pl.Datetime("us", "UTC")).dt.replace_time_zone(zone)
    return b"".join(copy_text(pl.DataFrame([series]))).splitlines()


@pytest.mark.parametrize("zone", ["UTC", None])
def test_moments_that_recur_are_written_like_others(zone: str | None) -> None:
    own = [USUAL + timedelta(microseconds=number) for number in range(100)]
    apart = [*HARD, *own]
    assert written([moment for moment in apart for _ in range(50)], zone) == [
        line for line in written(apart, zone) for _ in range(50)
    ]
    assert written(apart, zone)[:4] == [
        b"0001-01-01 00:00:00.000000+00",
        b"9999-12-31 23:59:59.999999+00",
        b"\\N",
        b"2026-02-28 23:59:59.000007+00",
    ]


def test_no_moment_at_all_is_null_in_each_row() -> None:
    assert written([None] * 30) == [b"\\N"] * 30
