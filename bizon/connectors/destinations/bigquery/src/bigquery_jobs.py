"""BigQuery jobs that run exactly once, however often they are requested."""

import io
from collections.abc import Callable, Sequence
from typing import Any

from google.api_core import exceptions
from google.cloud import bigquery

from bizon.common.errors.errors import DestinationWriteError
from bizon.connectors.destinations.bigquery.src.request_policy import PASSING_REASONS, REQUEST_OPTIONS, RETRY

Job = Any
"""A load, copy or query job of google.cloud.bigquery."""
Start = Callable[[str], Job]
"""Starts a job under an id."""

_ATTEMPTS = 5  # per call, for a job that fails for a reason that passes
_LONGEST = 6 * 3600.0  # seconds; after that BigQuery ends a job itself
_REASONS_SHOWN = 3


class BigQueryJobs:
    """Starts jobs under ids that name their purpose: a second request finds the first job, running or done.

    BigQuery takes an id once, also for a job that fails, so the id ends with the number of the attempt.
    """

    def __init__(self, client: bigquery.Client, location: str) -> None:
        self._client = client
        self._location = location

    def done(self, name: str, start: Start) -> Job:
        """Start the job unless it was done before, and wait for it. A job that failed in an earlier call is retried.
        Raises DestinationWriteError when the job fails for good, or too often."""
        number = own = 0
        while True:
            job, is_own = self._started(f"{name}_{number}", start)
            if self._succeeds(job):
                return job
            own += is_own
            if is_own and (own == _ATTEMPTS or job.error_result.get("reason") not in PASSING_REASONS):
                raise _failed(job)
            number += 1

    def run(self, name: str, script: str, parameters: Sequence[bigquery.ArrayQueryParameter]) -> None:
        """``done`` for a script."""
        job_config = bigquery.QueryJobConfig(query_parameters=list(parameters))

        def start(job_id: str) -> Job:
            return self._client.query(script, job_config=job_config, job_id=job_id, job_retry=None, **REQUEST_OPTIONS)

        self.done(name, start)

    def load(self, name: str, uris: Sequence[str], table_id: str, job_config: bigquery.LoadJobConfig) -> None:
        """``done`` for a load of objects."""

        def start(job_id: str) -> Job:
            return self._client.load_table_from_uri(
                uris, table_id, job_id=job_id, job_config=job_config, **REQUEST_OPTIONS
            )

        self.done(name, start)

    def load_content(self, name: str, content: bytes, table_id: str, job_config: bigquery.LoadJobConfig) -> None:
        """``done`` for a load of bytes."""

        def start(job_id: str) -> Job:
            return self._client.load_table_from_file(
                io.BytesIO(content),
                table_id,
                size=len(content),
                job_id=job_id,
                job_config=job_config,
                timeout=REQUEST_OPTIONS["timeout"],
            )

        self.done(name, start)

    def is_done(self, name: str) -> bool:
        """Whether the job was done; waits for a job that is running."""
        number = 0
        while True:
            try:
                job = self._client.get_job(f"{name}_{number}", location=self._location, **REQUEST_OPTIONS)
            except exceptions.NotFound:
                return False
            if self._succeeds(job):
                return True
            number += 1

    def _started(self, job_id: str, start: Start) -> tuple[Job, bool]:
        try:
            return start(job_id), True
        except exceptions.Conflict:
            return self._client.get_job(job_id, location=self._location, **REQUEST_OPTIONS), False

    def _succeeds(self, job: Job) -> bool:
        try:
            job.result(retry=RETRY, timeout=_LONGEST)
        except exceptions.GoogleAPICallError:
            if job.error_result is None:
                raise
            return False
        return True


def _failed(job: Job) -> DestinationWriteError:
    errors = [job.error_result or {}, *(job.errors or ())]
    texts = list(dict.fromkeys(str(error.get("message")) for error in errors))
    return DestinationWriteError(f"{job.job_type} job '{job.job_id}' failed: {'; '.join(texts[:_REASONS_SHOWN])}")
