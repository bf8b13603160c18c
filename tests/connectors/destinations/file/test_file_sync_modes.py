"""The rows that a reader of the file sees after each run."""

from pathlib import Path

import polars as pl
import pytest
from connectors.destinations.file.file_runs import Job, ids_in, rows_of, written_state

FORMATS = pytest.mark.parametrize("format", ["json", "parquet"])


@FORMATS
def test_full_refresh_replaces_the_file(format: str) -> None:
    main = Path(f"out.{format}")
    Job("job1", config={"format": format}).run([["1", "2"], ["3"]])
    Job("job2", config={"format": format}).run([["4"]])
    assert ids_in(main) == ["4"]


@FORMATS
def test_incremental_appends_to_the_file(format: str) -> None:
    main = Path(f"out.{format}")
    for number, pages in enumerate([[["1", "2"], ["3"]], [["4"]], [["5"], [], ["6"]]]):
        Job(f"job{number}", "incremental", config={"format": format}).run(pages)
    assert ids_in(main) == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.lesson("F-01")
@FORMATS
def test_an_emptied_source_empties_the_file(format: str) -> None:
    """A full refresh that found nothing used to keep the old rows, and exit 0."""
    main = Path(f"out.{format}")
    Job("job1", config={"format": format}).run([["1"]])
    Job("job2", config={"format": format}).run([[]])
    assert ids_in(main) == []
    if format == "json":
        assert main.read_bytes() == b""
    else:
        assert pl.read_parquet(main).width == 6


@pytest.mark.lesson("F-01")
@FORMATS
def test_an_incremental_run_without_rows_leaves_the_file_untouched(format: str) -> None:
    main = Path(f"out.{format}")
    Job("job1", "incremental", config={"format": format}).run([["1"]])
    before = written_state(main)
    Job("job2", "incremental", config={"format": format}).run([[], []])
    assert written_state(main) == before


@FORMATS
def test_a_first_incremental_run_without_rows_creates_an_empty_file(format: str) -> None:
    Job("job1", "incremental", config={"format": format}).run([[]])
    assert ids_in(Path(f"out.{format}")) == []


def test_incremental_appends_to_a_file_that_it_adopts() -> None:
    Path("out.json").write_text('{"source_record_id":"0"}\n')
    Job("job1", "incremental", adopt=True).run([["1"]])
    assert ids_in(Path("out.json")) == ["0", "1"]


def test_a_last_line_without_an_end_is_not_glued_to_the_first_new_row() -> None:
    Path("out.json").write_text('{"source_record_id":"0"}')
    Job("job1", "incremental", adopt=True).run([["1"], ["2"]])
    assert ids_in(Path("out.json")) == ["0", "1", "2"]


@FORMATS
def test_nothing_is_visible_before_finalize(format: str) -> None:
    job = Job(config={"format": format})
    job.write(job.prepared(), 0, 0, rows_of("1"))
    assert not Path(f"out.{format}").exists()


@FORMATS
def test_an_open_reader_keeps_the_old_rows(format: str) -> None:
    main = Path(f"out.{format}")
    Job("job1", config={"format": format}).run([["1"]])
    with main.open("rb") as reader:
        Job("job2", config={"format": format}).run([["2"]])
        old = reader.read()
    main.write_bytes(old)
    assert ids_in(main) == ["1"]


def test_the_same_pages_written_twice_count_once() -> None:
    job = Job()
    destination = job.prepared()
    job.write(destination, 0, 3, rows_of("1", "2"))
    job.add(destination, 0, "1", "2", "3", last=3)
    job.publish(destination)
    assert ids_in(Path("out.json")) == ["1", "2", "3"]


def test_parts_stand_in_page_order_beyond_ten_pages() -> None:
    Job().run([[str(number)] for number in range(25)])
    assert ids_in(Path("out.json")) == [str(number) for number in range(25)]


def test_without_hard_links_and_copies_in_the_kernel_the_result_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_keys: object) -> int:
        raise OSError("not on this file system")

    monkeypatch.setattr("os.link", refuse)
    monkeypatch.setattr("os.copy_file_range", refuse)
    Job("job1").run([["1", "2"]])
    assert ids_in(Path("out.json")) == ["1", "2"]
    Job("job2", "incremental").run([["3"], ["4"]])
    assert ids_in(Path("out.json")) == ["1", "2", "3", "4"]


def test_a_column_added_to_a_parquet_schema_is_null_in_the_old_rows() -> None:
    def job(number: int, *columns: str) -> Job:
        schema = [{"name": column, "type": "string"} for column in columns]
        record_schemas = [{"destination_id": "out", "record_schema": schema}]
        return Job(
            f"job{number}",
            "incremental",
            config={"format": "parquet", "unnest": True, "record_schemas": record_schemas},
        )

    for number, columns in enumerate([("a",), ("a", "b")]):
        now = job(number, *columns)
        destination = now.prepared()
        now.write(destination, 0, 0, rows_of("x", data=[{"a": f"a{number}", "b": "b"} if number else {"a": "a0"}]))
        now.commit(0, 1)
        now.publish(destination)
    assert pl.read_parquet("out.parquet").rows() == [("a0", None), ("a1", "b")]
