"""Names that are SQL: keys of records, tables and schemas of any text arrive as they are, and nothing else of the
database changes."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import matrices
import pytest
from connectors.destinations.duckdb import kit as duckdb_kit
from connectors.destinations.duckdb import test_duckdb_rules as duckdb_rules
from connectors.destinations.postgres import kit as postgres_kit
from connectors.destinations.postgres import test_postgres_rules as postgres_rules
from connectors.destinations.table_kit import FULL_REFRESH, INCREMENTAL, STREAM, load, pipeline
from destinations import open_destination
from hypothesis import given, settings
from hypothesis import strategies as st
from postgres import Place

from bizon.common.errors.errors import TableRefusedError
from bizon.source.models import SourceRecord
from bizon.testing.destination_jobs import RawPage

PIECES = [
    '"',
    "'",
    ";",
    "--",
    "/*",
    "*/",
    "%",
    "%s",
    "%%",
    "%(a)s",
    "{",
    "}",
    "{table}",
    "{c0}",
    "\\",
    "\\'",
    "$$",
    "?",
]
PIECES += [":a", "$1", "`", "[", "]", "\n", "\t", "\r", ".", ",", " ", "\0", "\ud800", "\ufeff", "\u202e", "\u200b"]
PIECES += ["\uff02", "\u02bc", "\u2018", "\uff1b", "\u0430", "a\u0301", "\u00e1", "\u017f", "K", "\u212a", "\U0001f600"]
PIECES += ['"; DROP TABLE kept; --', "'); DELETE FROM kept; --", 'x" FROM kept; --', "a", "A", "id"]
NAMES = [
    '"; DROP TABLE kept; --',
    "'); DELETE FROM kept; --",
    "100% {table} {{}} %s %(a)s",
    "a\\b\n? $1 :x /* */ `c`",
    "\uff02; DROP TABLE kept\uff1b \u202ea\u0301\u200b\U0001f600",
]
KEYS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join) | st.text(min_size=1, max_size=40)
VALUES = st.integers(-(2**63), 2**63 - 1) | st.text(max_size=9) | st.booleans() | st.lists(st.sampled_from(PIECES))
RECORDS = st.lists(st.dictionaries(KEYS, VALUES, max_size=8), min_size=1, max_size=3)
OUR_TABLES = {"_bizon_outputs", "_bizon_commits", "kept"}
Ask = Callable[[str], list[tuple[Any, ...]]]


class Database:
    """A place with a table ``kept``, which nobody must change. ``suite``: reads the table ``items``."""

    def __init__(self, suite: Any, block: Callable[..., Any], ask: Ask, tables: Callable[[], Sequence[str]]) -> None:
        self.suite, self.block, self.ask, self.tables = suite, block, ask, tables
        ask("CREATE TABLE kept (id INTEGER)")
        ask("INSERT INTO kept VALUES (7)")

    def expect_untouched(self, *more: str) -> None:
        """Fail unless there are these tables and the tables of bizon, and the one to keep has its row."""
        assert {*self.tables()} - OUR_TABLES == {*more}
        assert self.ask("SELECT * FROM kept") == [(7,)]


@contextmanager
def in_duckdb(folder: Path) -> Iterator[Database]:
    file = folder / f"{uuid4().hex}.duckdb"

    def ask(statement: str) -> list[tuple[Any, ...]]:
        return duckdb_kit.sql(file, statement)

    yield Database(
        duckdb_rules.TestDuckdb(),
        lambda **more: duckdb_kit.block(file, **more),
        ask,
        lambda: [name for (name,) in ask("SELECT table_name FROM duckdb_tables()")],
    )


@contextmanager
def in_postgres(place: Place) -> Iterator[Database]:
    suite = postgres_rules.TestPostgres()
    suite.at = place
    place.rows(f"CREATE SCHEMA {place.quoted_schema}")
    try:
        yield Database(
            suite,
            lambda **more: postgres_kit.block(place, **more),
            place.rows,
            lambda: postgres_kit.tables(place),
        )
    finally:
        place.drop()


def keys_arrive(database: Database, records: Sequence[dict[str, Any]]) -> None:
    texts = RawPage((str(number), json.dumps(record)) for number, record in enumerate(records))
    with pipeline(database.block(verify="values"), FULL_REFRESH) as into:
        into.load(texts)
    database.suite.expect_kept(database.block(), texts)
    database.expect_untouched("items")


@settings(max_examples=matrices.examples(240))
@given(records=RECORDS)
def test_keys_of_any_text_arrive_in_duckdb(tmp_path_factory: pytest.TempPathFactory, records: list[Any]) -> None:
    with in_duckdb(tmp_path_factory.getbasetemp()) as database:
        keys_arrive(database, records)


def test_keys_of_any_text_arrive_in_postgres(postgres: Place) -> None:
    @settings(max_examples=matrices.examples(240))
    @given(records=RECORDS)
    def check(records: list[Any]) -> None:
        with in_postgres(postgres) as database:
            keys_arrive(database, records)

    check()


def tables_arrive(database: Database, name: str) -> None:
    """A table of this name, with columns of such names, in each way to write it."""
    key, version, gone = f"key {name}", f"version {name}", f"gone {name}"
    merge = {
        "write_mode": "merge",
        "primary_key": [key],
        "version": version,
        "deletes": "remove",
        "deleted_field": gone,
    }
    quoted, column = (f'"{each.replace(chr(34), chr(34) * 2)}"' for each in (name, key))
    first = [SourceRecord(id=str(n), data={key: n, version: 1, gone: False, "n": name}) for n in (1, 2)]
    last = [SourceRecord(id="x", data={key: 1, version: 2, gone: True})]
    for mode, settings_ in ((FULL_REFRESH, {}), (INCREMENTAL, merge), (STREAM, merge)):
        block = database.block(destination_id=name, verify="values", **settings_)
        for _ in range(2):
            with pipeline(block, mode) as into:
                into.has_history = True
                into.load(first, last) if settings_ else into.load(first)
        found = database.ask(f"SELECT {column}, n FROM {quoted} ORDER BY 1")
        assert found == ([(2, name)] if settings_ else [(1, name), (2, name)]), mode
        left = [table for table in database.tables() if table not in {*OUR_TABLES, name}]
        assert all("_removed_" in table for table in left), left
        for table in (name, *left):
            database.ask(f'DROP TABLE "{table.replace(chr(34), chr(34) * 2)}"')
        database.expect_untouched()


@pytest.mark.parametrize("name", NAMES)
def test_tables_of_any_name_are_written_in_duckdb(tmp_path: Path, name: str) -> None:
    with in_duckdb(tmp_path) as database:
        tables_arrive(database, name)


@pytest.mark.matrix(share=6)
@pytest.mark.parametrize("name", NAMES)
def test_tables_of_any_name_are_written_in_postgres(postgres: Place, name: str) -> None:
    with in_postgres(postgres) as database:
        tables_arrive(database, name)


def test_schemas_of_any_name_are_written_in_duckdb(tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        with in_duckdb(tmp_path) as database:
            load(database.block(schema=name), FULL_REFRESH, [SourceRecord(id="1", data={"n": number})])
            query = "SELECT DISTINCT schema_name FROM duckdb_tables() WHERE table_name = 'items'"
            assert database.ask(query) == [(name,)]
            assert database.ask("SELECT * FROM kept") == [(7,)]


def test_tables_whose_names_differ_in_case_beyond_ascii_stay_apart_in_duckdb(tmp_path: Path) -> None:
    """DuckDB compares names by their ASCII letters, and its function `lower` by all letters."""
    with in_duckdb(tmp_path) as database:
        for name, key in (("\u00c9", "a"), ("\u00e9", "b")):
            load(database.block(destination_id=name), FULL_REFRESH, [SourceRecord(id="1", data={key: 1})])
        for name, key in (("\u00c9", "a"), ("\u00e9", "b")):
            load(database.block(destination_id=name), INCREMENTAL, [SourceRecord(id="2", data={key: 2})])
            assert database.ask(f'SELECT {key} FROM "{name}" ORDER BY 1') == [(1,), (2,)]
            columns = database.ask(f"SELECT column_name FROM duckdb_columns() WHERE table_name = '{name}'")
            assert [own for (own,) in columns if not own.startswith("_")] == [key]
        database.expect_untouched("\u00c9", "\u00e9")


def test_a_table_and_a_schema_in_other_letters_are_the_same_in_duckdb(tmp_path: Path) -> None:
    """The columns of a table were not found in a schema whose name has other capitals."""
    with in_duckdb(tmp_path) as database:
        load(database.block(schema="Raw"), FULL_REFRESH, [SourceRecord(id="1", data={"a": 1})])
        load(database.block(schema="raw"), INCREMENTAL, [SourceRecord(id="2", data={"a": 2, "b": 3})])
        assert database.ask('SELECT a, b FROM "RAW".items ORDER BY 1') == [(1, None), (2, 3)]
        with pytest.raises(TableRefusedError, match="table 'Items' has rows that no run of bizon wrote"):
            load(
                database.block(schema="raw", destination_id="Items"), INCREMENTAL, [SourceRecord(id="3", data={"a": 3})]
            )
        with open_destination(database.block(schema="RAW")) as destination, destination.reading() as reader:
            assert reader.count() == 2
