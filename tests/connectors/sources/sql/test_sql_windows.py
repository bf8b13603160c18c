"""Incremental runs: windows that meet, by times, numbers and texts; nulls; lookback; windows of the past."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from connectors.sources.sql.sql_kit import Reading, incremental_state, settle, source_of, sqlite_file
from connectors.sources.sql.test_sql_pages import Database
from connectors.sources.sql.test_sql_pages import database as database  # a fixture
from mariadb import MariaDb

from bizon.common.errors.errors import SourceFetchError

pytestmark = pytest.mark.matrix(share=6)

TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, seen {kind}, n INTEGER)"
STAMPS = {"sqlite": "TEXT", "duckdb": "TIMESTAMPTZ", "postgresql": "TIMESTAMPTZ", "mariadb": "DATETIME"}


def incremental(url: str, **block: Any) -> dict[str, Any]:
    return {"url": url, "stream": "t", "sync_mode": "incremental", "cursor_field": "seen", "page_size": 2, **block}


def with_table(database: Database, *rows: str) -> str:
    url, run = database
    run(TABLE.format(kind=STAMPS[url.partition(":")[0]]))
    run(f"INSERT INTO t VALUES {', '.join(rows)}")
    return url


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")


def test_windows_of_times_meet(database: Database) -> None:
    url = with_table(database, *(f"({each}, '2024-05-0{each} 10:00:00', {each})" for each in range(1, 6)))
    first = Reading(**incremental(url))
    assert first.ids == ["1", "2", "3", "4", "5"]
    now = ago(0)
    database[1](f"INSERT INTO t VALUES (6, '{now}', 6)")
    database[1](f"UPDATE t SET seen = '{now}' WHERE id = 2")
    settle()
    second = Reading(state=first.state, **incremental(url))
    assert second.ids == ["2", "6"]
    assert Reading(state=second.state, **incremental(url)).ids == []


def test_windows_of_numbers_meet(database: Database) -> None:
    url = with_table(database, "(1, NULL, 10)", "(2, NULL, 30)", "(3, NULL, 20)")
    block = incremental(url, cursor_field="n")
    first = Reading(**block)
    assert first.ids == ["1", "2", "3"]
    database[1]("INSERT INTO t VALUES (4, NULL, 50), (5, NULL, 40)")
    second = Reading(state=first.state, **block)
    assert second.ids == ["5", "4"]
    assert Reading(state=second.state, **block).ids == []
    assert Reading(state=second.state, lookback=10, **block).ids == ["4"]


def test_an_empty_table_leaves_everything_to_the_next_run(database: Database) -> None:
    url, run = database
    run(TABLE.format(kind=STAMPS[url.partition(":")[0]]))
    for cursor in ("seen", "n"):
        block = incremental(url, cursor_field=cursor)
        empty = Reading(**block)
        assert empty.ids == []
        run("INSERT INTO t VALUES (1, CURRENT_TIMESTAMP, 1)")
        settle()
        assert Reading(state=empty.state, **block).ids == ["1"]
        run("DELETE FROM t")


def test_a_window_keeps_its_end_when_a_run_is_resumed(database: Database) -> None:
    url = with_table(database, *(f"({each}, '2024-05-0{each} 10:00:00', {each})" for each in range(1, 6)))
    for cursor in ("seen", "n"):
        block = incremental(url, cursor_field=cursor)
        with closing(source_of(**block)) as source:
            page = source.get({})
        later = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        database[1](f"INSERT INTO t VALUES (9, '{later}', 9)")
        settle()
        with closing(source_of(**block)) as source:
            ids = list(page.records.ids)
            while page.next_pagination:
                page = source.get(page.next_pagination)
                ids += list(page.records.ids)
        assert ids == ["1", "2", "3", "4", "5"]
        assert Reading(state=page.next_state, **block).ids == ["9"]
        database[1]("DELETE FROM t WHERE id = 9")


def test_many_records_with_the_same_time_are_paged_by_their_key(database: Database) -> None:
    url = with_table(database, *(f"({each}, '2024-05-01 10:00:00', {each})" for each in range(9)))
    read = Reading(state={"cursor_field": "seen", "until": "2024-05-01 10:00:00"}, **incremental(url))
    assert read.ids == [str(each) for each in range(9)]
    assert {len(page) for page in read.pages[1:-1]} == {2}


def test_records_without_a_cursor(database: Database) -> None:
    url = with_table(database, "(1, '2024-05-01 10:00:00', 1)", "(2, NULL, 2)", "(3, NULL, 3)", "(4, NULL, 4)")
    included, excluded = incremental(url, null_cursor="include"), incremental(url, null_cursor="exclude")
    first = Reading(**included)
    assert first.ids == ["1", "2", "3", "4"]
    assert Reading(state=first.state, **included).ids == ["2", "3", "4"]
    assert Reading(**excluded).ids == ["1"]
    assert Reading(state=first.state, **excluded).ids == []
    for state in (None, first.state):
        with pytest.raises(
            SourceFetchError, match=r"column 'seen' is null in some records, and source.null_cursor is fail"
        ):
            Reading(state=state, **incremental(url, null_cursor="fail"))


def test_a_date_of_zeros_is_not_null(mariadb: MariaDb) -> None:
    """In MariaDB such a date "is null" where null is forbidden; the record would come twice."""
    mariadb.run("CREATE TABLE t (id INT PRIMARY KEY, seen DATETIME NOT NULL)")
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute("INSERT INTO t VALUES (1, '0000-00-00'), (2, '2024-05-01')")
    read = Reading(state={"cursor_field": "seen", "until": None}, **incremental(mariadb.url))
    assert read.ids == ["1", "2"]


def test_a_window_of_the_past(database: Database) -> None:
    url = with_table(database, *(f"({each}, '2024-05-0{each} 10:00:00', {each})" for each in range(1, 6)))
    window = incremental_state({}, datetime(2024, 5, 2, 10, tzinfo=UTC), datetime(2024, 5, 4, 10, tzinfo=UTC))
    with closing(source_of(**incremental(url, null_cursor="exclude", page_size=9))) as source:
        assert list(source.get_records_after(window, {}).records.ids) == ["2", "3"]
    with (
        closing(source_of(**incremental(url, cursor_field="n"))) as source,
        pytest.raises(SourceFetchError, match="does not tell the time, so it cannot find a window"),
    ):
        source.get_records_after(window, {})


def test_the_lookback_reads_the_end_of_the_last_window_again(database: Database) -> None:
    url = with_table(database, f"(1, '{ago(3600)}', 1)", f"(2, '{ago(30)}', 2)")
    block = incremental(url, null_cursor="exclude")
    first = Reading(**block)
    assert first.ids == ["1", "2"]
    database[1](f"INSERT INTO t VALUES (3, '{ago(20)}', 3)")
    assert Reading(state=first.state, **block).ids == []
    assert Reading(state=first.state, **block, lookback="2m").ids == ["2", "3"]
    assert Reading(state=first.state, **block, incremental_lookback=120).ids == ["2", "3"]


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%dT%H:%M:%SZ",
        "%Y-%m-%dT%H:%M:%S.%f",
        "%Y-%m-%d %H:%M:%S.%f+00:00",
        "%Y-%m-%dT%H:%M:%S+0000",
        "%Y-%m-%d %H:%M",
    ],
)
def test_texts_of_sqlite_that_are_times_are_compared_in_their_own_form(tmp_path: Path, form: str) -> None:
    now = datetime.now(UTC)
    rows = [(1, (now - timedelta(days=1)).strftime(form), 1), (2, (now + timedelta(days=1)).strftime(form), 2)]
    url = sqlite_file(tmp_path / "f.db", TABLE.format(kind="TEXT"), rows=rows, insert="INSERT INTO t VALUES (?, ?, ?)")
    read = Reading(**incremental(url))
    assert read.ids == ["1"]
    assert read.state is not None
    until = datetime.strptime(read.state["until"], form).replace(tzinfo=UTC)  # raises ValueError for another form
    assert abs(now - until) < timedelta(seconds=70)


def test_texts_of_sqlite_that_are_not_times_are_compared_as_they_are(tmp_path: Path) -> None:
    url = sqlite_file(tmp_path / "f.db", TABLE.format(kind="TEXT"), "INSERT INTO t VALUES (1, 'b', 1), (2, 'a', 2)")
    first = Reading(**incremental(url))
    sqlite_file(tmp_path / "f.db", "INSERT INTO t VALUES (3, 'c', 3)")
    assert Reading(state=first.state, **incremental(url)).ids == ["3"]
    with pytest.raises(SourceFetchError, match=r"source.lookback needs a cursor_field that is a time or a number"):
        Reading(state=first.state, **incremental(url, lookback=1))


def test_a_cursor_field_that_differs_from_the_last_run_is_refused(database: Database) -> None:
    url = with_table(database, "(1, '2024-05-01 10:00:00', 1)")
    first = Reading(**incremental(url))
    with pytest.raises(
        SourceFetchError, match=r"the last run went by column 'seen', this one goes by 'n': .* --full-refresh"
    ):
        Reading(state=first.state, **incremental(url, cursor_field="n"))


def test_records_have_the_time_of_the_cursor(database: Database) -> None:
    url = with_table(database, "(1, '2024-05-01 10:00:00', 1)")
    for block in (incremental(url), incremental(url, columns=["id"])):
        read = Reading(state={"cursor_field": "seen", "until": None}, **block)
        assert read.timestamps == [datetime(2024, 5, 1, 10, tzinfo=UTC)]


def test_a_stream_without_a_key_may_be_incremental(tmp_path: Path) -> None:
    url = sqlite_file(tmp_path / "f.db", "CREATE TABLE t (seen TEXT)", "INSERT INTO t VALUES ('2024-05-01'), (NULL)")
    first = Reading(fresh=False, **incremental(url))
    assert first.column("seen") == ["2024-05-01", None]
    sqlite_file(tmp_path / "f.db", f"INSERT INTO t VALUES ('{(datetime.now(UTC) - timedelta(days=1)).date()}')")
    again = {"cursor_field": "seen", "until": "2024-05-02"}
    assert len(Reading(fresh=False, state=again, **incremental(url, null_cursor="exclude")).records) == 1


def test_units_that_are_coarser_than_a_second(tmp_path: Path) -> None:
    rows = [(1, datetime.now(UTC).strftime("%Y-%m-%d %H:00:00"), 1)]
    url = sqlite_file(tmp_path / "f.db", TABLE.format(kind="TEXT"), rows=rows, insert="INSERT INTO t VALUES (?, ?, ?)")
    assert Reading(**incremental(url)).ids == ["1"]
    assert Reading(**incremental(url, cursor_resolution=3600)).ids == []
