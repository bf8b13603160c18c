"""Typed tables of Postgres: types, names, columns that come and change, and what depends on a table."""

from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from connectors.destinations.postgres.kit import PostgresTarget, block, columns, load, rows_of, tables
from connectors.destinations.table_cases import TableCases
from connectors.destinations.table_kit import FULL_REFRESH, INCREMENTAL, MODES, STREAM, page, pipeline
from postgres import Place

from bizon.common.errors.errors import DestinationConnectionError, FinalizeError, RowsRejectedError
from bizon.source.config import SourceSyncModes

WIDE = 123456789012345678901234567890
LONG = "ü" * 31 + "ab"  # 64 bytes


class TestTables(TableCases):
    @pytest.fixture
    def target(self, postgres: Place) -> PostgresTarget:
        return PostgresTarget(postgres)


@pytest.mark.parametrize("mode", MODES)
def test_values_have_the_types_of_their_columns(postgres: Place, mode: SourceSyncModes) -> None:
    record = {
        "yes": True,
        "whole": 2**63 - 1,
        "wide": WIDE,
        "part": -0.1,
        "moment": "0001-01-01T00:00:00.000001+00:00",
        "local": "2024-06-01T12:00:00+02:00",
        "day": "9999-12-31",
        "text": "tab\t line\n return\r slash\\ \\N \\. Zoë \u2603",
        "object": {"a": [1, {"b": None}]},
        "list": ["tab\t\\"],
        "nothing": None,
    }
    load(postgres, mode, page(record))
    assert columns(postgres) == {
        "yes": "boolean",
        "whole": "bigint",
        "wide": "numeric(38,0)",
        "part": "double precision",
        "moment": "timestamp with time zone",
        "local": "timestamp with time zone",
        "day": "date",
        "text": "text",
        "object": "json",
        "list": "json",
    }
    (found,) = rows_of(postgres)
    assert {name: found[name] for name in columns(postgres)} == {
        "yes": True,
        "whole": 2**63 - 1,
        "wide": Decimal(WIDE),
        "part": -0.1,
        "moment": datetime(1, 1, 1, microsecond=1, tzinfo=UTC),
        "local": datetime(2024, 6, 1, 10, tzinfo=UTC),
        "day": date(9999, 12, 31),
        "text": record["text"],
        "object": '{"a":[1,{"b":null}]}',
        "list": '["tab\\t\\\\"]',
    }


HARD = {
    "integer": (f"{10**60}", None, True),
    "exponent": ("1e400", None, True),
    "NaN": ("NaN", None, '"NaN"'),
    "NUL": ('"a\\u0000b"', "a\ufffdb", True),
    "half a surrogate pair": ('"\\ud800"', "\ufffd", True),
    "NUL in an object": ('{"k\\u0000":"\\u0000"}', '{"k\ufffd":"\ufffd"}', True),
    "equal keys in an object": ('{"n":1e400,"n":2}', '{"n":1e400,"n":2}', False),
    "numbers in a list": ("[1e200000,-0.0,1.10]", "[1e200000,-0.0,1.10]", False),
}


@pytest.mark.parametrize(("text", "value", "rescued"), HARD.values(), ids=HARD)
def test_a_hard_value_is_in_its_column_or_rescued(
    postgres: Place, text: str, value: str | None, rescued: bool | str
) -> None:
    load(postgres, STREAM, page({"v": orjson.Fragment(text)}))
    (found,) = rows_of(postgres)
    assert found.get("v") == value
    original = text if rescued is True else rescued
    assert found["_bizon_rescued"] == (f'{{"v":{original}}}' if rescued else None)


@pytest.mark.parametrize("mode", MODES)
def test_new_keys_become_columns_and_numbers_widen(postgres: Place, mode: SourceSyncModes) -> None:
    load(postgres, mode, page({"id": 1, "n": 1}), page({"id": 2, "n": WIDE, "new": "x"}), page({"id": 3, "n": 3}))
    assert columns(postgres) == {"id": "bigint", "n": "numeric(38,0)", "new": "text"}
    found = postgres.rows("SELECT id, n, new FROM items ORDER BY id")
    assert found == [(1, 1, None), (2, Decimal(WIDE), "x"), (3, 3, None)]


def test_names_over_63_bytes_are_shortened_and_stay_distinct(postgres: Place) -> None:
    """Postgres would cut both names after the same 63 bytes, and write the values of one key to the other's column."""
    load(postgres, INCREMENTAL, page({LONG + "1": 1}), page({LONG + "2": 2}))
    load(postgres, INCREMENTAL, page({LONG + "2": 2, LONG + "1": 1}))
    first, second = columns(postgres)
    assert max(len(first.encode()), len(second.encode())) <= 63
    found = sorted((row[first] or 0, row[second] or 0) for row in rows_of(postgres))
    assert found == [(0, 2), (1, 0), (1, 2)]


