"""Text that is a date or a moment, in columns. Text that a column would keep only in part is neither."""

import polars as pl

from bizon.rows.frames import UTC_MICROSECONDS

_DATE = r"^\d{4}-\d\d-\d\d$"
_MOMENT = (
    r"^\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6}0*)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$"
)
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # microseconds: years 1 to 9999
_FIRST_DAY, _LAST_DAY = _FIRST // 86_400_000_000, _LAST // 86_400_000_000


def dates(texts: pl.Series) -> pl.Series:
    """ISO dates of the years 1 to 9999, ``2024-12-31``; null for any other text."""
    found = _where(texts, _DATE).str.to_date("%Y-%m-%d", strict=False)
    return _between(found, _FIRST_DAY, _LAST_DAY)


def moments(texts: pl.Series) -> pl.Series:
    """RFC 3339 moments of the years 1 to 9999 in UTC, ``2024-12-31T23:59:59.5+01:00``; null for any other text: one
    without an offset, one with more than microseconds, a leap second."""
    clean = _where(texts, _MOMENT)
    zulu = clean.str.ends_with("Z") & (clean.str.len_bytes() == len("2024-12-31T23:59:59Z"))
    if zulu.all() and not clean.str.contains(" |t").any():
        found = clean.str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", strict=False)
        return _between(found.dt.replace_time_zone("UTC"), _FIRST, _LAST)
    day, rest = clean.str.head(10), clean.str.slice(11).str.replace("[Zz]$", "+00:00")
    text = pl.select(pl.concat_str([day, pl.lit("T"), rest])).to_series()
    found = text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", time_zone="UTC", strict=False)
    return _between(found.cast(UTC_MICROSECONDS), _FIRST, _LAST)


def _where(texts: pl.Series, pattern: str) -> pl.Series:
    fits = texts.str.contains(pattern)
    return texts if fits.all() else texts.zip_with(fits.fill_null(False), pl.Series([None], dtype=pl.String))


def _between(found: pl.Series, first: int, last: int) -> pl.Series:
    known = found.to_physical().is_between(first, last).fill_null(False)
    return found if known.all() else found.zip_with(known, pl.Series([None], dtype=found.dtype))
