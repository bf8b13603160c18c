"""The same records, in the same pages, through dlt into lines of JSON on the local disk. Runs in dlt's environment.

Each record stays one nested line and is not compressed, as with the other tools. By default dlt would split lists into
separate tables and compress the files, which takes longer.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
from bench_records import record
from dlt.destinations import filesystem

PAGE = 1000
total = int(sys.argv[1])
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["DATA_WRITER__DISABLE_COMPRESSION"] = "true"


@dlt.resource(name="records", max_table_nesting=0)
def records() -> Iterator[list[dict[str, Any]]]:
    for first in range(0, total, PAGE):
        yield [record(n) for n in range(first, min(first + PAGE, total))]


pipeline = dlt.pipeline(
    "bench",
    destination=filesystem(bucket_url=(Path.cwd() / "out").as_uri()),
    dataset_name="bench",
    pipelines_dir=str(Path.cwd() / "state"),
)
pipeline.run(records(), loader_file_format="jsonl").raise_on_failed_jobs()
