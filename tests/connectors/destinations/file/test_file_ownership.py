"""Ownership of outputs: a file of another pipeline, or one that bizon did not write, is refused and stays as it is."""

from pathlib import Path

import pytest
from connectors.destinations.file.file_runs import Job, ids_in, rows_of

from bizon.common.errors.errors import DestinationConnectionError, OvertakenError
from bizon.destination.models import ResumePoint


@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental", "stream"])
def test_a_file_of_another_pipeline_is_refused_with_both_names_and_the_remedy(sync_mode: str) -> None:
    Job(pipeline="first").run([["1"]])
    intruder = Job("job2", sync_mode, pipeline="second")
    with pytest.raises(DestinationConnectionError) as refused:
        intruder.open().check_connection()
    assert "'first'" in str(refused.value)
    assert "'second'" in str(refused.value)
    assert "another destination_id" in str(refused.value)
    assert "manifest.json" in str(refused.value)
    assert ids_in(Path("out.json")) == ["1"]


def test_a_first_run_that_is_not_published_yet_owns_the_name() -> None:
    first = Job(pipeline="first")
    first.add(first.prepared(), 0, "1")
    with pytest.raises(DestinationConnectionError, match="'first'"):
        Job("job2", pipeline="second").open().check_connection()


@pytest.mark.parametrize("call", ["check", "prepare", "publish"])
def test_every_later_step_refuses_it_too(call: str) -> None:
    mine = Job("job2", pipeline="second")
    destination = mine.prepared() if call == "publish" else mine.open()
    if call == "publish":
        mine.add(destination, 0, "2")
        destination.close()
        Path(".bizon/out.json/manifest.json").unlink()
    Job(pipeline="first").run([["1"]])
    calls = {
        "check": destination.check_connection,
        "prepare": lambda: destination.prepare(ResumePoint("job2")),
        "publish": lambda: mine.publish(destination),
    }
    with pytest.raises((DestinationConnectionError, OvertakenError), match=r"belongs to pipeline 'first'|job2"):
        calls[call]()
    assert ids_in(Path("out.json")) == ["1"]


def test_the_name_of_a_finished_output_that_was_deleted_is_free() -> None:
    Job(pipeline="first").run([["1"]])
    Path("out.json").unlink()
    Job("job2", pipeline="second").run([["2"]])
    assert ids_in(Path("out.json")) == ["2"]


@pytest.mark.parametrize("format", ["json", "parquet"])
@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental", "stream"])
def test_a_file_that_bizon_did_not_write_is_refused_and_untouched(sync_mode: str, format: str) -> None:
    main = Path(f"out.{format}")
    if (sync_mode, format) == ("stream", "parquet"):
        main.mkdir()
        rows_of("theirs").write_parquet(main / "theirs.parquet")
    else:
        write = {"json": rows_of("theirs").write_ndjson, "parquet": rows_of("theirs").write_parquet}
        write[format](main)
    job = Job(sync_mode=sync_mode, config={"format": format})
    with pytest.raises(DestinationConnectionError, match=r"bizon did not write it: .*--adopt"):
        job.prepared()  # before anything is fetched
    assert ids_in(main) == ["theirs"]


@pytest.mark.parametrize("format", ["json", "parquet"])
@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental", "stream"])
def test_with_adopt_it_is_taken_over(sync_mode: str, format: str) -> None:
    main = Path(f"out.{format}")
    if (sync_mode, format) == ("stream", "parquet"):
        main.mkdir()
        rows_of("theirs").write_parquet(main / "theirs.parquet")
    else:
        write = {"json": rows_of("theirs").write_ndjson, "parquet": rows_of("theirs").write_parquet}
        write[format](main)
    job = Job(sync_mode=sync_mode, config={"format": format}, adopt=True)
    job.run([["1"]])
    old = [] if sync_mode == "full_refresh" else ["theirs"]
    assert sorted(ids_in(main)) == ["1", *old]
    job.run([["1"], ["2"]] if sync_mode == "stream" else [])
    after = Job("job2", sync_mode, config={"format": format})
    after.run([["3"]])
    assert "3" in ids_in(main), "it is bizon's from now on, without --adopt"


@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental", "stream"])
def test_an_empty_file_has_no_owner(sync_mode: str) -> None:
    Path("out.json").touch()
    Job(sync_mode=sync_mode).run([["1"]])
    assert ids_in(Path("out.json")) == ["1"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version":1}', '{"version":99,"pipeline":"pipe"}'])
def test_a_manifest_that_cannot_be_understood_stops_the_run(text: str) -> None:
    Job().run([["1"]])
    Path(".bizon/out.json/manifest.json").write_text(text)
    with pytest.raises(DestinationConnectionError, match="delete it"):
        Job("job2").open().check_connection()
    assert ids_in(Path("out.json")) == ["1"]
