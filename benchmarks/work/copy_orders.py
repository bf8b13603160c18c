"""The rows of a table by COPY into Polars, and from there into Parquet. ``copy_orders.py TOTAL``."""

import sys
from io import BytesIO

import polars as pl
from postgres import connected

with connected() as connection, connection.cursor() as cursor:
    query = f"COPY (SELECT * FROM bizon_bench_sql.orders_{sys.argv[1]}) TO STDOUT (FORMAT csv, HEADER)"
    with BytesIO() as text:
        with cursor.copy(query.encode()) as copy:
            for data in copy:
                text.write(data)
        text.seek(0)
        frame = pl.read_csv(text, infer_schema_length=1000)
frame.write_parquet("out.parquet")
if frame.height != int(sys.argv[1]):
    raise SystemExit(f"{frame.height} rows of {sys.argv[1]}")
