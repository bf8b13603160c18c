"""Ranges of the key: balanced, complete, and kept in the plan with the window of the run."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from connectors.sources.sql.sql_kit import created, postgres_url, sqlite_file
from postgres import Place

from bizon.connectors.sources.sql.src.config import SqlSourceConfig
from bizon.connectors.sources.sql.src.source import SqlSource

ROWS = [(f"k{number % 7}", number, f"2024-05-01 10:00:{number % 60:02d}") for number in range(100)]
TABLE = "CREATE TABLE items (a {text}, b INTEGER, updated_at {moment}, PRIMARY KEY (a, b))"
INSERT = "INSERT INTO items VALUES (?, ?, ?)"


def source(url: str, partition: dict[str, Any] | None = None, **config: Any) -> SqlSource:
    block = {"name": "sql", "stream": "items", "url": url, "page_size": 6, "partitions": 4, **config}
    opened = SqlSource(SqlSourceConfig.model_validate(block))
    opened.partition = partition
    return opened


def plans(url: str, **config: Any) -> list[dict[str, Any]]:
    planning = source(url, **config)
    try:
        return planning.get_partitions()
    finally:
        planning.close()


def ids_of(url: str, partition: dict[str, Any] | None, **config: Any) -> list[str]:
    reading, ids, pagination = source(url, partition, **config), list[str](), dict[str, Any]()
    try:
        while True:
            page = reading.get(pagination)
            ids += list(page.records.ids)  # type: ignore[union-attr, arg-type]
            if not page.next_pagination:
                return ids
            pagination = page.next_pagination
    finally:
        reading.close()


@pytest.fixture
def in_sqlite(tmp_path: Path) -> str:
    table = TABLE.format(text="TEXT", moment="TEXT")
    return sqlite_file(tmp_path / "shop.db", table, rows=ROWS, insert=INSERT)


@pytest.fixture
def in_postgres(postgres: Place) -> str:
    created(postgres).rows(TABLE.format(text="TEXT", moment="TIMESTAMPTZ"))
    values = ", ".join(f"('{a}', {b}, '{at}')" for a, b, at in ROWS)
    postgres.rows(f"INSERT INTO items VALUES {values}")
    return postgres_url(postgres)


def test_ranges_of_a_key_of_two_columns_have_every_record_once(in_sqlite: str) -> None:
    found = [ids_of(in_sqlite, plan) for plan in plans(in_sqlite)]
    assert [len(ids) for ids in found] == [25, 25, 25, 25]
    assert Counter(id_ for ids in found for id_ in ids) == Counter(ids_of(in_sqlite, None))


def test_ranges_in_postgres_have_every_record_once(in_postgres: str) -> None:
    found = [ids_of(in_postgres, plan) for plan in plans(in_postgres)]
    assert [len(ids) for ids in found] == [25, 25, 25, 25]
    assert Counter(id_ for ids in found for id_ in ids) == Counter(ids_of(in_postgres, None))


def test_a_range_has_a_page_at_least(in_sqlite: str) -> None:
    assert len(plans(in_sqlite, page_size=30)) == 4
    assert len(plans(in_sqlite, page_size=40)) == 3
    assert plans(in_sqlite, page_size=100) == []


def test_a_stream_without_a_key_has_no_ranges(tmp_path: Path) -> None:
    url = sqlite_file(
        tmp_path / "shop.db", "CREATE TABLE items (a TEXT)", rows=[("x",)] * 30, insert="INSERT INTO items VALUES (?)"
    )
    assert plans(url, queries={"items": "SELECT a FROM items"}) == []


def test_records_that_appear_after_the_last_key_belong_to_the_last_range(in_sqlite: str) -> None:
    planned = plans(in_sqlite)
    path = Path(in_sqlite.removeprefix("sqlite:///"))
    sqlite_file(path, rows=[("zzz", 1, None), ("k0", 1, None)], insert=INSERT)
    found = [ids_of(in_sqlite, plan) for plan in planned]
    assert [len(ids) for ids in found] == [26, 25, 25, 26]
    assert Counter(id_ for ids in found for id_ in ids) == Counter(ids_of(in_sqlite, None))


def test_all_ranges_of_an_incremental_stream_have_the_window_of_the_plan(in_sqlite: str) -> None:
    increments = {"sync_mode": "incremental", "cursor_field": "updated_at"}
    planned = plans(in_sqlite, **increments)
    windows = [plan["window"] for plan in planned]
    assert windows[0]["until"] is not None
    assert windows == [windows[0]] * 4
    states = []
    for plan in planned:
        reading = source(in_sqlite, plan, **increments)
        states.append(reading.get({}).next_state)
        reading.close()
    assert states == [states[0]] * 4
    assert states[0] is not None
