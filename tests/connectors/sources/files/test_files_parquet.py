"""Parquet: exact values, nested types, and pages that do not depend on where a run resumes."""

import json
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from connectors.sources.files.files_kit import read, source

from bizon.common.errors.errors import SourceFetchError


def test_values_of_every_type(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    moment = datetime(2024, 5, 1, 10, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    frame = pl.DataFrame(
        {
            "big": pl.Series([2**64 - 1], dtype=pl.UInt64),
            "price": pl.Series([Decimal("12345678901234567890.10")], dtype=pl.Decimal(38, 2)),
            "at": pl.Series([moment]).dt.convert_time_zone("Europe/Berlin"),
            "naive": [datetime(2024, 5, 1, 10)],
            "nano": pl.Series([datetime(2024, 5, 1)], dtype=pl.Datetime("ns")),
            "day": [date(2024, 5, 1)],
            "clock": [time(10, 30)],
            "bytes": [b"\xff\0"],
            "list": [[b"a", None]],
            "nested": [{"b": b"z", "items": [{"raw": b"q", "price": Decimal("1.50")}], "none": None}],
            "nan": [float("nan")],
            "text": ['é"\n'],
            "flag": [True],
        }
    )
    frame.write_parquet(path)
    (record,) = read(path=str(path)).data
    assert record["big"] == 2**64 - 1
    assert record["price"] == "12345678901234567890.10"
    assert datetime.fromisoformat(record["at"]) == moment
    assert record["naive"].startswith("2024-05-01T10:00:00")
    assert record["naive"].endswith(("Z", "+00:00"))
    assert (record["day"], record["clock"][:5], record["flag"]) == ("2024-05-01", "10:30", True)
    assert (record["bytes"], record["list"], record["nan"]) == ("/wA=", ["YQ==", None], None)
    assert record["nested"] == {"b": "eg==", "items": [{"raw": "cQ==", "price": "1.50"}], "none": None}
    assert record["text"] == 'é"\n'


def test_rows_keep_their_order_across_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"n": range(10_000), "t": ["x" * 50] * 10_000}).write_parquet(path, row_group_size=700)
    found = read(path=str(path), piece_size=20_000)
    assert len(found.frames) > 10
    assert [each["n"] for each in found.data] == list(range(10_000))
    assert found.ids[9_999] == f"{path}#10000"
    for frame, position in list(zip(found.frames[1:], found.paginations, strict=False))[:3]:
        assert read(position, path=str(path), piece_size=20_000).frames[0]["id"].to_list() == frame["id"].to_list()


def test_ids_from_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"k": [7, None, 9], "raw": [b"a", b"b", b"c"]}).write_parquet(path)
    found = read(path=str(path), id="k")
    assert found.ids == ["7", f"{path}#2", "9"]
    assert found.reasons == [f"{path}, row 2 has no 'k' to identify it by"]
    assert found.refused == [{"k": None, "raw": "Yg=="}]
    assert json.loads(read(path=str(path), id=["k", "raw"]).ids[0]) == ["7", "YQ=="]
    with pytest.raises(SourceFetchError, match=r"no column 'x' of source\.id, it has: k, raw"):
        read(path=str(path), id="x")


def test_a_moment_beyond_the_calendar_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"at": pl.Series([0, 2**63 - 1], dtype=pl.Int64).cast(pl.Datetime("us"))}).write_parquet(path)
    found = read(path=str(path))
    assert len(found.data) == 1
    assert found.reasons == [f"{path}, row 2 has a moment in 'at' beyond the calendar"]


def test_the_path_is_added(tmp_path: Path) -> None:
    folder = tmp_path / "day=1"
    folder.mkdir()
    pl.DataFrame({"a": [1]}).write_parquet(folder / "a.parquet")
    path = str(folder / "a.parquet")
    assert read(path=path, include_path=True).data == [
        {"_file_path": path, "_file_name": "a.parquet", "_file_day": "1", "a": 1}
    ]
    assert read(path=path).data == [{"a": 1}], "a folder becomes a column only on request"


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    pl.DataFrame(schema={"a": pl.Int64}).write_parquet(tmp_path / "a.parquet")
    assert read(path=str(tmp_path / "a.parquet")).ids == []


def test_a_name_with_wildcards_and_without_extension(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a[1]*")
    assert read(path=str(tmp_path / "a[1]*")).data == [{"a": 1}]


@pytest.mark.parametrize("cut", [0, 4, 100])
def test_a_file_that_is_cut_off_is_an_error(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"n": range(1000)}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(SourceFetchError, match="cannot be read as Parquet"):
        read(path=str(path))


def test_a_file_that_changes_while_polars_reads_it_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"n": range(10)}).write_parquet(path)
    usual = pl.LazyFrame.collect

    def late(frame: pl.LazyFrame, **keys: Any) -> Any:
        found = usual(frame, **keys)
        path.write_bytes(path.read_bytes() + b"more")
        return found

    opened = source(path=str(path))
    monkeypatch.setattr(pl.LazyFrame, "collect", late)
    with pytest.raises(SourceFetchError, match="has changed while it was read"):
        opened.get({})
    opened.close()


def test_a_file_that_changes_between_two_pages_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"n": range(10_000)}).write_parquet(path)
    opened = source(path=str(path), piece_size=10_000)
    page = opened.get({})
    pl.DataFrame({"n": range(1, 10_001)}).write_parquet(path)
    with pytest.raises(SourceFetchError, match="has changed while it was read"):
        opened.get(page.next_pagination)
    opened.close()
