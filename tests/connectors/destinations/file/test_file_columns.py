"""Columns of a Parquet output whose declared types change between incremental runs."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from connectors.destinations.file.file_runs import Job, rows_of

from bizon.common.errors.errors import DestinationError
from bizon.connectors.destinations.file.src.columns import aligned, has_rows

MAIN = Path("out.parquet")
_PLAN = ("Parquet SCAN", "WITH_COLUMNS", "PROJECT", "SELECT", "Resolved plan", "FROM")


def job(number: int, sync_mode: str = "incremental", **columns: str) -> Job:
    schema = [{"name": name, "type": kind} for name, kind in columns.items()]
    record_schemas = [{"destination_id": "out", "record_schema": schema}]
    return Job(
        f"job{number}", sync_mode, config={"format": "parquet", "unnest": True, "record_schemas": record_schemas}
    )


def load(now: Job, *records: dict[str, Any]) -> None:
    destination = now.prepared()
    ids = [str(number) for number in range(len(records))]
    assert now.write(destination, 0, 0, rows_of(*ids, data=list(records))) == (True, None)
    now.commit(0, len(records))
    now.publish(destination)
    destination.close()


def refused(now: Job) -> str:
    """The run stops before it fetches, in one line, and the output stays as it is."""
    before = MAIN.read_bytes()
    with pytest.raises(DestinationError) as error:
        now.prepared()
    text = str(error.value)
    assert "column 'c'" in text
    assert str(MAIN) in text
    assert "stream reset" in text
    assert "\n" not in text
    assert not any(word in text for word in _PLAN)
    assert MAIN.read_bytes() == before
    now.destination = now.open()
    return text


def test_integers_that_become_floats_are_appended_where_every_value_is_the_same() -> None:
    load(job(1, c="integer"), {"c": 2**53}, {"c": -7})
    load(job(2, c="float"), {"c": 0.5})
    found = pl.read_parquet(MAIN)["c"]
    assert found.dtype == pl.Float64
    assert found.to_list() == [2.0**53, -7.0, 0.5]


def test_integers_that_no_float_equals_are_refused_before_anything_is_fetched() -> None:
    load(job(1, c="integer"), {"c": 2**53 + 1})
    assert "no floating-point number is equal to" in refused(job(2, c="float"))
    load(job(3, c="integer"), {"c": 5})
    assert pl.read_parquet(MAIN)["c"].to_list() == [2**53 + 1, 5], "going back to the old type works"


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), -(2**53) - 1])
def test_the_largest_integers_are_not_taken_for_exact(value: int) -> None:
    load(job(1, c="integer"), {"c": value})
    if value == -(2**63):
        load(job(2, c="float"), {"c": 0.5})
        assert pl.read_parquet(MAIN)["c"].to_list() == [-(2.0**63), 0.5]
    else:
        refused(job(2, c="float"))


def test_floats_that_become_integers_stay_floats_and_inexact_ones_are_refused() -> None:
    load(job(1, c="float"), {"c": 0.5})
    load(job(2, c="integer"), {"c": 7})
    assert pl.read_parquet(MAIN)["c"].to_list() == [0.5, 7.0]
    now = job(3, c="integer")
    destination = now.prepared()
    now.write(destination, 0, 0, rows_of("0", data=[{"c": 2**53 + 1}]))
    now.commit(0, 1)
    with pytest.raises(DestinationError, match=r"column 'c' .*no floating-point number is equal to"):
        now.publish(destination)
    assert pl.read_parquet(MAIN)["c"].to_list() == [0.5, 7.0]


@pytest.mark.parametrize(
    ("old", "value", "new"),
    [
        ("string", "1", "integer"),
        ("date", "2024-01-02", "datetime"),
        ("integer", 1, "string"),
        ("boolean", True, "integer"),
        ("datetime", "2024-01-02T03:04:05Z", "string"),
    ],
)
def test_a_type_that_cannot_be_kept_is_refused_by_name_and_the_old_one_still_works(
    old: str, value: Any, new: str
) -> None:
    load(job(1, c=old), {"c": value})
    refused(job(2, c=new))
    load(job(3, c=old), {"c": value})
    assert pl.read_parquet(MAIN).height == 2


def test_after_a_refusal_a_reset_replaces_the_output() -> None:
    load(job(1, c="string"), {"c": "x"})
    refused(job(2, c="integer"))
    load(job(3, "full_refresh", c="integer"), {"c": 1})  # as after `bizon stream reset`
    load(job(4, c="integer"), {"c": 2})
    assert pl.read_parquet(MAIN)["c"].to_list() == [1, 2]


@pytest.mark.parametrize("place", ["old", "new"])
def test_a_column_of_nulls_has_any_type(tmp_path: Path, place: str) -> None:
    frames = [pl.DataFrame({"c": [None]}, schema={"c": pl.Null}), pl.DataFrame({"c": ["x"]})]
    for number, frame in enumerate(frames if place == "old" else reversed(frames)):
        frame.write_parquet(tmp_path / f"{number}.parquet")
    parts = aligned([tmp_path / "0.parquet", tmp_path / "1.parquet"])
    found = pl.concat(parts, how="diagonal").collect()["c"]
    assert found.dtype == pl.String
    assert set(found.to_list()) == {None, "x"}


def test_an_output_without_rows_takes_any_columns() -> None:
    job(1, c="string").run([[]])
    load(job(2, c="integer"), {"c": 1})
    assert pl.read_parquet(MAIN)["c"].to_list() == [1]


@pytest.mark.parametrize(("content", "has"), [(None, False), (b"", False), (b"not parquet", True)])
def test_an_output_has_rows_unless_it_is_gone_or_empty(tmp_path: Path, content: bytes | None, has: bool) -> None:
    path = tmp_path / "x.parquet"
    if content is not None:
        path.write_bytes(content)
    assert has_rows(path) is has
