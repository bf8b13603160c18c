"""Sync mode stream: rows are in their file at once, and an append without a checkpoint is rolled back."""

import json
from pathlib import Path

import polars as pl
import pytest
from connectors.destinations.file.file_runs import Crash, Job, ids_in, rows_of

from bizon.common.errors.errors import DestinationError, OvertakenError, RowsRejectedError
from bizon.connectors.destinations.file.src import journal as journal_module

FORMATS = pytest.mark.parametrize("format", ["json", "parquet"])


def stream(format: str = "json", job_id: str = "job1") -> Job:
    return Job(job_id, "stream", config={"format": format})


@FORMATS
def test_rows_are_readable_as_soon_as_they_are_written(format: str) -> None:
    job = stream(format)
    destination = job.prepared()
    for page in range(3):
        assert job.write(destination, page, page, rows_of(str(page))) == (True, None)
        assert ids_in(Path(f"out.{format}")) == [str(number) for number in range(page + 1)]
        job.commit(page, 1)
    assert destination.finalize() is True
    assert ids_in(Path(f"out.{format}")) == ["0", "1", "2"]


@pytest.mark.lesson("F-10")
@FORMATS
def test_an_append_without_a_checkpoint_is_rolled_back(format: str) -> None:
    job = stream(format)
    destination = job.prepared()
    job.write(destination, 0, 0, rows_of("0"))
    job.commit(0, 1)
    job.write(destination, 1, 1, rows_of("1"))
    job.prepared()
    assert ids_in(Path(f"out.{format}")) == ["0"]


