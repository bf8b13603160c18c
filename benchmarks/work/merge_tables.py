"""Merges staged rows into a table of ten times as many, by the statements of bizon and by the bare ones that a person
would write for rows whose keys differ. Prints the seconds of both.

``merge_tables.py ENGINE TOTAL``: ``postgres``, ``duckdb`` or ``duckdb_swap``, and the number of staged rows; half of
their keys are in the table. It has an index on the key in Postgres and none in DuckDB, for either side. Each side
merges into a fresh copy of the same table.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bizon.destination.merge_parts import Merge
from bizon.destination.merging import duckdb_merge, postgres_merge, run
from bizon.destination.sql_target import Transaction

_TIMES_AS_MANY = 10
_TURNS = 5
_COLUMNS = {
    "id": "bigint",
    "name": "text",
    "amount": "double precision",
    "note": "text",
    "doc": "json",
    "updated_at": "timestamp with time zone",
    "loaded_at": "timestamp with time zone",
}
_VALUES = "i * 1.5, repeat('x', 150), ('{{\"a\": ' || i || '}}')::json"
_MERGE = Merge("items", "staging", tuple(_COLUMNS), ("id",), ("page", "place"), "updated_at")


def fill(within: Transaction, total: int, series: str) -> None:
    """The table ``base`` and the staging table."""
    kinds = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
    whole = total * _TIMES_AS_MANY
    within.run(f"CREATE TABLE base ({kinds})")
    within.run(f"INSERT INTO base SELECT i, 'name ' || i, {_VALUES}, now(), now() FROM {series.format(1, whole)}")
    within.run(f"CREATE TABLE staging ({kinds}, page bigint, place bigint)")
    key = f"CASE WHEN mod(i, 2) = 0 THEN i * 9 ELSE {whole} + i END"
    within.run(
        f"INSERT INTO staging SELECT {key}, 'new ' || i, {_VALUES}, now(), now(), mod(i, 20), i "
        f"FROM {series.format(1, total)}"
    )


Merger = Callable[[], object]


def medians(side: Callable[[Merger], float], ours: Merger, bare: Merger) -> tuple[float, float]:
    """The median seconds of both sides, which take turns."""
    seconds = [(side(ours), side(bare)) for _ in range(_TURNS)]
    return median(each for each, _ in seconds), median(each for _, each in seconds)


def timed(merge: Merger, commit: Merger) -> float:
    begun = time.perf_counter()
    merge()
    commit()
    return time.perf_counter() - begun


def postgres(total: int) -> tuple[float, float]:
    from postgres import schema  # only where there is a server

    names = ", ".join(_COLUMNS)
    sets = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "id")
    bare = f"INSERT INTO items ({names}) SELECT {names} FROM staging ON CONFLICT (id) DO UPDATE SET {sets}"
    with schema("bizon_bench_merge") as connection, connection.cursor() as cursor:
        within = Transaction(cursor, "pyformat", '"')
        fill(within, total, "generate_series({}, {}) i")
        connection.commit()

        def side(merge: Merger) -> float:
            within.run("DROP TABLE IF EXISTS items")
            within.run("CREATE TABLE items AS TABLE base")
            within.run("CREATE UNIQUE INDEX ON items (id)")
            connection.commit()
            connection.autocommit = True
            within.run("VACUUM ANALYZE items, staging")
            within.run("CHECKPOINT")
            connection.autocommit = False
            return timed(merge, connection.commit)

        return medians(side, lambda: run(within, postgres_merge(_MERGE)), lambda: within.run(bare))


def duckdb(total: int) -> tuple[float, float]:
    """Against a person's MERGE INTO."""
    names = ", ".join(_COLUMNS)
    sets = ", ".join(f"{name} = s.{name}" for name in _COLUMNS if name != "id")
    values = ", ".join(f"s.{name}" for name in _COLUMNS)
    bare = f"MERGE INTO items USING staging s ON items.id = s.id WHEN MATCHED THEN UPDATE SET {sets} "
    bare += f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})"
    return _duckdb(total, bare)


def duckdb_swap(total: int) -> tuple[float, float]:
    """Against a person's DELETE and INSERT."""
    names = ", ".join(_COLUMNS)
    delete = "DELETE FROM items USING staging s WHERE items.id = s.id"
    return _duckdb(total, delete, f"INSERT INTO items ({names}) SELECT {names} FROM staging")


def _duckdb(total: int, *bare: str) -> tuple[float, float]:
    import duckdb as driver  # only where it is installed

    with tempfile.TemporaryDirectory() as folder, driver.connect(str(Path(folder) / "bench.duckdb")) as connection:
        within = Transaction(connection, "qmark", '"')
        fill(within, total, "range({}, {} + 1) r(i)")

        def side(merge: Merger) -> float:
            within.run("CREATE OR REPLACE TABLE items AS FROM base")
            within.run("CHECKPOINT")
            within.run("BEGIN")
            return timed(merge, lambda: within.run("COMMIT"))

        return medians(side, lambda: run(within, duckdb_merge(_MERGE)), lambda: [within.run(each) for each in bare])


if __name__ == "__main__":
    print(*{"postgres": postgres, "duckdb": duckdb, "duckdb_swap": duckdb_swap}[sys.argv[1]](int(sys.argv[2])))
