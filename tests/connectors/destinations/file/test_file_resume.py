"""``prepare``: staging holds exactly the committed pages, and nothing of others is touched."""

from pathlib import Path

import pytest
from connectors.destinations.file.file_runs import Job, ids_in, rows_of, written_state

from bizon.common.errors.errors import DestinationError, FinalizeError, OvertakenError


def staged() -> list[str]:
    return sorted(path.name for path in Path(".bizon").rglob("0*"))


def half_done(**keys: object) -> Job:
    """A job that committed pages 0 and 1 and died after writing 2 to 3, before their checkpoint."""
    job = Job(**keys)  # type: ignore[arg-type]
    destination = job.prepared()
    for page in (0, 1):
        job.write(destination, page, page, rows_of(str(page)))
        job.commit(page, 1)
    job.write(destination, 2, 3, rows_of("2", "3"))
    return job


@pytest.mark.lesson("F-09", "F-10")
@pytest.mark.parametrize("format", ["json", "parquet"])
@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental"])
def test_a_resumed_job_drops_what_no_checkpoint_vouches_for(sync_mode: str, format: str) -> None:
    """A run killed between write and checkpoint used to publish those rows twice, 100 lines instead of 60."""
    job = half_done(sync_mode=sync_mode, config={"format": format})
    job.run([["0"], ["1"], ["2"], ["3"], ["4"]])
    assert ids_in(Path(f"out.{format}")) == ["0", "1", "2", "3", "4"]


def test_parquet_parts_are_named_by_pages_rows_and_start_of_the_job() -> None:
    half_done(config={"format": "parquet"})
    assert staged() == [
        "0000000000-0000000000-1-1.parquet",
        "0000000001-0000000001-1-1.parquet",
        "0000000002-0000000003-2-1.parquet",
    ]


def test_trimming_keeps_the_committed_parquet_parts() -> None:
    half_done(config={"format": "parquet"}).prepared()
    assert staged() == ["0000000000-0000000000-1-1.parquet", "0000000001-0000000001-1-1.parquet"]


def test_trimming_keeps_the_committed_lines_and_seals_them() -> None:
    job = half_done()
    assert staged() == ["000001.json"]
    job.prepared()
    assert staged() == ["000001-sealed.json"]
    assert ids_in(next(Path(".bizon").rglob("000001-sealed.json"))) == ["0", "1"]


def test_each_start_of_a_job_has_a_file_of_lines() -> None:
    job = half_done()
    for page in (2, 3):
        job.write(job.prepared(), page, page, rows_of(str(page)))
        job.commit(page, 1)
    assert staged() == ["000001-sealed.json", "000002-sealed.json", "000003.json"]
    job.run([[], [], [], [], ["4"]])
    assert ids_in(Path("out.json")) == ["0", "1", "2", "3", "4"]


def test_sealed_lines_whose_checkpoints_were_lost_in_a_power_cut_are_cut_off() -> None:
    job = half_done()
    job.prepared()
    job.last = 0
    job.committed.pop()
    job.run([["0"], ["b"], ["c"]])
    assert ids_in(Path("out.json")) == ["0", "b", "c"]


def test_a_start_that_is_counted_twice_has_lines_of_its_own() -> None:
    """As after a backup of the state was restored."""
    job = half_done()
    job.starts = 0
    job.run([["0"], ["1"], ["2"]])
    assert ids_in(Path("out.json")) == ["0", "1", "2"]


@pytest.mark.lesson("F-10")
def test_half_written_lines_are_cut_off() -> None:
    """A torn line used to be glued to the next one, and no parser took it."""
    job = half_done()
    lines = next(Path(".bizon").rglob("000001.json"))
    with lines.open("ab") as handle:
        handle.write(b'{"bizon')
    lines.with_name("ready-000001.json").write_bytes(b"{")
    job.prepared()
    assert [path.name for path in lines.parent.iterdir()] == ["000001-sealed.json"]
    job.run([["0"], ["1"], ["2"]])
    assert ids_in(Path("out.json")) == ["0", "1", "2"]


def test_half_written_parts_are_dropped() -> None:
    job = half_done(config={"format": "parquet"})
    part = next(Path(".bizon").rglob("0000000001*"))
    part.with_name("0000000002-0000000002-1-1.parquet.tmp").write_bytes(b"PAR1")
    part.with_name("ready-000001.parquet").write_bytes(b"P")
    job.prepared()
    assert sorted(path.name for path in part.parent.iterdir()) == [
        "0000000000-0000000000-1-1.parquet",
        "0000000001-0000000001-1-1.parquet",
    ]


def test_lines_of_a_run_that_is_not_interrupted_become_the_output_without_a_copy() -> None:
    job = Job()
    destination = job.prepared()
    for page in range(3):
        job.add(destination, page, str(page))
    staged_file = next(Path(".bizon").rglob("000001.json")).stat().st_ino
    job.publish(destination)
    assert Path("out.json").stat().st_ino == staged_file


