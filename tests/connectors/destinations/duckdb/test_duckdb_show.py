"""A DuckDB file that others use, as ``bizon show`` reads it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from connectors.destinations.duckdb.kit import block, sql
from connectors.destinations.table_kit import page, pipeline
from destinations import open_destination

from bizon.common.errors.errors import DestinationConnectionError
from bizon.destination.column_receipts import changes_of
from bizon.destination.readable import NoTableError, NotReadError, TableReader
from bizon.source.config import SourceSyncModes

WRITER = """
import sys, time, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("CREATE TABLE IF NOT EXISTS items AS SELECT 1 AS n")
print("open", flush=True)
time.sleep(60)
"""


@contextmanager
def opened(database: Path, **settings: object) -> Iterator[TableReader]:
    with open_destination(block(database, **settings)) as destination, destination.reading() as reader:
        yield reader


@contextmanager
def held_open(database: Path) -> "Iterator[subprocess.Popen[str]]":
    """Within: a process has the file open for writing."""
    command = [sys.executable, "-c", WRITER, str(database)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


@pytest.fixture
def writer(tmp_path: Path) -> "Iterator[subprocess.Popen[str]]":
    with held_open(tmp_path / "w.duckdb") as process:
        yield process


def test_a_look_waits_for_a_locked_file_and_names_its_holder(tmp_path: Path, writer: "subprocess.Popen[str]") -> None:
    held = pytest.raises(DestinationConnectionError, match=rf"PID {writer.pid}.*try again")
    with held, opened(tmp_path / "w.duckdb", lock_timeout=0):
        pass


def test_rows_committed_by_a_killed_writer_are_shown(tmp_path: Path, writer: "subprocess.Popen[str]") -> None:
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    with opened(tmp_path / "w.duckdb") as reader:
        assert (reader.count(), reader.rows(5).rows) == (1, [["1"]])


def test_a_file_without_the_table_or_the_schema_stays_as_it_is(tmp_path: Path) -> None:
    database = tmp_path / "w.duckdb"
    sql(database, "CREATE TABLE other AS SELECT 1 AS n")
    before = database.read_bytes()
    for settings in ({}, {"schema": "elsewhere"}):
        with pytest.raises(NoTableError, match=r"table 'items' in .* does not exist"), opened(database, **settings):
            pass
    assert database.read_bytes() == before


def test_rows_have_the_names_that_the_query_gives_them(tmp_path: Path) -> None:
    database = tmp_path / "w.duckdb"
    sql(database, "CREATE TABLE items AS SELECT 'x' AS \"a \"\"b\"\"\", {'k': [1]} AS nested, 'ab'::BLOB AS bytes")
    with opened(database) as reader:
        answer = reader.rows(1)
        assert [field.name for field in answer.columns] == ['a "b"', "nested", "bytes"]
        assert answer.rows == [["x", "{'k': [1]}", "ab"]]
        twice = reader.query("SELECT 1 AS a, 2 AS a", 1)
        assert ([field.name for field in twice.columns], twice.rows) == (["a", "a"], [["1", "2"]])


def test_a_column_that_a_torn_batch_has_added_is_in_the_receipt_of_the_next_one(tmp_path: Path) -> None:
    """A crash between a batch and its checkpoint leaves the column in staging."""
    with pipeline(block(tmp_path / "w.duckdb"), SourceSyncModes.FULL_REFRESH) as into:
        job = into.job()
        job.start()
        job.write(0, page({"id": 1, "more": "x"}))
        job.start()
        job.record(0, job.write(0, page({"id": 1, "more": "x"})).height)
        committed = job.resume_point().committed
    assert changes_of(committed) == ({"id": "int64", "more": "text"}, {})


@pytest.mark.parametrize(
    ("sql_text", "reason"),
    [
        ("SELECT 1; SELECT 2", "has 2 statements, .* write one"),
        ("-- nothing", "nothing to show"),
        (" ; ", "nothing to"),
    ],
)
def test_one_statement_is_shown(tmp_path: Path, sql_text: str, reason: str) -> None:
    """DuckDB ran two statements, and the answer to the last one was shown."""
    sql(tmp_path / "w.duckdb", "CREATE TABLE items AS SELECT 1 AS n")
    with opened(tmp_path / "w.duckdb") as reader:
        with pytest.raises(NotReadError, match=reason):
            reader.query(sql_text, 1)
        assert reader.query("SELECT n FROM items;", 1).rows == [["1"]]
