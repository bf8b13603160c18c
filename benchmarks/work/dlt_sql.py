"""A table of PostgreSQL through dlt into Parquet. Runs in dlt's environment. ``dlt_sql.py TOTAL BACKEND URL``."""

import os
import sys
from pathlib import Path

import dlt
from dlt.sources.sql_database import sql_table

total, backend, url = int(sys.argv[1]), sys.argv[2], sys.argv[3]
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

table = sql_table(credentials=url, schema="bizon_bench_sql", table=f"orders_{total}", backend=backend)
pipeline = dlt.pipeline(
    "bench",
    destination=dlt.destinations.filesystem(bucket_url=str(Path.cwd() / "out")),
    dataset_name="orders",
    pipelines_dir=str(Path.cwd() / "state"),
)
pipeline.run(table, loader_file_format="parquet").raise_on_failed_jobs()
found = pipeline.last_trace.last_normalize_info.row_counts.get(f"orders_{total}", 0)
if found != total:
    raise SystemExit(f"{found} rows of {total}")
