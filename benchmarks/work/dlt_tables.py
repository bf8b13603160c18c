"""The records of the bench through dlt into a typed table. Runs in dlt's environment.

``dlt_tables.py TOTAL DESTINATION URL [FORMAT]``. DESTINATION: ``postgres`` or ``duckdb``; URL: its credentials. Nested
values stay in their column, as in bizon. FORMAT: the files of the loader, by default dlt's own choice.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
from bench_records import record

PAGE = 1000
total = int(sys.argv[1])
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["DATA_WRITER__DISABLE_COMPRESSION"] = "true"


@dlt.resource(name="records", max_table_nesting=0, write_disposition="replace")
def records() -> Iterator[list[dict[str, Any]]]:
    for first in range(0, total, PAGE):
        yield [record(n) for n in range(first, min(first + PAGE, total))]


pipeline = dlt.pipeline(
    "bench",
    destination=getattr(dlt.destinations, sys.argv[2])(sys.argv[3]),
    dataset_name="bizon_bench_dlt",
    pipelines_dir=str(Path.cwd() / "state"),
)
file_format = sys.argv[4] if len(sys.argv) > 4 else None
pipeline.run(records(), loader_file_format=file_format).raise_on_failed_jobs()
with pipeline.sql_client() as client:
    ((found,),) = client.execute_sql("SELECT count(*) FROM records")
    client.drop_dataset()
if found != total:
    raise SystemExit(f"{found} rows of {total}")