@pytest.mark.parametrize("key", [*"\"'.%?{} \\\n", "%s", "{table}", "SELECT", "Ünï☃"])
def test_any_key_names_its_column(postgres: Place, key: str) -> None:
    load(postgres, INCREMENTAL, page({key: 1}), page({key: 2}))
    assert sorted(row[key] for row in rows_of(postgres)) == [1, 2]


def test_a_table_with_a_name_that_postgres_would_cut_is_refused(postgres: Place) -> None:
    with pipeline(block(postgres), STREAM) as into:
        job = into.job()
        job.start()
        with pytest.raises(RowsRejectedError, match="has more than 63 bytes"):
            job.write(0, page({"id": 1}), table="ü" * 32)
        job.commit(0, page({"id": 2}))
    assert postgres.rows("SELECT id FROM items") == [(2,)]


def test_a_row_that_names_a_view_is_refused_alone(postgres: Place) -> None:
    with pipeline(block(postgres), STREAM) as into:
        job = into.job()
        job.start()
        postgres.rows("CREATE VIEW seen AS SELECT * FROM items")
        with pytest.raises(RowsRejectedError, match=r"destination_id 'seen': 'seen' .* is not a table"):
            job.write(0, page({"id": 1}), table="seen")
        job.commit(0, page({"id": 2}))
    assert postgres.rows("SELECT id FROM items") == [(2,)]


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("TYPE jsonb USING to_jsonb(n)", 1),
        ("TYPE real", 1.0),
        ("TYPE varchar(20)", "1"),
        ("TYPE timestamp USING 'epoch'::timestamp", datetime(1970, 1, 1)),
    ],
)
def test_in_sync_mode_stream_a_column_of_a_type_that_changes_values_is_left_alone(
    postgres: Place, change: str, value: Any
) -> None:
    with pipeline(block(postgres), STREAM) as into:
        job = into.job()
        job.start()
        job.commit(0, page({"id": 1, "n": 1}))
        postgres.rows(f"ALTER TABLE items ALTER COLUMN n {change}")
        job.commit(1, page({"id": 2, "n": 2}))
    found = postgres.rows("SELECT n, _bizon_rescued FROM items ORDER BY id")
    assert found == [(value, None), (None, '{"n":2}')]


def test_columns_of_narrower_types_take_what_fits_and_widen(postgres: Place) -> None:
    load(postgres, INCREMENTAL, page({"id": 1}))
    kinds = {"s": "smallint", "i": "integer", "n": "numeric", "v": "character varying"}
    for name, kind in kinds.items():
        postgres.rows(f"ALTER TABLE items ADD COLUMN {name} {kind}")
    load(postgres, INCREMENTAL, page({"id": 2, "s": 9999, "i": 1, "n": 1.5, "v": "x"}))
    assert columns(postgres) == {
        "id": "bigint",
        "s": "smallint",
        "i": "integer",
        "n": "numeric",
        "v": "character varying",
    }
    load(postgres, INCREMENTAL, page({"id": 3, "s": 99999, "i": 10**9}))
    assert columns(postgres)["s"] == "numeric(38,0)"
    found = postgres.rows("SELECT s, i, n, v FROM items ORDER BY id")
    assert found == [(None,) * 4, (9999, 1, Decimal("1.5"), "x"), (99999, 10**9, None, None)]


def test_a_column_that_the_database_fills_is_left_alone(postgres: Place) -> None:
    load(postgres, INCREMENTAL, page({"id": 1}))
    postgres.rows("ALTER TABLE items ADD COLUMN twice bigint GENERATED ALWAYS AS (id * 2) STORED")
    postgres.rows("ALTER TABLE items ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY")
    load(postgres, INCREMENTAL, page({"id": 2, "twice": 5, "number": 7}))
    load(postgres, FULL_REFRESH, page({"id": 3, "twice": 5}))
    assert postgres.rows("SELECT id, twice, number, _bizon_rescued FROM items") == [(3, 6, 3, '{"twice":5}')]


