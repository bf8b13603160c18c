"""Load jobs: from objects in the bucket into tables, one by one or several at a time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from google.cloud import bigquery

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.bigquery_jobs import BigQueryJobs
    from bizon.connectors.destinations.bigquery.src.objects import Objects
    from bizon.connectors.destinations.bigquery.src.parts import Part
    from bizon.connectors.destinations.bigquery.src.tables import Target

_FORMATS = {"parquet": "PARQUET", "json": "NEWLINE_DELIMITED_JSON"}


def appending(format: str, target: "Target") -> bigquery.LoadJobConfig:
    """The configuration of a load job that appends to an existing table. ``format``: parquet or json (JSON lines)."""
    return bigquery.LoadJobConfig(
        source_format=_FORMATS[format],
        schema=target.schema,
        write_disposition="WRITE_APPEND",
        create_disposition="CREATE_NEVER",
    )


class Loads:
    """Load jobs of one job of a pipeline."""

    def __init__(self, jobs: "BigQueryJobs", objects: "Objects", job_id: str) -> None:
        self._jobs = jobs
        self._objects = objects
        self._name = f"bizon_{job_id}"

    def load(self, parts: Sequence["Part"], target: "Target", label: str) -> None:
        """Append objects of one format, at most 10,000, unless a job with this label has done so; returns once it is
        done."""
        config = appending(parts[0].format, target)
        if parts[0].format == "parquet":
            config.parquet_options = bigquery.ParquetOptions()
            config.parquet_options.enable_list_inference = True
        uris = [self._objects.uri(part) for part in parts]
        self._jobs.load(f"{self._name}_load_{label}", uris, target.table_id, config)

    def was_loaded(self, part: "Part") -> bool:
        """Whether an object was appended; waits for a job that is running."""
        return self._jobs.is_done(f"{self._name}_load_{part.label}")
