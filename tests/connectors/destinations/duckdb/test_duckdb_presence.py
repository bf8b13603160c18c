"""The lock file by which a run into DuckDB keeps out runs of another state."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from connectors.destinations.duckdb.kit import block, sql
from connectors.destinations.table_kit import FULL_REFRESH, pipeline

from bizon.common.errors.errors import DestinationConnectionError
from bizon.testing.destination_guards import stranger_to
from bizon.testing.destination_jobs import Pipeline, records


@pytest.fixture
def into(tmp_path: Path) -> Iterator[Pipeline]:
    with pipeline(block(tmp_path / "items.duckdb", unnest=False), FULL_REFRESH) as made:
        yield made


def ids(folder: Path) -> list[str]:
    return [id_ for (id_,) in sql(folder / "items.duckdb", "SELECT source_record_id FROM items ORDER BY 1")]


def lock_file(folder: Path) -> Path:
    (found,) = (folder / ".bizon" / "items.duckdb").iterdir()
    return found


def test_the_refusal_names_the_process(into: Pipeline, tmp_path: Path) -> None:
    job = into.job()
    job.start()
    found = lock_file(tmp_path)
    assert (found.stat().st_mode & 0o777, json.loads(found.read_bytes())["job_id"]) == (0o600, job.id)
    who = rf"table 'items' is being written by process {os.getpid()} on host '.+', whose job the state"
    with stranger_to(into) as stranger, pytest.raises(DestinationConnectionError, match=who):
        stranger.load(records("theirs"))


def test_tables_of_one_database_have_locks_of_their_own(into: Pipeline, tmp_path: Path) -> None:
    into.job().start()
    other = block(tmp_path / "items.duckdb", unnest=False, destination_id="other/table")
    with pipeline(other, FULL_REFRESH) as beside:
        beside.load(records("b"))
        assert len(list((tmp_path / ".bizon" / "items.duckdb").iterdir())) == 2
    assert sql(tmp_path / "items.duckdb", 'SELECT source_record_id FROM "other/table"') == [("b",)]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_torn_lock_file_blocks_no_run(into: Pipeline, tmp_path: Path, text: str) -> None:
    into.job().start()
    lock_file(tmp_path).write_text(text)
    with stranger_to(into) as stranger:
        stranger.load(records("theirs"))
    assert ids(tmp_path) == ["theirs"]


def test_a_run_goes_on_where_no_lock_file_can_be_created(into: Pipeline, tmp_path: Path) -> None:
    (tmp_path / ".bizon").write_text("a file in its place")
    into.load(records("a"))
    with stranger_to(into) as stranger:
        stranger.load(records("theirs"))
    assert ids(tmp_path) == ["theirs"]
