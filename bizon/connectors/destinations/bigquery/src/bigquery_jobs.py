"""BigQuery jobs that run exactly once, however often they are requested."""

import io
from collections.abc import Callable, Sequence
from typing import Any

from google.api_core import exceptions
from google.cloud import bigquery

from bizon.common.errors.errors import DestinationWriteError
from bizon.connectors.destinations.bigquery.src.request_policy import (
    LOOKS,
    REQUEST_OPTIONS,
    RETRY,
    passes,
    repeated,
    tell,
)

Job = Any
"""A load, copy or query job of google.cloud.bigquery."""
Start = Callable[[str], Job]
"""Starts a job under an id."""

_TRIES = 8  # per call, of a job that fails for a reason that passes
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 15.0  # seconds between them
_LONGEST = 6 * 3600.0  # seconds; after that BigQuery ends a job itself
_REASONS_SHOWN = 3


class BigQueryJobs:
    """Starts jobs under ids that name their purpose: a second request finds the first job, running or done.

    BigQuery takes an id once, also for a job that fails, so the id ends with the number of the attempt. Another attempt
    is safe: a load job that failed has loaded nothing, and a script is a single transaction, whose COMMIT is its last
    statement. So only what was not done is done again.
    """

    def __init__(self, client: bigquery.Client, location: str) -> None:
        self._client = client
        self._location = location

    def done(self, name: str, start: Start) -> Job:
        """Start the job unless it was done before, and wait for it. A job that failed in an earlier call is retried.
        Raises DestinationWriteError when the job fails for good, or too often."""
        number = 0
        for attempt in repeated(_TRIES, _FIRST_WAIT, _LONGEST_WAIT):
            job, is_own = self._started(f"{name}_{number}", start)
            while not (is_done := self._succeeds(job)) and not is_own:
                number += 1
                job, is_own = self._started(f"{name}_{number}", start)
            if is_done:
                break
            may_pass = passes(job.error_result)
            if attempt.is_last or not may_pass:
                raise _failed(job, attempt.number if may_pass else 1)
            tell(_reasons(job))
            number += 1
        return job

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
                num_retries=0,  # the client's own are blind to the end of the run
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
            return RETRY(start)(job_id), True
        except exceptions.Conflict:
            return self._client.get_job(job_id, location=self._location, **REQUEST_OPTIONS), False

    def _succeeds(self, job: Job) -> bool:
        """Wait for the end of a job."""
        try:
            job.result(retry=LOOKS, timeout=_LONGEST)
        except exceptions.GoogleAPIError:  # the error of the job, or of the request that asks for its result
            if job.error_result is None:
                job.reload(**REQUEST_OPTIONS)
            if job.error_result is None:
                raise
            return False
        return True


def _failed(job: Job, tries: int) -> DestinationWriteError:
    after = f", {tries} times; run again to resume" if tries > 1 else ""
    return DestinationWriteError(f"{job.job_type} job '{job.job_id}' failed: {_reasons(job)}{after}")


def _reasons(job: Job) -> str:
    errors = [job.error_result or {}, *(job.errors or ())]
    texts = list(dict.fromkeys(str(error.get("message")) for error in errors))
    return "; ".join(texts[:_REASONS_SHOWN])
