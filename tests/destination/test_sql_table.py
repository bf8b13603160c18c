"""The kit for SQL tables: owners, frozen starts in sync mode stream, names, and how SQL is spelled."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bizon.common.errors.errors import (
    ConfigError,
    DestinationConnectionError,
    DestinationWriteError,
    OvertakenError,
    RowsRejectedError,
)
from bizon.destination.config import AbstractDestinationConfig, AbstractDestinationDetailsConfig
from bizon.destination.sql_rows import staging_name
from bizon.destination.sql_table import SqlTableDestination
from bizon.destination.sql_target import MARIADB, SQLITE, Dialect, SqlTarget, Transaction
from bizon.testing.destination import INCREMENTAL, STREAM, DestinationConformance
from bizon.testing.destination_jobs import Job, Pipeline, records
from bizon.testing.destination_late import FrozenStart

COLUMNS = "bizon_id, bizon_extracted_at, bizon_loaded_at, source_record_id, source_timestamp, source_data"


class Ledger(SqlTableDestination):
    """A table of a SQLite database in the working directory."""

    driver = sqlite3
    dialect = SQLITE
    place = "ledger.db"

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect("ledger.db", timeout=0)


@pytest.fixture(autouse=True)
def _in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pipeline() -> Iterator[Any]:
    suite = DestinationConformance()
    suite.build = lambda *parts: Ledger(*parts)  # type: ignore[method-assign]
    details = AbstractDestinationDetailsConfig(destination_id="items")
    config = AbstractDestinationConfig(name="file", alias="ledger", config=details)
    yield from DestinationConformance.pipeline.__wrapped__(suite, config)  # type: ignore[attr-defined]


def query(statement: str) -> list[Any]:
    with sqlite3.connect("ledger.db") as database:
        found = database.execute(statement).fetchall()
    database.close()
    return found


def ids() -> list[str]:
    return sorted(id_ for (id_,) in query("SELECT source_record_id FROM items"))


def test_a_frozen_start_of_a_stream_writes_nothing(pipeline: Any) -> None:
    job: Job = pipeline(STREAM).job()
    job.start()
    job.commit(0, records("a"))
    frozen = FrozenStart(job)
    job.start()
    frozen.write(1, records("b"))
    job.commit(1, records("b"))
    frozen.write(2, records("c"))
    assert ids() == ["a", "b"]


def test_a_start_that_is_superseded_says_so(pipeline: Any) -> None:
    job: Job = pipeline(INCREMENTAL).job()
    job.start()
    first = job.destination
    job.start()
    with pytest.raises(OvertakenError):
        first.finalize()


def test_rows_that_bizon_did_not_write_are_left_alone_until_they_are_adopted(pipeline: Any) -> None:
    query(f"CREATE TABLE items ({COLUMNS})")
    query("INSERT INTO items (source_record_id) VALUES ('theirs')")
    into: Pipeline = pipeline(INCREMENTAL)
    with pytest.raises(DestinationConnectionError, match="has rows that no run of bizon wrote; nothing was changed"):
        into.load(records("a"))
    into.job().run(records("a"), adopt=True)
    assert ids() == ["a", "theirs"]


def test_a_table_of_another_shape_is_an_error_before_anything_is_fetched(pipeline: Any) -> None:
    """The error was the driver's, without a remedy, and `bizon check` found nothing wrong."""
    query("CREATE TABLE items (source_data)")
    with pytest.raises(DestinationConnectionError, match=r"table 'items' has no column bizon_id, .*destination_id"):
        pipeline(INCREMENTAL).job().start()
    looks = pipeline(INCREMENTAL).open("looks")
    looks.only_looks = True
    with pytest.raises(DestinationConnectionError, match="table 'items' has no column bizon_id"):
        looks.check_connection()


def test_a_look_creates_no_table(pipeline: Any) -> None:
    looks = pipeline(INCREMENTAL).open("looks")
    looks.only_looks = True
    assert looks.check_connection()
    assert query("SELECT name FROM sqlite_master") == []


