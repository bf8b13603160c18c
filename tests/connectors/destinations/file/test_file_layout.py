"""What stands in the file, byte by byte, and what it is called."""

import json
from pathlib import Path

import polars as pl
import pytest
from connectors.destinations.file.file_runs import Job, ids_in, rows_of

from bizon.rows.frames import DESTINATION_SCHEMA


def publish(job: Job, frame: pl.DataFrame) -> None:
    destination = job.prepared()
    assert job.write(destination, 0, 0, frame) == (True, None)
    job.commit(0, frame.height)
    job.publish(destination)


def test_a_line_has_the_six_columns_in_order_with_rfc_3339_timestamps() -> None:
    publish(Job(), rows_of("7", data=[{"a": 1}]))
    assert Path("out.json").read_bytes() == (
        b'{"bizon_id":"bizon-7","bizon_extracted_at":"2024-01-02T03:04:05.000060+00:00",'
        b'"bizon_loaded_at":"2024-01-02T03:04:05.000060+00:00","source_record_id":"7",'
        b'"source_timestamp":"2024-01-02T03:04:05.000060+00:00","source_data":"{\\"a\\":1}"}\n'
    )


def test_a_timestamp_on_a_whole_second_keeps_its_six_digits() -> None:
    frame = rows_of("7").with_columns(pl.col("source_timestamp").dt.truncate("1s"))
    publish(Job(), frame)
    assert json.loads(Path("out.json").read_text())["source_timestamp"] == "2024-01-02T03:04:05.000000+00:00"


@pytest.mark.parametrize("text", ["é🎉", 'quote " backslash \\', "new\nline", "\u2028\u2029", "nul \0", "</script>"])
def test_text_of_any_kind_survives(text: str) -> None:
    frame = rows_of("7", data=[{"key " + text: text}])
    publish(Job(), frame)
    (line,) = Path("out.json").read_text(encoding="utf-8").split("\n")[:-1]
    assert json.loads(json.loads(line)["source_data"]) == {"key " + text: text}


def test_parquet_has_the_six_columns_typed_and_compressed() -> None:
    frame = rows_of("7", "8")
    publish(Job(config={"format": "parquet"}), frame)
    found = pl.read_parquet("out.parquet")
    assert found.schema == DESTINATION_SCHEMA
    assert found.equals(frame)


@pytest.mark.parametrize(
    ("destination_id", "format", "name"),
    [
        ("out", "json", "out.json"),
        ("out.json", "json", "out.json"),
        ("output.jsonl", "json", "output.jsonl.json"),
        ("out", "parquet", "out.parquet"),
        ("out.parquet", "parquet", "out.parquet"),
        ("out.json", "parquet", "out.json.parquet"),
        ("some/new folder/out", "json", "some/new folder/out.json"),
        ("~/out", "json", "~/out.json"),
        ("out[1]*?", "parquet", "out[1]*?.parquet"),
    ],
)
def test_destination_id_is_the_path_and_the_extension_is_added_once(
    destination_id: str, format: str, name: str
) -> None:
    job = Job(config={"destination_id": destination_id, "format": format})
    publish(job, rows_of("7"))
    assert ids_in(Path(name)) == ["7"]
    assert job.open().describe() == str(Path.cwd() / name)


@pytest.mark.lesson("F-07")
def test_without_a_destination_id_the_file_is_named_after_source_and_stream() -> None:
    """Every pipeline without one used to write, and overwrite, None.json."""
    publish(Job(config={"destination_id": None}), rows_of("7"))
    assert ids_in(Path("src_things.json")) == ["7"]


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path) -> None:
    publish(Job(config={"destination_id": str(tmp_path / "deep" / "out")}), rows_of("7"))
    assert ids_in(tmp_path / "deep" / "out.json") == ["7"]


def test_a_link_keeps_pointing_to_the_file_that_is_written(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    Path("out.json").symlink_to("disk/real.json")
    publish(Job(), rows_of("7"))
    assert Path("out.json").is_symlink()
    assert ids_in(Path("disk/real.json")) == ["7"]


def test_the_permissions_of_the_file_outlive_its_replacement() -> None:
    publish(Job(), rows_of("7"))
    Path("out.json").chmod(0o640)
    publish(Job(job_id="job2"), rows_of("8"))
    assert Path("out.json").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("format", ["json", "parquet"])
@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental"])
def test_nothing_but_the_file_and_one_hidden_folder_is_left(tmp_path: Path, sync_mode: str, format: str) -> None:
    job = Job(sync_mode=sync_mode, config={"format": format})
    job.run([["1"], [], ["2", "3"]]).close()
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == [f".bizon/out.{format}/lock", f".bizon/out.{format}/manifest.json", f"out.{format}"]


def test_rows_for_another_table_are_refused_outside_sync_mode_stream() -> None:
    job = Job()
    written, reason = job.write(job.prepared(), 0, 0, rows_of("7"), table="other")
    assert written is False
    assert "'other'" in str(reason)
