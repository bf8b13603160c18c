"""Copies typed frames into a Postgres table, and the same rows as bytes that were made beforehand. Prints the seconds
of both.

``postgres_copy.py TOTAL``. Each frame is copied both ways, one right after the other, each in a transaction of its own.
"""

import sys
import time
from collections.abc import Iterable

import polars as pl
import psycopg
from postgres import schema
from typed_frames import columns, frames

from bizon.connectors.destinations.postgres.src.copying import copy_text
from bizon.connectors.destinations.postgres.src.types import TYPES
from bizon.destination.typed import RESCUED, typed


def copied(connection: "psycopg.Connection[tuple[object, ...]]", table: bytes, texts: Iterable[bytes]) -> float:
    begun = time.perf_counter()
    with connection.cursor() as cursor, cursor.copy(b"COPY " + table + b" FROM STDIN") as copy:
        for text in texts:
            copy.write(text)
    connection.commit()
    return time.perf_counter() - begun


types = ", ".join(f"{column.name} {TYPES.sql(column.type)}" for column in columns)
ours = bare = 0.0
with schema("bizon_bench_copy") as connection:
    for table in ("ours", "bare"):
        connection.execute(f"CREATE TABLE {table} ({types}, {RESCUED} json)".encode())
    connection.commit()
    for number, rows in enumerate(frames(int(sys.argv[1]))):
        frame = typed(pl.Series(rows, dtype=pl.Binary).cast(pl.String), columns).frame
        ready = list(copy_text(frame))
        for is_ours in (True, False) if number % 2 else (False, True):
            seconds = copied(connection, *((b"ours", copy_text(frame)) if is_ours else (b"bare", ready)))
            ours, bare = (ours + seconds, bare) if is_ours else (ours, bare + seconds)
print(ours, bare)
