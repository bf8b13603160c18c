"""Pages of PostgreSQL by COPY have the same records, ids, times and keys as pages of rows."""

import json
from contextlib import closing
from typing import Any

import psycopg
import pytest
from connectors.sources.sql.sql_kit import created, postgres_url, source_of
from hypothesis import given
from hypothesis import strategies as st
from postgres import Place

from bizon.connectors.sources.sql.src import copied, postgres_copying
from bizon.connectors.sources.sql.src.config import SqlSourceConfig
from bizon.connectors.sources.sql.src.copied import unescaped
from bizon.connectors.sources.sql.src.database_rows import laid_out
from bizon.connectors.sources.sql.src.databases import database_of
from bizon.connectors.sources.sql.src.relation import relation_of

HOSTILE = [
    *(chr(code) for code in (*range(1, 32), 34, 39, 92, 127, 0x85, 0x2028, 0xFFFD, 0x1F600)),
    *("", "\\N", "\\.", "\\\\v", "a\tb\nc\r", "%s %(x)s", "NULL", "\\x00", '{"a":1}', "é\v\\v"),
]
COLUMNS = """
n int, flag boolean, word text, price numeric, f4 float4, f8 float8, doc json, at timestamptz, naive timestamp,
day date, bytes bytea, clock timetz, many text[], spans tstzrange, key uuid, letter "char", padded char(3)
"""
ROWS = """
INSERT INTO t SELECT i, i, mod(i, 2) = 0, w, i / 7.0, i / 3.0,
    CASE i WHEN 7 THEN 'NaN' WHEN 9 THEN '-Infinity' ELSE i / 3.0 END,
    json_build_object('a', w),
    CASE i WHEN 5 THEN 'infinity' WHEN 6 THEN '0044-03-15 BC' ELSE now() - i * interval '1 h' END,
    CASE i WHEN 4 THEN '12024-05-01' ELSE timestamp '2024-05-01' + i * interval '1.1 s' END, date '2024-05-01' + i::int,
    convert_to(w, 'UTF8'), '10:00+05:30', ARRAY[w, NULL], tstzrange(now(), NULL), md5(w)::uuid, 'x', 'a'
FROM unnest(%s::text[]) WITH ORDINALITY AS each(w, i)
"""
KEYS = (["id"], ["word", "id"], ["flag", "id"], ["price", "f8", "id"], ["bytes"], ["many"], ["at", "id"])


@pytest.fixture
def filled(postgres: Place) -> Place:
    """A table of values that break formats, and one row of nulls."""
    created(postgres).rows(f"CREATE TABLE t (id int PRIMARY KEY, {COLUMNS})")
    postgres.rows(ROWS, HOSTILE)
    postgres.rows(
        "INSERT INTO t (id, word, flag, price, f8, bytes, many, at) SELECT 0, '', false, 0, 0, '', '{}', now()"
    )
    return postgres


def pages(place: Place, **keys: Any) -> list[tuple[Any, ...]]:
    found, pagination = [], {}
    with closing(source_of(url=postgres_url(place), stream="t", page_size=7, **keys)) as source:
        while not found or pagination:
            page = source.get(pagination)
            lines: Any = page.records
            texts = [text.encode() if isinstance(text, str) else text for text in lines.text]
            found.append((texts, list(lines.ids), lines.timestamps, page.next_pagination))
            pagination = json.loads(json.dumps(page.next_pagination))
    return found


@pytest.mark.parametrize("key", KEYS, ids=lambda key: "-".join(key))
def test_a_server_without_copy_gives_the_same_pages(
    filled: Place, key: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise psycopg.errors.FeatureNotSupported("COPY is not supported")

    by_copy = pages(filled, primary_key=key)
    assert sum(len(page[0]) for page in by_copy) == len(HOSTILE) + 1
    monkeypatch.setattr(psycopg.Cursor, "copy", refused)
    assert by_copy == pages(filled, primary_key=key)


def test_rows_in_several_blocks_give_the_same_pages(filled: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pages(filled)
    for module in (copied, postgres_copying):
        monkeypatch.setattr(module, "AT_ONCE", 3)
    assert pages(filled) == whole


def test_the_next_page_is_read_while_a_page_becomes_json(filled: Place) -> None:
    with closing(source_of(url=postgres_url(filled), stream="t", page_size=7)) as source:
        second = source.get(source.get({}).next_pagination)
        assert [json.loads(token)["after"] for token in source._opened._reader._ahead._waiting] == [
            second.next_pagination["after"]
        ]


def test_a_timestamp_is_read_from_the_cursor(filled: Place) -> None:
    changed = {"sync_mode": "incremental", "cursor_field": "at", "where": "at < 'infinity'"}
    assert {moment is None for page in pages(filled, **changed) for moment in page[2]} == {False, True}


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8")))
def test_an_escaped_text_comes_back(text: str) -> None:
    escapes = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}
    assert unescaped("".join(escapes.get(each, each) for each in text)) == text


@pytest.mark.parametrize(("key", "added"), [(["word", "id"], 0), (["many", "id"], 1)])
def test_a_key_that_is_a_column_is_not_sent_twice(filled: Place, key: list[str], added: int):
    """An array is sent again, because it is text in a key."""
    config = SqlSourceConfig(name="sql", stream="t", url=postgres_url(filled), primary_key=key)
    with closing(database_of(config)) as database:
        relation = relation_of(config, database)
        selected, layout = laid_out(database.flavour, relation, relation.key)
    assert len(selected) == len(relation.columns) + added
    assert [relation.columns[at].name for at in layout.keys if at < len(relation.columns)] == key[added:]