@pytest.mark.lesson("F-10")
def test_a_torn_append_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill during a write used to leave half a record glued to the next one."""
    job = stream()
    destination = job.prepared()
    job.write(destination, 0, 0, rows_of("0"))
    job.commit(0, 1)

    def tear(_frame: object, _format: object, target: object) -> None:
        target.write(b'{"bizon_id":"half')  # type: ignore[attr-defined]
        target.flush()  # type: ignore[attr-defined]
        raise Crash

    with monkeypatch.context() as torn:
        torn.setattr("bizon.connectors.destinations.file.src.destination.write_rows", tear)
        with pytest.raises(Crash):
            job.write(destination, 1, 1, rows_of("1"))
    assert Path("out.json").read_bytes().endswith(b"half")
    destination = job.prepared()
    job.write(destination, 1, 1, rows_of("1"))
    assert ids_in(Path("out.json")) == ["0", "1"]


@FORMATS
def test_every_table_of_an_uncommitted_page_is_rolled_back_before_anything_is_written(format: str) -> None:
    """Also a table that no later page names: its rows are delivered again with other pages."""
    job = stream(format)
    destination = job.prepared()
    for table in ("a", "b/c", "out"):
        job.write(destination, 0, 0, rows_of(f"0{table}"), table)
    job.commit(0, 3)
    for table in ("b/c", "a"):
        job.write(destination, 1, 1, rows_of(f"1{table}"), table)
    job.prepared()
    for table in ("a", "b/c", "out"):
        assert ids_in(Path(f"{table}.{format}")) == [f"0{table}"]


@FORMATS
def test_a_table_that_only_a_later_run_names_again_is_not_taken_for_committed(format: str) -> None:
    job = stream(format)
    job.write(job.prepared(), 0, 0, rows_of("x"), "rare")  # dies before its checkpoint
    destination = job.prepared()
    for page in range(3):
        job.write(destination, page, page, rows_of(str(page)))
        job.commit(page, 1)
    destination = job.prepared()
    job.write(destination, 3, 3, rows_of("x"), "rare")
    assert ids_in(Path(f"rare.{format}")) == ["x"]


@FORMATS
def test_the_same_pages_written_again_replace_the_first_write(format: str) -> None:
    job = stream(format)
    destination = job.prepared()
    job.write(destination, 0, 0, rows_of("0"))
    job.write(destination, 1, 1, rows_of("1"))
    job.write(destination, 1, 1, rows_of("1", "2"))
    assert ids_in(Path(f"out.{format}")) == ["0", "1", "2"]


@FORMATS
def test_a_new_job_keeps_what_earlier_jobs_wrote(format: str) -> None:
    for number in (1, 2):
        job = stream(format, f"job{number}")
        job.write(job.prepared(), 0, 0, rows_of(str(number)))
    stream(format, "job3").prepared()
    assert ids_in(Path(f"out.{format}")) == ["1", "2"]


def test_earlier_rows_of_another_writer_are_kept() -> None:
    Path("out.json").write_text('{"source_record_id":"theirs"}')
    job = stream()
    job.adopt = True
    job.write(job.prepared(), 0, 0, rows_of("0"))
    assert ids_in(Path("out.json")) == ["theirs", "0"]
    job.prepared()
    assert Path("out.json").read_text() == '{"source_record_id":"theirs"}'


def test_a_file_that_was_rotated_is_created_again() -> None:
    job = stream()
    destination = job.prepared()
    job.write(destination, 0, 0, rows_of("0"))
    job.commit(0, 1)
    Path("out.json").rename("out.1.json")
    job.write(destination, 1, 1, rows_of("1"))
    job.commit(1, 1)
    Path("out.json").unlink()
    job.write(job.prepared(), 2, 2, rows_of("2"))
    assert ids_in(Path("out.json")) == ["2"]


@pytest.mark.parametrize("tail", ["", '{"job_id":"jo', "\0\0\0\0"])
def test_a_torn_line_of_the_journal_belongs_to_an_append_that_never_began(tail: str) -> None:
    job = stream()
    destination = job.prepared()
    job.write(destination, 0, 0, rows_of("0"))
    job.commit(0, 1)
    journal = Path(".bizon/out.json/journal")
    journal.write_text(journal.read_text() + tail)
    destination = job.prepared()
    for page in (1, 2):
        job.write(destination, page, page, rows_of(str(page)))
    assert [json.loads(line)["from_iteration"] for line in journal.read_text().splitlines()] == [0, 1, 2]
    job.prepared()
    assert ids_in(Path("out.json")) == ["0"]


def test_the_journal_stays_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_MOST_LINES", 10)
    monkeypatch.setattr(journal_module, "_KEPT_LINES", 3)
    job = stream()
    destination = job.prepared()
    for page in range(25):
        job.write(destination, page, page, rows_of(str(page)))
        job.commit(page, 1)
        assert len(Path(".bizon/out.json/journal").read_bytes().splitlines()) <= 10
    job.write(destination, 25, 25, rows_of("25"))
    job.prepared()
    assert ids_in(Path("out.json")) == [str(page) for page in range(25)]


def test_a_parquet_table_is_a_folder_that_readers_take_as_one() -> None:
    job = stream("parquet")
    destination = job.prepared()
    for page in range(2):
        job.write(destination, page, page, rows_of(str(page)))
    assert sorted(path.name for path in Path("out.parquet").iterdir()) == [
        "job1-0000000000-0000000000.parquet",
        "job1-0000000001-0000000001.parquet",
    ]
    assert pl.read_parquet("out.parquet").height == 2
    assert pl.read_parquet("out.parquet/*.parquet").height == 2


def test_two_ids_of_one_file_are_refused() -> None:
    job = stream()
    destination = job.prepared()
    job.write(destination, 0, 0, rows_of("0"), "a")
    written, reason = job.write(destination, 0, 0, rows_of("1"), "a.json")
    assert written is False
    assert "'a' and 'a.json'" in str(reason)


def test_a_routed_file_of_another_pipeline_is_refused_and_untouched() -> None:
    Job("job0", pipeline="first", config={"destination_id": "a"}).run([["1"]])
    job = stream()
    destination = job.prepared()
    with pytest.raises(RowsRejectedError, match=r"destination_id 'a'.*'first'"):
        job.write(destination, 0, 0, rows_of("2"), "a")
    assert ids_in(Path("a.json")) == ["1"]
    assert job.prepared() is not None


def test_an_id_that_no_file_can_have_is_an_error_of_the_write() -> None:
    job = stream()
    destination = job.prepared()
    destination.destination_id = "x" * 300
    written, reason = destination.write_records(rows_of("0"))
    assert written is False
    assert reason


def test_it_says_which_files_were_written() -> None:
    job = stream()
    destination = job.prepared()
    here = Path.cwd()
    assert destination.describe() == f"{here}/out.json"
    for table in ("a", "b.json"):
        job.write(destination, 0, 0, rows_of("0"), table)
    assert destination.describe() == f"{here}/a.json, {here}/b.json"
    for number in range(5):
        job.write(destination, 0, 0, rows_of("0"), f"t{number}")
    shown = ", ".join(f"{here}/{name}.json" for name in ("a", "b", "t0", "t1", "t2"))
    assert destination.describe() == f"{shown} and 2 more"


@FORMATS
def test_a_destination_that_was_not_prepared_appends_nothing(format: str) -> None:
    stream(format, "job0").run([["old"]])
    job = stream(format)
    with pytest.raises((DestinationError, OvertakenError)):
        job.write(job.open(), 0, 0, rows_of("new"))
    assert ids_in(Path(f"out.{format}")) == ["old"]
