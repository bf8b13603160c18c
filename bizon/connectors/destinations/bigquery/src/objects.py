"""Objects in the bucket: rows that wait to be loaded, and the truth about the content of staging.

An object is named ``<source>/<stream>/<pipeline>/<created>-<job>/<epoch>-<load>-<from>-<to>-<table>.<format>``. The
objects of a part of a joined job are in a folder of that, ``part-<number>/``, and their epoch is the part's.
``created``: when the job was created, in microseconds since 1970. ``epoch``: the start of the job that wrote it.
``load``: the load job that takes it, named by its first page. ``from`` and ``to``: the pages it holds. The names are
ordered: a start removes objects of older jobs and of earlier starts of its own job. So a frozen start that wakes up
after another has taken over never removes an object of the later start.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

from google.api_core import exceptions
from google.cloud.storage import Client as StorageClient

from bizon.common.safe_log import logger
from bizon.connectors.destinations.bigquery.src.parts import Part, Stored, part_of
from bizon.connectors.destinations.bigquery.src.request_policy import REQUEST_OPTIONS

if TYPE_CHECKING:
    from bizon.common.sync import SyncMetadata

_JOB = re.compile(r"(\d+)-(.+)")


class Objects:
    """The objects of one pipeline."""

    def __init__(self, client: StorageClient, bucket: str, metadata: "SyncMetadata") -> None:
        self._client = client
        self._bucket = client.bucket(bucket)
        source, stream = quote(metadata.source_name, safe=""), quote(metadata.stream_name, safe="")
        self._pipeline = f"{source}/{stream}/{metadata.owner.mark}/"
        self._job_id = metadata.job_id
        self._created_us = 0
        self._folder = ""

    @property
    def _job(self) -> str:
        return f"{self._pipeline}{self._created_us:016d}-{self._job_id}/{self._folder}"

    def begin(self, created_us: int, part: int | None = None) -> None:
        """Note when the job was created, in microseconds since 1970. ``part``: only the objects of this part of the job
        are meant from now on."""
        self._created_us = created_us
        self._folder = "" if part is None else f"part-{part}/"

    def check(self) -> None:
        """List the bucket, which needs the permissions that a run needs."""
        for _ in self._client.list_blobs(self._bucket, prefix=self._pipeline, max_results=1, **REQUEST_OPTIONS):
            pass

    def location(self) -> str | None:
        """The location of the bucket; None when the account lacks the permission ``storage.buckets.get``."""
        try:
            location: str | None = self._client.get_bucket(self._bucket.name, **REQUEST_OPTIONS).location
        except exceptions.Forbidden:
            logger.debug(f"bigquery: the account may not ask where bucket '{self._bucket.name}' is")
            return None
        return location

    def part(self, epoch: int, load: int, first: int, last: int, table: str, format: str) -> Part:
        """The object of a batch."""
        name = f"{self._job}{epoch}-{load}-{first}-{last}-{table}.{format}"
        return Part(first, last, epoch, load, table, format, name)

    def write(self, part: Part, content: bytes) -> Stored:
        """Put an object into the bucket; one of the same name is replaced."""
        kind = "application/vnd.apache.parquet" if part.format == "parquet" else "application/x-ndjson"
        blob = self._bucket.blob(part.name)
        blob.upload_from_string(content, content_type=kind, checksum="crc32c", **REQUEST_OPTIONS)
        return Stored(blob.size, blob.crc32c)

    def uri(self, part: Part) -> str:
        """The address of an object, as a load job takes it."""
        return f"gs://{self._bucket.name}/{part.name}"

    def parts(self) -> list[Part]:
        """All objects of the job."""
        return [part for name in self.stored() if (part := part_of(name)) is not None]

    def stored(self) -> dict[str, Stored]:
        """All objects of the job, by name."""
        blobs = self._client.list_blobs(self._bucket, prefix=self._job, **REQUEST_OPTIONS)
        return {blob.name: Stored(blob.size, blob.crc32c) for blob in blobs}

    def remove(self, parts: Iterable[Part]) -> None:
        """Remove objects; an object that is gone already is not an error."""
        for part in parts:
            self._remove(part.name)

    def remove_job(self) -> None:
        """Remove all objects of the job: it is published."""
        self.remove(self.parts())

    def remove_earlier_starts(self, epoch: int) -> None:
        """Remove the objects of earlier starts of the job."""
        self.remove(part for part in self.parts() if part.epoch < epoch)

    def remove_older_jobs(self) -> None:
        """Remove the objects of older jobs of the pipeline, also objects from older releases."""
        for blob in self._client.list_blobs(self._bucket, prefix=self._pipeline, **REQUEST_OPTIONS):
            job = _JOB.fullmatch(blob.name.removeprefix(self._pipeline).partition("/")[0])
            is_older = job is None or (int(job[1]) <= self._created_us and job[2] != self._job_id)
            if is_older:
                self._remove(blob.name)

    def _remove(self, name: str) -> None:
        with suppress(exceptions.NotFound):
            self._bucket.blob(name).delete(**REQUEST_OPTIONS)
