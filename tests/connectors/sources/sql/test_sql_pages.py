"""Pages begin after the key of the last record, and no record is lost or doubled between two of them."""

import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from connectors.sources.sql.sql_kit import Reading, created, numbers, postgres_url, source_of, sqlite_file
from mariadb import MariaDb
from postgres import Place

from bizon.common.errors.errors import SourceFetchError
from bizon.source.models import RESTARTS

pytestmark = pytest.mark.matrix(share=4)

KEYED = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)"
INSERT = "INSERT INTO t VALUES (?, ?)"

Database = tuple[str, Callable[..., Any]]
"""An address, and what runs a statement there."""


@pytest.fixture(params=["sqlite", "duckdb", "postgres", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """A database of each kind."""
    if request.param == "sqlite":
        path = tmp_path / "file.db"
        sqlite_file(path, "PRAGMA journal_mode = WAL")
        return f"sqlite:///{path}", lambda statement: sqlite_file(path, statement)
    if request.param == "duckdb":
        path = tmp_path / "file.duckdb"

        def run(statement: str) -> None:
            with duckdb.connect(str(path)) as connection:
                connection.execute(statement)

        return f"duckdb:///{path}", run
    if request.param == "postgres":
        place: Place = request.getfixturevalue("postgres")
        return postgres_url(created(place)), place.rows
    server: MariaDb = request.getfixturevalue("mariadb")
    return server.url, server.run


def test_a_key_of_several_columns(database: Database) -> None:
    url, run = database
    run("CREATE TABLE t (a INTEGER, b VARCHAR(10), c INTEGER, PRIMARY KEY (a, b, c))")
    rows = [(a, b, c) for a in (1, 2) for b in ("x", "y") for c in (1, 2, 3)]
    run(f"INSERT INTO t VALUES {', '.join(map(str, rows))}")
    read = Reading(url=url, stream="t", page_size=5)
    assert [(each["a"], each["b"], each["c"]) for each in read.records] == rows
    assert read.ids[0] == '[1,"x",1]'
    assert [len(page) for page in read.pages] == [5, 5, 2]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
def test_the_last_page_is_known_to_be_the_last(database: Database, count: int) -> None:
    url, run = database
    run("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    if count:
        run(f"INSERT INTO t VALUES {', '.join(f'({each})' for each in range(count))}")
    read = Reading(url=url, stream="t", page_size=2)
    assert read.column("id") == list(range(count))
    assert len(read.pages) == max(1, -(-count // 2))


TYPES = {  # of keys, with values whose order as text is not their order
    "DECIMAL(30,10)": ["1.0000000001", "1.0000000002", "12345678901234567890.0000000001", "9", "-3"],
    "DOUBLE PRECISION": ["0.1", "0.30000000000000004", "1e300", "10", "9", "-1e-300"],
    "TIMESTAMP": ["'2024-05-01 10:00:00'", "'2024-05-01 10:00:01'", "'2024-10-01 00:00:00'", "'2024-09-30 00:00:00'"],
    "DATE": ["'2024-05-01'", "'2024-05-02'", "'2024-10-01'"],
    "VARCHAR(20)": ["'a'", "'B'", "'é'", "'x''y'", "'%(x)s :y ? \\'", "''"],
    "BIGINT": ["9007199254740993", "9007199254740992", "-9223372036854775808", "9223372036854775807"],
}


@pytest.mark.parametrize("kind", TYPES)
def test_a_key_of_any_type(database: Database, kind: str) -> None:
    url, run = database
    values = list(TYPES[kind])
    if url.startswith("mariadb"):
        values = [value.replace("\\", "\\\\") for value in values]
        kind = "DATETIME" if kind == "TIMESTAMP" else kind
    run(f"CREATE TABLE t (k {kind} NOT NULL PRIMARY KEY, n INTEGER)")
    run(f"INSERT INTO t VALUES {', '.join(f'({value}, {at})' for at, value in enumerate(values))}")
    read = Reading(url=url, stream="t", page_size=1)
    assert sorted(read.column("n")) == list(range(len(values)))
    assert len(read.pages) == len(values)


POSTGRES_KEYS = {
    "float4": ["0.1", "0.2", "16777217", "'NaN'", "'-Infinity'"],
    "numeric": ["'NaN'", "1.1", "1.10000000000000000000000000000000001", "99999999999999999999999999999999"],
    "timestamptz": ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'10000-01-01'", "'2024-05-01 10:00:00.000001+02'"],
    "interval": ["'1 month'", "'29 days'", "'1 month 1 microsecond'"],
    "uuid": ["'00000000-0000-0000-0000-000000000001'", "'ffffffff-0000-0000-0000-000000000000'"],
    "bytea": ["'\\x00'", "'\\x'", "'\\xff00'"],
    "text": ["'ü'", "'u'", "'U'", "E'a\\nb'", "'\U0001f9ac'"],
    "inet": ["'10.0.0.1'", "'9.0.0.1'", "'::1'"],
    "int[]": ["'{1,2}'", "'{1}'", "'{10}'"],
    "jsonb": ["'{}'", "'[]'", "'1.10'"],
    "bool": ["true", "false"],
    "mood": ["'z'", "'a'"],
    "date": ["'infinity'", "'10000-01-01'", "'2024-05-01'"],
}


@pytest.mark.parametrize("kind", POSTGRES_KEYS)
def test_a_key_of_a_type_of_postgres(postgres: Place, kind: str) -> None:
    created(postgres).rows("CREATE TYPE mood AS ENUM ('z', 'a')")
    postgres.rows(f"CREATE TABLE t (k {kind} PRIMARY KEY, n int)")
    for at, value in enumerate(POSTGRES_KEYS[kind]):
        postgres.rows(f"INSERT INTO t VALUES ({value}, {at})")
    read = Reading(url=postgres_url(postgres), stream="t", page_size=1)
    assert sorted(read.column("n")) == list(range(len(POSTGRES_KEYS[kind])))


MARIADB_KEYS = {
    "DECIMAL(30,10)": ["12345678901234567890.0000000001", "12345678901234567890.0000000002", "9", "10"],
    "FLOAT": ["0.1", "0.2", "1234567", "1234568"],
    "ENUM('z','a','m')": ["'z'", "'a'", "'m'"],
    "BIT(10)": ["b'1'", "b'1111111111'", "b'10'"],
    "BIGINT UNSIGNED": ["18446744073709551615", "9223372036854775808", "1"],
    "DATETIME(6)": ["'2024-05-01 10:00:00.000001'", "'2024-05-01 10:00:00.000002'", "'0000-00-00'"],
    "TIMESTAMP(3)": ["'2024-05-01 10:00:00.001'", "'2024-05-01 10:00:00.002'"],
    "TIME": ["'838:59:59'", "'-10:00:00'", "'09:00:00'"],
    "VARBINARY(5)": ["x'00'", "x'ff00'", "x''"],
    "YEAR": ["2024", "1999"],
    "UUID": ["'6f4ba4b4-8b0a-4dc0-8d3f-0a3b8f3a9a61'", "'00000000-0000-0000-0000-000000000001'"],
}


@pytest.mark.parametrize("kind", MARIADB_KEYS)
def test_a_key_of_a_type_of_mariadb(mariadb: MariaDb, kind: str) -> None:
    mariadb.run(f"CREATE TABLE t (k {kind} PRIMARY KEY, n int)")
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        for at, value in enumerate(MARIADB_KEYS[kind]):
            cursor.execute(f"INSERT INTO t VALUES ({value}, {at})")
    read = Reading(url=mariadb.url, stream="t", page_size=1)
    assert sorted(read.column("n")) == list(range(len(MARIADB_KEYS[kind])))


def test_keys_that_collate_case_insensitively(mariadb: MariaDb) -> None:
    """Without the collation of the column a page would begin at another place than the one before has ended."""
    mariadb.run("CREATE TABLE t (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY)")
    names = ["alpha", "Beta", "gamma", "Delta", "épsilon", "Zeta", "eta"]
    mariadb.run(f"INSERT INTO t VALUES {', '.join(f'({name!r})' for name in names)}")
    read = Reading(url=mariadb.url, stream="t", page_size=2)
    assert read.column("k") == ["alpha", "Beta", "Delta", "épsilon", "eta", "gamma", "Zeta"]


def test_keys_of_different_types_in_one_column_of_sqlite(tmp_path: Path) -> None:
    values: list[Any] = [3, 2.5, "10", "9", b"\x00", "\0", -1, 2**63 - 1, float("inf"), float("-inf")]
    url = sqlite_file(
        tmp_path / "f.db",
        "CREATE TABLE t (k PRIMARY KEY, n)",
        rows=[(value, at) for at, value in enumerate(values)],
        insert=INSERT,
    )
    read = Reading(url=url, stream="t", page_size=1)
    assert sorted(read.column("n")) == list(range(len(values)))


def test_a_key_that_is_null_in_some_records_is_refused(tmp_path: Path) -> None:
    """SQLite lets NULL into a primary key; no page would reach such a row."""
    url = sqlite_file(tmp_path / "f.db", "CREATE TABLE t (k TEXT PRIMARY KEY)", "INSERT INTO t VALUES (NULL), ('a')")
    with pytest.raises(SourceFetchError, match="column 'k' of the primary key is null in some records"):
        Reading(url=url, stream="t")


def test_a_key_that_is_not_unique_is_refused(database: Database) -> None:
    url, run = database
    run("CREATE TABLE t (id INTEGER PRIMARY KEY, k VARCHAR(10))")
    run("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'b'), (4, 'c')")
    with pytest.raises(SourceFetchError, match=r"source.primary_key \(k\) does not identify a record"):
        Reading(url=url, stream="t", primary_key=["k"], page_size=2)
    assert len(Reading(url=url, stream="t", primary_key=["k", "id"], page_size=2).records) == 4


def test_a_key_that_is_unique_only_for_another_collation_is_refused(mariadb: MariaDb) -> None:
    mariadb.run("CREATE TABLE t (id INT PRIMARY KEY, k VARCHAR(10) COLLATE utf8mb4_general_ci)")
    mariadb.run("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'B'), (4, 'c')")
    with pytest.raises(SourceFetchError, match="does not identify a record"):
        Reading(url=mariadb.url, stream="t", primary_key=["k"], page_size=2)
    mariadb.run("ALTER TABLE t MODIFY k VARCHAR(10) COLLATE utf8mb4_bin")
    assert len(Reading(url=mariadb.url, stream="t", primary_key=["k"], page_size=2).records) == 4


def test_a_view_and_a_query_have_the_key_that_the_configuration_names(database: Database) -> None:
    url, run = database
    run("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20))")
    run(f"INSERT INTO t VALUES {', '.join(map(str, numbers(7)))}")
    run("CREATE VIEW v AS SELECT id * 10 AS big, name FROM t")
    read = Reading(url=url, stream="v", primary_key=["big"], page_size=3)
    assert read.column("big") == [each * 10 for each in range(7)]
    queries = {"few": "SELECT id, name AS \"the name\" FROM t WHERE name <> 'a:b' AND id > 2 -- and no more\n;"}
    if url.startswith("mariadb"):
        queries = {"few": queries["few"].replace('"', "`")}
    read = Reading(url=url, stream="few", queries=queries, primary_key=["id"], page_size=3)
    assert read.column("id") == [3, 4, 5, 6]
    assert read.column("the name")[0] == "name 3"


def test_columns_and_where_choose_and_the_key_need_not_be_delivered(database: Database) -> None:
    url, run = database
    run("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20))")
    run(f"INSERT INTO t VALUES {', '.join(map(str, numbers(7)))}")
    read = Reading(
        url=url, stream="t", columns=["name"], where="name LIKE 'name%' AND id % 2 = 0 OR id = 1", page_size=2
    )
    assert read.records == [{"name": f"name {each}"} for each in (0, 1, 2, 4, 6)]
    assert read.ids == ["0", "1", "2", "4", "6"]


def test_names_that_need_quotes(database: Database) -> None:
    url, run = database
    quote = "`" if url.startswith("mariadb") else '"'
    table, column = f"{quote}My 100% table{quote}", f"{quote}order: by %(x)s{quote}"
    run(f"CREATE TABLE {table} ({column} INTEGER PRIMARY KEY, {quote}at{quote} INTEGER)")
    run(f"INSERT INTO {table} VALUES (1, 2), (2, 3)")
    read = Reading(url=url, stream="My 100% table", page_size=1)
    assert read.records == [{"order: by %(x)s": 1, "at": 2}, {"order: by %(x)s": 2, "at": 3}]


def test_a_table_of_another_schema(postgres: Place, mariadb: MariaDb) -> None:
    created(postgres).rows('CREATE TABLE "a.b" (id int PRIMARY KEY)')
    postgres.rows('INSERT INTO "a.b" VALUES (1)')
    assert Reading(url=postgres_url(postgres), stream="a.b").ids == ["1"]
    mariadb.run("CREATE TABLE t (id int PRIMARY KEY)")
    mariadb.run("INSERT INTO t VALUES (1)")
    url = mariadb._replace(database="mysql").url
    assert Reading(url=url, stream=f"{mariadb.database}.t").ids == ["1"]


def test_the_row_number_of_sqlite_may_be_the_key(tmp_path: Path) -> None:
    url = sqlite_file(tmp_path / "f.db", "CREATE TABLE t (a, b)", rows=list(numbers(5)), insert=INSERT)
    read = Reading(url=url, stream="t", primary_key=["rowid"], page_size=2)
    assert read.column("a") == list(range(5))
    assert read.ids == ["1", "2", "3", "4", "5"]


def test_a_checkpoint_of_another_key_is_refused(tmp_path: Path) -> None:
    url = sqlite_file(tmp_path / "f.db", KEYED, rows=list(numbers(5)), insert=INSERT)
    with closing(source_of(url=url, stream="t", page_size=2)) as source:
        pagination = source.get({}).next_pagination
    with (
        closing(source_of(url=url, stream="t", primary_key=["name", "id"])) as source,
        pytest.raises(SourceFetchError, match=r"continues after a value of \(id\), and the key is now \(name, id\)"),
    ):
        source.get(pagination)


@pytest.mark.parametrize("seed", range(3))
def test_rows_that_are_deleted_and_inserted_meanwhile_do_not_move_the_others(tmp_path: Path, seed: int) -> None:
    url = sqlite_file(tmp_path / "f.db", KEYED, rows=list(numbers(60)), insert=INSERT)
    chance = random.Random(seed)
    stay = set(chance.sample(range(60), 40))
    source, pagination, ids = source_of(url=url, stream="t", page_size=7), {}, []
    while True:
        page = source.get(pagination)
        ids += list(page.records.ids)
        pagination = page.next_pagination
        if not pagination:
            break
        gone = chance.choice(sorted(set(range(60)) - stay))
        sqlite_file(tmp_path / "f.db", f"DELETE FROM t WHERE id = {gone}", f"INSERT INTO t VALUES ({-len(ids)}, 'new')")
    source.close()
    assert len(ids) == len(set(ids))
    assert {str(each) for each in stay} <= set(ids)


def test_a_stream_without_a_key_is_read_once_by_one_cursor(database: Database) -> None:
    url, run = database
    run("CREATE TABLE t (name VARCHAR(20))")
    run(f"INSERT INTO t VALUES {', '.join(f'({name!r})' for _, name in numbers(7))}")
    read = Reading(url=url, stream="t", page_size=3, fresh=False)
    assert sorted(read.column("name")) == [name for _, name in numbers(7)]
    assert [len(page) for page in read.pages] == [3, 3, 1]
    assert read.paginations == [{"row": 3, RESTARTS: True}, {"row": 6, RESTARTS: True}, {}]
    assert read.ids == [str(each) for each in range(7)]
    with pytest.raises(SourceFetchError, match="a stream without a key cannot continue in the middle"):
        Reading(url=url, stream="t", page_size=3, fresh=True)


@pytest.mark.parametrize("count", [0, 3, 6])
def test_a_stream_without_a_key_knows_its_last_page(tmp_path: Path, count: int) -> None:
    rows = [(number,) for number in range(count)]
    url = sqlite_file(tmp_path / "f.db", "CREATE TABLE t (a)", rows=rows, insert="INSERT INTO t VALUES (?)")
    read = Reading(url=url, stream="t", page_size=3, fresh=False)
    assert len(read.records) == count
    assert len(read.pages) == max(1, count // 3)
