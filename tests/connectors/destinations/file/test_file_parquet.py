"""Parquet files merged without decoding, and the metadata that this takes."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import matrices
import polars as pl
import pytest
from connectors.destinations.file.file_runs import Job, ids_in, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from bizon.connectors.destinations.file.src import parquet, publish
from bizon.connectors.destinations.file.src.parquet import can_merge, merge
from bizon.rows.thrift import (
    BINARY,
    BYTE,
    DOUBLE,
    FALSE,
    I16,
    I32,
    I64,
    LIST,
    STRUCT,
    TRUE,
    Reader,
    Value,
    write_struct,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
numbers = st.integers(-(2**63), 2**63 - 1)


def frame(first: int, rows: int) -> pl.DataFrame:
    ids = range(first, first + rows + 3)  # three more, so that the types of no rows are known too
    return pl.DataFrame(
        {
            "id": list(ids),
            "text": [f"é{n}" * (n % 50) if n % 3 else None for n in ids],
            "few": [f"value {n % 4}" for n in ids],
            "when": [NOW] * len(ids),
            "day": [date(2026, 1, 1)] * len(ids),
            "ratio": [n / 7 for n in ids],
            "ok": [n % 2 == 0 for n in ids],
            "list": [[n, None] for n in ids],
        }
    ).head(rows)


def written(folder: Path, frames: list[pl.DataFrame], **options: Any) -> list[Path]:
    paths = [folder / f"{number}.parquet" for number in range(len(frames))]
    for path, each in zip(paths, frames, strict=True):
        each.write_parquet(path, compression="zstd", **options)
    return paths


def merged(folder: Path, paths: list[Path]) -> Path:
    with (folder / "merged.parquet").open("wb") as target:
        merge(paths, target)
    return folder / "merged.parquet"


@settings(max_examples=matrices.examples(25), deadline=None)
@given(sizes=st.lists(st.integers(0, 400), min_size=1, max_size=5), group=st.integers(1, 200))
def test_merged_files_hold_the_rows_of_all_in_order(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], group: int
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    frames = [frame(1_000 * number, size) for number, size in enumerate(sizes)]
    paths = written(folder, frames, row_group_size=group)
    assert can_merge(paths)
    whole = merged(folder, paths)
    assert pl.read_parquet(whole).equals(pl.concat(frames))
    assert (
        pl.scan_parquet(whole)
        .filter(pl.col("id") >= 1_000)
        .collect()
        .equals(pl.concat(frames).filter(pl.col("id") >= 1_000))
    ), "statistics belong to the right row group"
    assert pl.scan_parquet(whole).select(pl.len()).collect().item() == sum(sizes)


def test_a_merged_file_can_be_merged_again(tmp_path: Path) -> None:
    first = merged(tmp_path, written(tmp_path, [frame(0, 10), frame(10, 10)])).rename(tmp_path / "first.parquet")
    again = merged(tmp_path, [first, *written(tmp_path, [frame(20, 5)])])
    assert pl.read_parquet(again).equals(frame(0, 25))


@pytest.mark.parametrize(
    "other", [pl.DataFrame({"a": ["x"]}), pl.DataFrame({"b": [1]}), pl.DataFrame({"a": [1], "b": [1]})]
)
def test_files_of_different_columns_are_not_merged(tmp_path: Path, other: pl.DataFrame) -> None:
    assert not can_merge(written(tmp_path, [pl.DataFrame({"a": [1]}), other]))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 5, b"x" * 100, b"PAR1\xff\xff\xff\xff\x04\0\0\0PAR1"])
def test_only_parquet_files_are_merged(tmp_path: Path, content: bytes) -> None:
    paths = written(tmp_path, [frame(0, 1)])
    (tmp_path / "odd.parquet").write_bytes(content)
    assert not can_merge([*paths, tmp_path / "odd.parquet"])


def test_parts_are_published_without_being_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(sync_mode="incremental", config={"format": "parquet"})
    job.run([["1", "2"], ["3"]])
    monkeypatch.setattr(publish, "aligned", None)
    Job("job2", "incremental", config={"format": "parquet"}).run([["4"], ["5"]])
    assert ids_in(Path("out.parquet")) == ["1", "2", "3", "4", "5"]


def test_a_main_file_of_another_tool_is_decoded_and_kept() -> None:
    rows_of("old").with_columns(more=pl.lit(1)).write_parquet("out.parquet", compression="snappy")
    Job(sync_mode="incremental", config={"format": "parquet"}, adopt=True).run([["1"], ["2"]])
    assert ids_in(Path("out.parquet")) == ["old", "1", "2"]


def test_a_file_that_is_cut_while_it_is_copied_stops_the_publication(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = written(tmp_path, [frame(0, 10), frame(10, 10)])
    monkeypatch.setattr(parquet, "copy_bytes", lambda *_: None)
    with pytest.raises(OSError, match="changed while it was copied"):
        merged(tmp_path, paths)


values = st.deferred(
    lambda: st.one_of(
        st.booleans().map(lambda yes: Value(TRUE if yes else FALSE, yes)),
        st.integers(0, 255).map(lambda n: Value(BYTE, n)),
        st.sampled_from([I16, I32, I64]).flatmap(lambda kind: numbers.map(lambda n: Value(kind, n))),
        st.floats(allow_nan=False).map(lambda n: Value(DOUBLE, n)),
        st.binary(max_size=200).map(lambda content: Value(BINARY, content)),
        st.lists(numbers.map(lambda n: Value(I64, n)), max_size=20).map(lambda items: Value(LIST, items, I64)),
        st.lists(st.booleans().map(lambda yes: Value(TRUE, yes)), max_size=3).map(lambda some: Value(LIST, some, TRUE)),
        structs.map(lambda fields: Value(STRUCT, fields)),
    )
)
structs = st.deferred(lambda: st.dictionaries(st.integers(1, 40), values, max_size=4))


@given(fields=structs)
def test_metadata_that_is_written_is_read_unchanged(fields: dict[int, Value]) -> None:
    assert Reader(write_struct(fields)).struct() == fields


@pytest.mark.parametrize("content", [b"", b"\x15", b"\x1b\x01", b"\x18\x05abc"])
def test_metadata_that_is_torn_or_strange_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="metadata"):
        Reader(content).struct()


def test_metadata_of_a_file_is_written_back_byte_for_byte(tmp_path: Path) -> None:
    (path,) = written(tmp_path, [frame(0, 100)], row_group_size=30)
    content = path.read_bytes()
    length = int.from_bytes(content[-8:-4], "little")
    metadata = content[-8 - length : -8]
    assert write_struct(Reader(metadata).struct()) == metadata