@pytest.fixture
def short_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database whose names have at most five characters."""
    monkeypatch.setattr(Ledger, "dialect", replace(SQLITE, longest_name=5, counts_characters=True))


@pytest.mark.parametrize("only_looks", [True, False])
@pytest.mark.usefixtures("short_names")
def test_a_name_that_the_database_does_not_take_is_refused_before_anything_is_created(
    pipeline: Any, only_looks: bool
) -> None:
    """It was an error of the driver that named no key, in the middle of the first write."""
    destination = pipeline(INCREMENTAL).open("looks")
    destination.config = destination.config.model_copy(update={"destination_id": "itemss"})
    destination.only_looks = only_looks
    with pytest.raises(
        ConfigError, match=r"table 'itemss' has 6 characters, and the database takes 5; set another"
    ) as no:
        destination.check_connection()
    assert no.value.key == ("destination", "config", "destination_id")
    assert not Path("ledger.db").exists()


@pytest.mark.usefixtures("short_names")
def test_a_row_that_names_a_table_with_too_long_a_name_is_refused(pipeline: Any) -> None:
    job: Job = pipeline(STREAM).job()
    job.start()
    with pytest.raises(RowsRejectedError, match="table 'itemss' has 6 characters"):
        job.write(0, records("a"), table="itemss")
    job.commit(0, records("b"))
    assert ids() == ["b"]


@pytest.mark.parametrize("name", ["", "x\0", "_bizon_outputs", "_Bizon_last_rows"])
def test_a_row_that_names_no_table_is_refused(pipeline: Any, name: str) -> None:
    job: Job = pipeline(STREAM).job()
    job.start()
    rows = job.write(0, records("a"))
    job.destination.destination_id = name
    with pytest.raises(RowsRejectedError, match=r"does not name a table|begins with _bizon_"):
        job.destination.write_records(rows)


@pytest.mark.parametrize(
    ("columns", "why"),
    [(COLUMNS, "has rows that no run of bizon wrote"), ("source_record_id", "has no column bizon_id")],
)
def test_a_row_that_names_a_table_which_bizon_did_not_write_is_refused_alone(
    pipeline: Any, columns: str, why: str
) -> None:
    """The write was tried for half a minute, and the run failed at each start."""
    query(f"CREATE TABLE theirs ({columns})")
    query("INSERT INTO theirs (source_record_id) VALUES ('theirs')")
    job: Job = pipeline(STREAM).job()
    job.start()
    with pytest.raises(RowsRejectedError, match=f"destination_id 'theirs': table 'theirs' {why}") as refused:
        job.write(0, records("a", "b"), table="theirs")
    assert set(refused.value.reasons) == {0, 1}
    job.commit(0, records("c"))
    assert ids() == ["c"]
    assert query("SELECT source_record_id FROM theirs") == [("theirs",)]


def test_a_row_that_names_the_staging_table_of_another_pipeline_is_refused(pipeline: Any) -> None:
    """An empty one was taken, and the rows were in the way of its pipeline."""
    theirs: Job = pipeline(INCREMENTAL, "other", "theirs").job()
    theirs.start()
    ((staging,),) = query("SELECT name FROM sqlite_master WHERE name LIKE 'other_incremental%'")
    job: Job = pipeline(STREAM).job()
    job.start()
    with pytest.raises(RowsRejectedError, match="is the staging table of "):
        job.write(0, records("a"), table=staging)
    theirs.commit(0, records("b"))
    theirs.publish()
    assert query("SELECT source_record_id FROM other") == [("b",)]


def test_a_configured_table_that_becomes_somebody_elses_still_ends_the_run(pipeline: Any) -> None:
    """Every row would be refused, and no row would ever arrive."""
    job: Job = pipeline(STREAM).job()
    job.start()
    query("ALTER TABLE items RENAME TO gone")
    query("CREATE TABLE items (theirs)")
    job.destination._known.clear()  # as in the next run
    with pytest.raises(DestinationConnectionError, match="no run of bizon created it"):
        job.write(0, records("a"))


def test_a_database_that_cannot_be_reached_refuses_no_row(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job: Job = pipeline(STREAM).job()
    job.start()
    unreachable = DestinationConnectionError("unreachable")
    monkeypatch.setattr(job.destination.target, "_connect", lambda: (_ for _ in ()).throw(unreachable))
    job.destination.close()
    with pytest.raises(DestinationConnectionError, match=r"^unreachable$"):
        job.write(0, records("a"), table="other")


def test_names_are_measured_as_the_database_does() -> None:
    assert MARIADB.fault_of("\u00e9" * 64) is None
    assert MARIADB.fault_of("a" * 65) == f"the name of table '{'a' * 65}' has 65 characters, and the database takes 64"
    assert "has 64 bytes" in str(Dialect().fault_of("\u00e9" * 32))
    assert SQLITE.fault_of("a" * 1000) is None


def test_staging_of_an_abandoned_job_is_dropped_by_the_next(pipeline: Any) -> None:
    into: Pipeline = pipeline(INCREMENTAL)
    given_up = into.job()
    given_up.start()
    given_up.commit(0, records("a"))
    into.load(records("b"))
    assert ids() == ["b"]
    names = {name for (name,) in query("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names == {"items", "_bizon_outputs"}


def test_a_locked_database_is_worth_another_try(pipeline: Any) -> None:
    job: Job = pipeline(INCREMENTAL).job()
    job.start()
    other = sqlite3.connect("ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DestinationWriteError, match="database is locked") as failed:
        job.write(0, records("a"))
    assert failed.value.retryable
    other.close()
    job.commit(0, records("a"))
    job.publish()
    assert ids() == ["a"]


def test_the_name_of_a_staging_table_fits_and_differs_by_job() -> None:
    names = {staging_name("\u00e9" * 60, "incremental", job, Dialect()) for job in ("a", "b")}
    assert len(names) == 2
    assert all(len(name.encode()) <= 63 for name in names)
    assert len(staging_name("a" * 100, "temp", "a", SQLITE)) == 63
    assert staging_name("orders", "temp", "a", MARIADB).startswith("orders_temp_")


class Cursor:
    """Records the statements that it is asked to execute."""

    def execute(self, statement: str, values: Any) -> None:
        self.asked = statement, values


@pytest.mark.parametrize(
    ("style", "quote", "spelled"),
    [
        ("qmark", '"', 'UPDATE "a""b%?" SET x = ?, y = ?'),
        ("format", "`", 'UPDATE `a"b%%?` SET x = %s, y = %s'),
        ("numeric", '"', 'UPDATE "a""b%?" SET x = :1, y = :2'),
    ],
)
def test_names_are_quoted_and_values_are_placeholders(style: str, quote: str, spelled: str) -> None:
    cursor = Cursor()
    Transaction(cursor, style, quote).run("UPDATE {table} SET x = ?, y = ?", 1, 2, table='a"b%?')
    assert cursor.asked == (spelled, (1, 2))


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    target = SqlTarget(sqlite3, lambda: sqlite3.connect(tmp_path / "x.db"), SQLITE)
    with target.transaction() as within:
        within.run("CREATE TABLE {t} (a)", t="t")
    with pytest.raises(sqlite3.OperationalError), target.transaction() as within:
        within.run_for_each("INSERT INTO {t} VALUES (?)", [(1,)], t="t") or within.run("no statement")
    with target.transaction() as within:
        assert within.rows("SELECT * FROM {t}", t="t") == []
    target.close()