DEPENDENTS = {
    "view": ("CREATE VIEW seen AS SELECT id FROM items", "SELECT id FROM seen"),
    "index": ("CREATE INDEX by_id ON items (id)", "SELECT indexname FROM pg_indexes WHERE indexname = 'by_id'"),
    "comment": ("COMMENT ON TABLE items IS 'ours'", "SELECT obj_description('items'::regclass)"),
    "comment on a column": (
        "COMMENT ON COLUMN items.id IS 'ours'",
        "SELECT description FROM pg_description WHERE objoid = 'items'::regclass",
    ),
    "default": (
        "ALTER TABLE items ALTER COLUMN id SET DEFAULT 9",
        "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'items'::regclass",
    ),
    "grant": ("GRANT SELECT ON items TO PUBLIC", "SELECT has_table_privilege('pg_monitor', 'items', 'SELECT')"),
    "grant on a column": (
        "GRANT SELECT (id) ON items TO PUBLIC",
        "SELECT has_column_privilege('pg_monitor', 'items', 'id', 'SELECT')",
    ),
    "function": (
        "CREATE FUNCTION first(items) RETURNS bigint LANGUAGE sql AS 'SELECT $1.id'",
        "SELECT items.first FROM items",
    ),
    "trigger": (
        "CREATE TRIGGER kept BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'items'::regclass",
    ),
    "policy": (
        "CREATE POLICY own ON items USING (true)",
        "SELECT policyname FROM pg_policies WHERE tablename = 'items' AND schemaname = current_schema()",
    ),
    "statistics": (
        "CREATE STATISTICS of_both (dependencies) ON id, _bizon_id FROM items",
        "SELECT stxname FROM pg_statistic_ext WHERE stxrelid = 'items'::regclass",
    ),
    "statistics target": (
        "ALTER TABLE items ALTER COLUMN id SET (n_distinct = 100)",
        "SELECT attoptions::text LIKE '%n_distinct=100%' FROM pg_attribute "
        "WHERE attrelid = 'items'::regclass AND attname = 'id'",
    ),
    "storage": (
        "ALTER TABLE items SET (fillfactor = 50)",
        "SELECT reloptions FROM pg_class WHERE oid = 'items'::regclass",
    ),
}


@pytest.mark.parametrize(("create", "query"), DEPENDENTS.values(), ids=DEPENDENTS)
def test_a_full_refresh_keeps_what_depends_on_the_table(postgres: Place, create: str, query: str) -> None:
    load(postgres, FULL_REFRESH, page({"id": 1}))
    postgres.rows(create)
    before = postgres.rows(query)
    assert before not in ([], [(None,)], [(False,)])
    load(postgres, FULL_REFRESH, page({"id": 1, "new": 2}))
    assert postgres.rows(query) == before
    assert postgres.rows("SELECT id, new FROM items") == [(1, 2)]


def test_a_full_refresh_of_a_bare_table_replaces_it_and_leaves_nothing_behind(postgres: Place) -> None:
    load(postgres, FULL_REFRESH, page({"id": 1, "old": "x"}))
    before = postgres.rows("SELECT 'items'::regclass::oid")
    load(postgres, FULL_REFRESH, page({"id": 2}))
    assert postgres.rows("SELECT 'items'::regclass::oid") != before
    assert postgres.rows("SELECT id, old FROM items") == [(2, None)]
    assert sorted(tables(postgres)) == ["_bizon_outputs", "items"]


def test_a_reader_that_began_before_a_full_refresh_sees_the_old_rows_to_its_end(postgres: Place) -> None:
    load(postgres, FULL_REFRESH, page({"id": 1}))
    postgres.rows("CREATE VIEW seen AS SELECT id FROM items")
    with closing(postgres.connect()) as reader:
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        assert reader.execute("SELECT id FROM seen").fetchall() == [(1,)]
        load(postgres, FULL_REFRESH, page({"id": 2}))
        assert reader.execute("SELECT id FROM seen").fetchall() == [(1,)]
    assert postgres.rows("SELECT id FROM seen") == [(2,)]


def test_a_view_on_a_column_that_must_widen_is_named_and_the_run_resumes_without_it(postgres: Place) -> None:
    load(postgres, INCREMENTAL, page({"id": 1, "n": 1}))
    postgres.rows("CREATE VIEW seen AS SELECT n FROM items")
    with pipeline(block(postgres), INCREMENTAL) as into:
        into.has_history = True
        job = into.job()
        job.start()
        job.commit(0, page({"id": 2, "n": WIDE}))
        with pytest.raises(FinalizeError, match=r"used by a view .* Drop the view and run again"):
            job.publish()
        postgres.rows("DROP VIEW seen")
        job.start()
        job.publish()
    assert postgres.rows("SELECT n FROM items ORDER BY id") == [(1,), (Decimal(WIDE),)]


def test_a_view_in_the_place_of_the_table_is_refused(postgres: Place) -> None:
    postgres.rows(f"CREATE SCHEMA {postgres.quoted_schema}")
    postgres.rows("CREATE VIEW items AS SELECT 1")
    with pytest.raises(DestinationConnectionError, match=r"'items' .* is not a table"):
        load(postgres, FULL_REFRESH, page({"id": 1}))
