"""A frame as JSON: the rules for a column also hold for the fields of structs and the items of lists."""

import json
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from bizon.rows.frames import RecordError
from bizon.rows.pages import page_to_frame
from bizon.source.models import RecordFrame

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOON = datetime(2024, 1, 1, 12)
MOMENTS = [pl.Datetime(unit, zone) for unit in ("ms", "us", "ns") for zone in (None, "UTC", "Europe/Paris")]
VALUES: list[tuple[pl.Series, Any]] = [
    (pl.Series([NOON]), "2024-01-01T12:00:00+00:00"),
    *((pl.Series([NOON]).cast(pl.Datetime(unit)), "2024-01-01T12:00:00+00:00") for unit in ("ms", "ns")),
    (pl.Series([NOON]).dt.replace_time_zone("UTC"), "2024-01-01T12:00:00+00:00"),
    (pl.Series([NOON]).dt.replace_time_zone("Europe/Paris"), "2024-01-01T12:00:00+01:00"),
    (pl.Series([date(2024, 1, 2)]), "2024-01-02"),
    (pl.Series([time(1, 2, 3)]), "01:02:03"),
    (pl.Series([timedelta(seconds=90)]), "PT90S"),
    (pl.Series([Decimal("1.10")]), "1.10"),
    (pl.Series(["a"], dtype=pl.Categorical), "a"),
    (pl.Series(["a"], dtype=pl.Enum(["a"])), "a"),
    (pl.Series([math.nan]), None),
    (pl.Series([-math.inf]), None),
    (pl.Series([0.1], dtype=pl.Float32), 0.1),
    (pl.Series([2**64 - 1], dtype=pl.UInt64), 2**64 - 1),
    (pl.Series([-(2**100)], dtype=pl.Int128), -(2**100)),
    (pl.Series([True]), True),
    (pl.Series([None]), None),
    (pl.Series([None], dtype=pl.Datetime("us")), None),
    (pl.Series(['é"\n\x01']), 'é"\n\x01'),
]
NO_VALUE = object()
PLACES = {
    "column": lambda: pl.col("v"),
    "struct": lambda: pl.struct(a=pl.lit(1), v="v"),
    "struct in a struct": lambda: pl.struct(s=pl.struct("v")),
    "list": lambda: pl.col("v").implode().over("id"),
    "list of structs": lambda: pl.struct("v").implode().over("id"),
    "struct with a list of lists": lambda: pl.struct(l=pl.col("v").implode().over("id").reshape((-1, 1))),
    "array": lambda: pl.col("v").reshape((-1, 1)),
}


def inner(value: Any) -> Any:
    """The one value inside."""
    while isinstance(value, dict | list):
        value = value["v"] if isinstance(value, dict) and "v" in value else next(iter(_items(value)))
    return value


def _items(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("series", "expected"), VALUES, ids=[str(series.dtype) for series, _ in VALUES])
def test_a_value_is_written_the_same_at_every_depth(series: pl.Series, expected: Any, place: str) -> None:
    """A naive moment inside a struct used to be written as 2024-01-01 12:00:00."""
    frame = pl.DataFrame({"id": [1], "v": series}).select("id", x=PLACES[place]())
    page = page_to_frame(RecordFrame(frame), NOW)
    assert inner(json.loads(page["data"][0])["x"]) == expected


def test_nulls_stay_nulls_at_every_depth() -> None:
    frame = pl.DataFrame(
        {
            "id": [1, 2, 3],
            "s": [{"at": NOON, "n": 1}, None, {"at": None, "n": 2}],
            "l": [[NOON, None], None, []],
            "ls": [[{"at": NOON}, None], [], None],
        }
    )
    first, second, third = (json.loads(text) for text in page_to_frame(RecordFrame(frame), NOW)["data"])
    text = "2024-01-01T12:00:00+00:00"
    assert first == {"id": 1, "s": {"at": text, "n": 1}, "l": [text, None], "ls": [{"at": text}, None]}
    assert second == {"id": 2, "s": None, "l": None, "ls": []}
    assert third == {"id": 3, "s": {"at": None, "n": 2}, "l": [], "ls": None}
    assert page_to_frame(RecordFrame(frame.clear()), NOW).is_empty()


FAR = {
    "datetime us": pl.Series([0, 2**63 - 1, None, -(2**63)], dtype=pl.Int64).cast(pl.Datetime("us")),
    "datetime ms": pl.Series([0, 2**62, None, -(2**63)], dtype=pl.Int64).cast(pl.Datetime("ms", "UTC")),
    "date": pl.Series([0, 2**31 - 1, None, -(2**31)], dtype=pl.Int32).cast(pl.Date),
    "duration": pl.Series([0, 2**63 - 1, None, -(2**63)], dtype=pl.Int64).cast(pl.Duration("ms")),
}


@pytest.mark.parametrize("place", [place for place in PLACES if place != "array"])
@pytest.mark.parametrize("kind", FAR)
def test_a_moment_beyond_the_calendar_is_refused_alone_and_no_panic(kind: str, place: str, capfd: Any) -> None:
    frame = pl.DataFrame({"id": [1, 2, 3, 4], "v": FAR[kind]}).select("id", x=PLACES[place]())
    page = page_to_frame(RecordFrame(frame), NOW, refuse=True)
    assert page["reason"].is_not_null().to_list() == [False, True, False, True]
    assert page["reason"][1] == "row 1 of the page has a moment in column 'x' beyond the calendar"
    assert inner(json.loads(page["data"][0])["x"]) is not None
    assert inner(json.loads(page["data"][1])["x"]) is None
    with pytest.raises(RecordError, match="row 1 of the page has a moment in column"):
        page_to_frame(RecordFrame(frame), NOW)
    assert "panicked" not in capfd.readouterr().err


@pytest.mark.parametrize("dtype", MOMENTS, ids=str)
def test_the_timestamp_of_a_row_is_taken_from_any_column_of_moments(dtype: pl.Datetime) -> None:
    at = pl.Series([NOON, None]).dt.replace_time_zone(dtype.time_zone).cast(dtype)
    page = page_to_frame(RecordFrame(pl.DataFrame({"id": [1, 2], "at": at}), timestamp="at"), NOW)
    hours = 11 if dtype.time_zone == "Europe/Paris" else 12
    assert page["timestamp"].to_list() == [datetime(2024, 1, 1, hours, tzinfo=UTC), NOW]


def test_a_timestamp_that_no_calendar_has_is_refused_alone() -> None:
    at = pl.Series([0, 2**61], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
    page = page_to_frame(RecordFrame(pl.DataFrame({"id": [1, 2], "at": at}), timestamp="at"), NOW, refuse=True)
    assert page["reason"].to_list() == [None, "row 1 of the page has a 'at' outside the years 1 to 9999"]
    assert page["timestamp"].to_list() == [datetime(1970, 1, 1, tzinfo=UTC), NOW]
