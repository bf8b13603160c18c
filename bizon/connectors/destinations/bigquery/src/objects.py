"""Objects in the bucket: what waits to be loaded, and the truth about what staging has to hold.

An object is named ``<source>/<stream>/<pipeline>/<job>/<epoch>-<load>-<from>-<to>-<table>.<format>``: the start of the
job that wrote it, the load job that takes it (called by the first page that it loads), and the pages it holds. Of two
objects that begin at the same page that of the later start counts: a start removes what no checkpoint vouches for, so
that the other one was written by an earlier start that did not know yet that it was overtaken.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import quote

from google.api_core import exceptions
from google.cloud.storage import Client as StorageClient
from loguru import logger

from bizon.common.sync import SyncMetadata
from bizon.connectors.destinations.bigquery.src.batches import each_page_once
from bizon.connectors.destinations.bigquery.src.client import HOW

_NAME = re.compile(r"(\d+)-(\d+)-(\d+)-(\d+)-([0-9a-f]+)\.(\w+)$")


class Part(NamedTuple):
    """One object: pages of a job, for one table."""

    first: int
    last: int
    epoch: int
    load: int
    table: str  # its mark
    format: str
    name: str  # in the bucket

    @property
    def label(self) -> str:
        """What tells its load job from others of the same job."""
        return f"{self.epoch}_{self.load}_{self.table}"


class Objects:
    """The objects of one pipeline."""

    def __init__(self, client: StorageClient, bucket: str, metadata: SyncMetadata, owner: str) -> None:
        self._client = client
        self._bucket = client.bucket(bucket)
        self._pipeline = f"{quote(metadata.source_name, safe='')}/{quote(metadata.stream_name, safe='')}/{owner}/"
        self._job = f"{self._pipeline}{metadata.job_id}/"

    def check(self) -> None:
        """List the bucket, which needs the permissions that a run needs."""
        for _ in self._client.list_blobs(self._bucket, prefix=self._pipeline, max_results=1, **HOW):
            pass

    def location(self) -> str | None:
        """Where the bucket is; None when the account may not know it (``storage.buckets.get``)."""
        try:
            location: str | None = self._client.get_bucket(self._bucket.name, **HOW).location
        except exceptions.Forbidden:
            logger.debug(f"bigquery: the account may not ask where bucket '{self._bucket.name}' is")
            return None
        return location

    def part(self, epoch: int, load: int, first: int, last: int, table: str, format: str) -> Part:
        """The object of a batch."""
        name = f"{self._job}{epoch}-{load}-{first}-{last}-{table}.{format}"
        return Part(first, last, epoch, load, table, format, name)

    def write(self, part: Part, content: bytes) -> None:
        """Put an object into the bucket; one of the same name is replaced."""
        kind = "application/vnd.apache.parquet" if part.format == "parquet" else "application/x-ndjson"
        blob = self._bucket.blob(part.name)
        blob.upload_from_string(content, content_type=kind, checksum="crc32c", **HOW)

    def uri(self, part: Part) -> str:
        """What a load job calls it."""
        return f"gs://{self._bucket.name}/{part.name}"

    def parts(self) -> list[Part]:
        """All objects of the job."""
        return [part for name in self._names(self._job) if (part := _read(name)) is not None]

    def remove(self, parts: Iterable[Part]) -> None:
        """Remove objects; one that is gone already is no error."""
        for part in parts:
            self._remove(part.name)

    def remove_job(self) -> None:
        """Remove all objects of the job."""
        for name in self._names(self._job):
            self._remove(name)

    def remove_other_jobs(self) -> None:
        """Remove what earlier jobs of the pipeline have left: one that is at work is the only one."""
        for name in self._names(self._pipeline):
            if not name.startswith(self._job):
                self._remove(name)

    def _names(self, prefix: str) -> Iterator[str]:
        return iter([blob.name for blob in self._client.list_blobs(self._bucket, prefix=prefix, **HOW)])

    def _remove(self, name: str) -> None:
        with suppress(exceptions.NotFound):
            self._bucket.blob(name).delete(**HOW)


def committed(parts: Iterable[Part], last: int | None) -> list[Part]:
    """The objects that hold the pages up to ``last``, each page once; pages without rows have none."""
    if last is None:
        return []
    recorded = [part for part in parts if part.last <= last]
    return each_page_once(sorted(recorded, key=lambda part: (part.first, -part.epoch, part.last)))


def _read(name: str) -> Part | None:
    found = _NAME.search(name)
    if found is None:
        return None
    epoch, load, first, last, table, format = found.groups()
    return Part(int(first), int(last), int(epoch), int(load), table, format, name)
