"""Every value arrives as it is in the database: no digit, no offset and no byte is lost on the way."""

import base64
from pathlib import Path
from typing import Any

import duckdb
import pytest
from connectors.sources.sql.sql_kit import Reading, created, postgres_url, sqlite_file
from mariadb import MariaDb
from postgres import Place

BYTES = base64.b64encode(b"\x00\xff").decode()

POSTGRES = {  # type and literal -> what arrives; numbers of JSON with a fraction as their text
    "numeric '1.10'": "1.10",
    "numeric '123456789012345678901234567890.123456789'": "123456789012345678901234567890.123456789",
    "numeric 'NaN'": "NaN",
    "numeric(5,0) '7'": "7",
    "bigint '9223372036854775807'": 9223372036854775807,
    "float4 '0.1'": "0.1",
    "float8 '0.30000000000000004'": "0.30000000000000004",
    "float8 'NaN'": "NaN",
    "float8 '-Infinity'": "-Infinity",
    "float8 '5e-324'": "5e-324",
    "bool 'true'": True,
    "bytea '\\x00ff'": BYTES,
    "bytea ''": "",
    "text 'é\\u2028\"'": 'é\\u2028"',
    "char(3) 'a'": "a  ",
    "timestamptz '2024-05-01 10:00:00.123456+02'": "2024-05-01T08:00:00.123456+00:00",
    "timestamptz 'infinity'": "infinity",
    "timestamptz '0044-03-15 00:00:00+00 BC'": "0044-03-15 00:00:00+00 BC",
    "timestamptz '12024-05-01 10:00+00'": "12024-05-01T10:00:00+00:00",
    "timestamp '2024-05-01 10:00'": "2024-05-01T10:00:00",
    "date '2024-05-01'": "2024-05-01",
    "date 'infinity'": "infinity",
    "time '24:00'": "24:00:00",
    "timetz '10:00:00+02'": "10:00:00+02:00",
    "timetz '10:00:00+05:30'": "10:00:00+05:30",
    "interval '1 month 2 days 03:04:05.6'": "P1M2DT3H4M5.6S",
    "interval '-1 year'": "P-1Y",
    "uuid '6f4ba4b4-8b0a-4dc0-8d3f-0a3b8f3a9a61'": "6f4ba4b4-8b0a-4dc0-8d3f-0a3b8f3a9a61",
    'json \'{"a":\n1.10, "a": 1e400}\'': {"a": "1e400"},
    "jsonb '[1.10, null]'": ["1.10", None],
    "int[] '{{1,2},{3,NULL}}'": [[1, 2], [3, None]],
    "numeric[] '{1.10,NaN}'": ["1.10", "NaN"],
    "timestamptz[] '{2024-05-01 10:00+02}'": ["2024-05-01T08:00:00+00:00"],
    "bytea[] '{\"\\\\x00ff\"}'": [BYTES],
    "jsonb[] '{\"{}\"}'": [{}],
    "int4range '[1,3)'": "[1,3)",
    "inet '10.0.0.0/8'": "10.0.0.0/8",
    "bit(3) '101'": "101",
    "text NULL": None,
}


@pytest.mark.parametrize("typed", POSTGRES, ids=range(len(POSTGRES)))
def test_values_of_postgres(postgres: Place, typed: str) -> None:
    kind, _, literal = typed.partition(" ")
    literal = literal if literal == "NULL" else f"'{literal[1:-1]}'"
    query = f"SELECT 1 AS id, CAST({literal} AS {kind}) AS value"
    read = Reading(url=postgres_url(created(postgres)), stream="q", queries={"q": query}, primary_key=["id"])
    assert read.records == [{"id": 1, "value": POSTGRES[typed]}]


def test_types_of_the_user_in_postgres(postgres: Place) -> None:
    created(postgres).rows("CREATE TYPE mood AS ENUM ('sad', 'ok')")
    postgres.rows("CREATE TYPE pair AS (amount numeric, mood mood)")
    postgres.rows("CREATE DOMAIN price AS numeric CHECK (VALUE > 0)")
    postgres.rows("CREATE TABLE t (id int PRIMARY KEY, one mood, many mood[], pair pair, price price)")
    postgres.rows("INSERT INTO t VALUES (1, 'ok', '{ok,NULL}', ROW(1.10, 'sad'), 2.50)")
    (record,) = Reading(url=postgres_url(postgres), stream="t").records
    assert record == {
        "id": 1,
        "one": "ok",
        "many": ["ok", None],
        "pair": {"amount": "1.10", "mood": "sad"},
        "price": "2.50",
    }


MARIADB = {
    "decimal(40,10) 12345678901234567890.0000000001": "12345678901234567890.0000000001",
    "bigint_unsigned 18446744073709551615": 18446744073709551615,
    "float 1234567": 1234567,
    "float 0.1": "0.1",
    "double 0.30000000000000004": "0.30000000000000004",
    "bit(10) b'101'": 5,
    "bit(64) b'1111111111111111111111111111111111111111111111111111111111111111'": 18446744073709551615,
    "year 2024": 2024,
    "date '0000-00-00'": "0000-00-00",
    "date '2024-00-10'": "2024-00-10",
    "datetime '0000-00-00'": "0000-00-00 00:00:00",
    "datetime(6) '2024-05-01 10:00:00.123456'": "2024-05-01T10:00:00.123456",
    "timestamp '2024-05-01 10:00:00'": "2024-05-01T08:00:00+00:00",
    "time '838:59:59'": "838:59:59",
    "time(2) '-12:00:00.25'": "-12:00:00.25",
    "set('p','q') 'p,q'": "p,q",
    "enum('z','a') 'a'": "a",
    "json '{\"a\": 1.10}'": {"a": "1.10"},
    "longtext '{\"a\": 1.10}'": '{"a": 1.10}',
    "varbinary(10) x'00ff'": BYTES,
    "blob x'00ff'": BYTES,
    "varchar(10) 'é\\0'": "é\0",
    "int(5)_zerofill 7": 7,
    "bool true": 1,
}


