"""Runs whose states do not know each other meet at the output."""

import json
import os
import time
from pathlib import Path
from typing import cast

import pytest
from connectors.destinations.file.file_runs import Job, bury, forget_their_processes, ids_in

from bizon.common.errors.errors import DestinationConnectionError
from bizon.connectors.destinations.file.src import presence
from bizon.connectors.destinations.file.src.destination import FileDestination
from bizon.engine.backend.backend import AbstractBackend

FORMATS = pytest.mark.parametrize("format", ["json", "parquet"])
MODES = pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental", "stream"])


class _NewState:
    """It knows no job."""

    def get_stream_job_by_id(self, job_id: str) -> None:
        return None


class Stranger(Job):
    """A job of a state that knows no other."""

    def open(self) -> FileDestination:
        destination = super().open()
        destination.backend = cast("AbstractBackend", _NewState())
        return destination


def owner_file() -> Path:
    return next(path for path in Path(".bizon").rglob("owner.json") if path.parent.name.startswith("out."))


def at_work(sync_mode: str, format: str) -> Job:
    job = Job("job5", sync_mode, config={"format": format})
    job.add(job.prepared(), 0, "ours")
    return job


@FORMATS
@MODES
def test_a_run_with_a_foreign_state_is_refused_while_another_run_is_active(sync_mode: str, format: str) -> None:
    """60 rows used to be replaced by the 50 of the slower run; both reported success."""
    job = at_work(sync_mode, format)
    with pytest.raises(DestinationConnectionError, match=rf"being written by process {os.getpid()} on host .*state"):
        Stranger("job9", sync_mode, config={"format": format}).prepared()
    job.add(job.destination, 1, "too")
    job.publish(job.destination)
    assert ids_in(Path(f"out.{format}")) == ["ours", "too"]


@FORMATS
@MODES
def test_the_previous_run_has_ended(sync_mode: str, format: str) -> None:
    job = at_work(sync_mode, format)
    job.publish(job.destination)
    assert owner_file().exists()
    job.destination.close()
    assert not list(Path(".bizon").rglob("owner.json"))
    Stranger("job9", sync_mode, config={"format": format}).prepared()


@FORMATS
@MODES
def test_a_run_whose_process_is_gone_is_taken_over(sync_mode: str, format: str) -> None:
    at_work(sync_mode, format)
    bury()
    forget_their_processes()
    stranger = Stranger("job9", sync_mode, config={"format": format})
    stranger.run([["theirs"]])
    assert ids_in(Path(f"out.{format}"))[-1] == "theirs"
    assert json.loads(owner_file().read_text())["job_id"] == "job9"


@pytest.mark.parametrize(("silent", "is_taken"), [(50, False), (70, True)])
def test_a_run_that_cannot_be_seen_counts_as_dead_after_a_minute(silent: int, is_taken: bool) -> None:
    at_work("full_refresh", "json")
    bury()
    file = owner_file()
    file.write_text(json.dumps({**json.loads(file.read_text()), "place": "another host"}))
    os.utime(file, (time.time() - silent,) * 2)
    stranger = Stranger("job9")
    if is_taken:
        stranger.run([["theirs"]])
        assert ids_in(Path("out.json")) == ["theirs"]
        return
    with pytest.raises(DestinationConnectionError, match="being written by process"):
        stranger.prepared()


def test_a_heartbeat_keeps_the_file_young(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_BEAT", 0.001)
    at_work("full_refresh", "json")
    os.utime(owner_file(), (0, 0))
    for _ in range(500):
        if owner_file().stat().st_mtime > 0:
            break
        time.sleep(0.01)
    assert owner_file().stat().st_mtime > 0


def test_a_superseded_run_does_not_remove_the_file_of_its_successor() -> None:
    job = at_work("full_refresh", "json")
    first = job.destination
    job.prepared()
    first.close()
    assert json.loads(owner_file().read_text())["job_id"] == "job5"


@FORMATS
def test_staging_of_a_living_job_is_not_removed(format: str) -> None:
    job = at_work("full_refresh", format)
    before = sorted(Path(".bizon").rglob("0*"))
    with pytest.raises(DestinationConnectionError):
        Stranger("job9", config={"format": format}).prepared()
    assert sorted(Path(".bizon").rglob("0*")) == before != []
    job.publish(job.destination)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_torn_file_blocks_no_run(text: str) -> None:
    at_work("full_refresh", "json")
    bury()
    owner_file().write_text(text)
    Stranger("job9").run([["theirs"]])
    assert ids_in(Path("out.json")) == ["theirs"]
