"""Load jobs: from objects in the bucket into tables, one by one or several at a time."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from google.cloud import bigquery

from bizon.connectors.destinations.bigquery.src.client import REQUEST_OPTIONS

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.bigquery_jobs import BigQueryJobs, Job
    from bizon.connectors.destinations.bigquery.src.objects import Objects, Part
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

    def __init__(self, client: bigquery.Client, jobs: "BigQueryJobs", objects: "Objects", job_id: str) -> None:
        self._client = client
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

        def start(job_id: str) -> "Job":
            return self._client.load_table_from_uri(
                uris, target.table_id, job_id=job_id, job_config=config, **REQUEST_OPTIONS
            )

        self._jobs.done(f"{self._name}_load_{label}", start)

    def was_loaded(self, part: "Part") -> bool:
        """Whether an object was appended; waits for a job that is running."""
        return self._jobs.is_done(f"{self._name}_load_{part.label}")


class BackgroundLoads:
    """Load jobs in the background of the run: ``per_job`` objects each, ``at_once`` at a time, recorded in order."""

    def __init__(self, loads: Loads, target: "Target", per_job: int, at_once: int) -> None:
        self._loads = loads
        self._target = target
        self._per_job = per_job
        self._at_once = at_once
        self._threads = ThreadPoolExecutor(at_once, "bigquery-load")
        self._gathered: list[Part] = []
        self._under_way: deque[tuple[int, Future[None]]] = deque()
        self._landed = -1

    @property
    def next_load(self) -> int | None:
        """The load that takes the next object; None when that object begins a new load."""
        return self._gathered[0].load if self._gathered else None

    def add(self, part: "Part") -> None:
        """Take an object. Waits while ``at_once`` loads are in flight. Raises the error of a load that failed."""
        self._gathered.append(part)
        if len(self._gathered) == self._per_job:
            self._start()
        while len(self._under_way) > self._at_once:
            self._take_first()

    def landed(self, *, wait: bool) -> int:
        """The last page up to which all loads are done. Raises the error of a load that failed."""
        if wait and self._gathered:
            self._start()
        while self._under_way and (wait or self._under_way[0][1].done()):
            self._take_first()
        return self._landed

    def close(self) -> None:
        """Leave loads in flight alone: the next start finds them."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start(self) -> None:
        parts, self._gathered = self._gathered, []
        future = self._threads.submit(self._loads.load, parts, self._target, parts[0].label)
        self._under_way.append((parts[-1].last, future))

    def _take_first(self) -> None:
        last, future = self._under_way[0]
        future.result()
        self._under_way.popleft()
        self._landed = last