@pytest.mark.parametrize("typed", MARIADB, ids=range(len(MARIADB)))
def test_values_of_mariadb(mariadb: MariaDb, typed: str) -> None:
    kind, _, literal = typed.partition(" ")
    mariadb.run(f"CREATE TABLE t (id int PRIMARY KEY, value {kind.replace('_', ' ')})")
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = '', time_zone = '+02:00'")
        cursor.execute(f"INSERT INTO t VALUES (1, {literal}), (2, NULL)")
    read = Reading(url=mariadb.url, stream="t")
    assert read.column("value") == [MARIADB[typed], None]


def test_values_of_sqlite_have_types_of_their_own(tmp_path: Path) -> None:
    values: list[Any] = [1, 2.5, "text\0", b"\x00\xff", None, float("inf"), 2**63 - 1, "é"]
    url = sqlite_file(
        tmp_path / "f.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, value)",
        rows=list(enumerate(values)),
        insert="INSERT INTO t VALUES (?, ?)",
    )
    expected = [1, "2.5", "text\0", BYTES, None, "Infinity", 2**63 - 1, "é"]
    assert Reading(url=url, stream="t", page_size=3).column("value") == expected


def test_a_text_of_sqlite_that_is_not_utf_8_is_bytes(tmp_path: Path) -> None:
    create = "CREATE TABLE t (id INTEGER PRIMARY KEY, value TEXT)"
    url = sqlite_file(tmp_path / "f.db", create, "INSERT INTO t VALUES (1, CAST(x'00ff' AS TEXT))")
    assert Reading(url=url, stream="t").column("value") == [BYTES]


def test_json_of_sqlite_is_json_where_the_column_says_so(tmp_path: Path) -> None:
    create = "CREATE TABLE t (id INTEGER PRIMARY KEY, declared JSON, text TEXT)"
    insert = """INSERT INTO t VALUES (1, '{"a": 1.10}', '{"a": 1}'), (2, 'no json', 'x')"""
    read = Reading(url=sqlite_file(tmp_path / "f.db", create, insert), stream="t")
    assert read.column("declared") == [{"a": "1.10"}, "no json"]
    assert read.column("text") == ['{"a": 1}', "x"]


DUCKDB = {
    "DECIMAL(38,10) 1.10": "1.1000000000",
    "HUGEINT 170141183460469231731687303715884105727": 170141183460469231731687303715884105727,
    "FLOAT 0.1": "0.1",
    "DOUBLE 'nan'": "NaN",
    "TIMESTAMPTZ '2024-05-01 10:00:00+02'": "2024-05-01T08:00:00+00:00",
    "TIMESTAMP 'infinity'": "infinity",
    "TIMESTAMP_NS '2024-01-01 00:00:00.123456789'": "2024-01-01T00:00:00.123456789",
    "DATE 'infinity'": "infinity",
    "TIME '10:00:00.5'": "10:00:00.5",
    "INTERVAL '14 months 2 days 3 hours 500 milliseconds'": "P14M2DT3H0.5S",
    "BLOB '\\x00\\xFF'": BYTES,
    "JSON '{\"a\": 1.10}'": {"a": "1.10"},
    "UUID '6f4ba4b4-8b0a-4dc0-8d3f-0a3b8f3a9a61'": "6f4ba4b4-8b0a-4dc0-8d3f-0a3b8f3a9a61",
    "INTEGER[] [1, NULL]": [1, None],
    "BIT '101'": "101",
    "BOOLEAN true": True,
}


@pytest.mark.parametrize("typed", DUCKDB, ids=range(len(DUCKDB)))
def test_values_of_duckdb(tmp_path: Path, typed: str) -> None:
    kind, _, literal = typed.partition(" ")
    with duckdb.connect(str(tmp_path / "f.duckdb")) as connection:
        connection.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, value {kind})")
        connection.execute(f"INSERT INTO t VALUES (1, {literal}), (2, NULL)")
    read = Reading(url=f"duckdb:///{tmp_path / 'f.duckdb'}", stream="t")
    assert read.column("value") == [DUCKDB[typed], None]


def test_nested_values_of_duckdb(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "f.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, s STRUCT(a DECIMAL(5,2), b TIMESTAMP), m MAP(INT, INT))"
        )
        connection.execute("INSERT INTO t VALUES (1, {'a': 1.10, 'b': '2024-01-01'}, map {1: 2})")
    (record,) = Reading(url=f"duckdb:///{tmp_path / 'f.duckdb'}", stream="t").records
    assert record == {"id": 1, "s": {"a": "1.10", "b": "2024-01-01T00:00:00"}, "m": {"1": 2}}