@pytest.mark.parametrize("format", ["json", "parquet"])
def test_the_same_pages_written_again_replace_the_first_write(format: str) -> None:
    job = Job(config={"format": format})
    destination = job.prepared()
    job.add(destination, 0, "0")
    job.write(destination, 1, 2, rows_of("1", "2"))
    job.add(destination, 1, "1", "two", "2", last=2)
    job.publish(destination)
    assert ids_in(Path(f"out.{format}")) == ["0", "1", "two", "2"]


@pytest.mark.lesson("F-09")
def test_a_fresh_start_of_the_same_job_begins_with_empty_staging() -> None:
    """A crash before the first checkpoint used to leave rows that were published with the next attempt's."""
    job = Job()
    job.write(job.prepared(), 0, 0, rows_of("1"))
    job.run([["1"], ["2"]])
    assert ids_in(Path("out.json")) == ["1", "2"]


@pytest.mark.lesson("F-09")
@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental"])
def test_staging_of_a_dead_attempt_is_removed_and_not_published(sync_mode: str) -> None:
    """force_ignore_checkpoint after a kill used to publish the cancelled job's rows too, 110 lines instead of 60."""
    half_done(sync_mode=sync_mode)
    Job("job2", sync_mode).run([["0"], ["1"]])
    assert ids_in(Path("out.json")) == ["0", "1"]
    assert staged() == []


def test_staging_of_another_pipeline_is_not_touched() -> None:
    half_done(pipeline="other")
    before = staged()
    (Path(".bizon/out.json/manifest.json")).unlink()  # the documented way to hand the file over
    Job("job2").run([["a"]])
    assert staged() == before


def test_pages_without_rows_leave_gaps_that_are_accepted() -> None:
    job = Job()
    destination = job.prepared()
    job.write(destination, 1, 1, rows_of("1"))
    job.commit(4, 1)
    job.prepared()
    job.run([[], ["1"], [], [], [], ["5"]])
    assert ids_in(Path("out.json")) == ["1", "5"]


@pytest.mark.parametrize(
    "loss", ["lines are cut", "a part is gone", "all is gone", "destination_id changed", "format changed"]
)
def test_committed_rows_that_are_not_staged_stop_the_run(loss: str) -> None:
    """Publishing without them would be a silent loss."""
    job = half_done(config={"format": "parquet"} if loss == "a part is gone" else {})
    if loss == "lines are cut":
        lines = next(Path(".bizon").rglob("000001.json"))
        lines.write_bytes(lines.read_bytes()[:-100].split(b"\n")[0])
    elif loss == "a part is gone":
        next(Path(".bizon").rglob("0000000001*")).unlink()
    elif loss == "all is gone":
        Path(".bizon").rename("elsewhere")
    elif loss == "destination_id changed":
        job.config = {"destination_id": "another"}
    else:
        job.config = {"format": "parquet"}
    foreign = loss in ("destination_id changed", "format changed")
    message = r"were not staged for|staging does not hold" if foreign else "staging does not hold what was committed"
    with pytest.raises(DestinationError, match=rf"({message}).*pages|pages.*({message})") as refused:
        job.prepared()
    assert "--fresh" in str(refused.value)


def test_an_exhausted_job_publishes_without_writing() -> None:
    job = Job()
    destination = job.prepared()
    job.write(destination, 0, 0, rows_of("1"))
    job.commit(0, 1)
    job.exhausted = True
    job.run([])
    assert ids_in(Path("out.json")) == ["1"]


@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental"])
def test_a_published_job_that_runs_again_changes_nothing(sync_mode: str) -> None:
    """The crash came after the publication and before the job's success was noted."""
    job = Job(sync_mode=sync_mode)
    job.run([["1"], ["2"]])
    before = written_state(Path("out.json"))
    job.run([])
    assert written_state(Path("out.json")) == before


@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental"])
def test_finalize_called_twice_gives_the_same_file(sync_mode: str) -> None:
    destination = Job(sync_mode=sync_mode).run([["1"], ["2"]])
    before = written_state(Path("out.json"))
    assert destination.finalize() is True
    assert written_state(Path("out.json")) == before


@pytest.mark.parametrize("format", ["json", "parquet"])
@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental"])
def test_a_destination_that_was_not_prepared_publishes_nothing(sync_mode: str, format: str) -> None:
    Job("job0", sync_mode, config={"format": format}).run([["old"]])
    job = Job("job1", sync_mode, config={"format": format})
    destination = job.open()
    job.write(destination, 0, 0, rows_of("new"))
    with pytest.raises((FinalizeError, OvertakenError)):
        destination.finalize()
    assert ids_in(Path(f"out.{format}")) == ["old"]


@pytest.mark.parametrize("format", ["json", "parquet"])
@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental"])
def test_unverified_rows_are_not_published(sync_mode: str, format: str) -> None:
    job = Job("job1", sync_mode, config={"format": format})
    destination = job.prepared()
    job.add(destination, 0, "new")
    with pytest.raises(FinalizeError, match="was not verified"):
        destination.finalize()
    assert not Path(f"out.{format}").exists()
    job.publish(destination)
    assert ids_in(Path(f"out.{format}")) == ["new"]
