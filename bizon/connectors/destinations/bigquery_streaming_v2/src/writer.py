"""Writes a batch: rows are packed into requests, which several write streams send at the same time."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING

from google.cloud.bigquery import SchemaField
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient, types

from bizon.common.errors.errors import RowsRejectedError
from bizon.connectors.destinations.bigquery.src.request_policy import REQUEST_OPTIONS
from bizon.connectors.destinations.bigquery_streaming_v2.src.answers import Request
from bizon.connectors.destinations.bigquery_streaming_v2.src.appends import WriteStream
from bizon.connectors.destinations.bigquery_streaming_v2.src.stream_opening import opened

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import DescriptorProto

    from bizon.connectors.destinations.bigquery.src.landed import Confirmed

ROW_BYTES = 8_000_000  # of one row; BigQuery takes requests of 10 MB
_AROUND = 8  # most bytes around a row in a request


class TableWriter:
    """Writes to one table. ``threads``: streams that append at the same time. With ``offsets`` the streams belong to
    this run, and a repeated request is not written twice; without, all use the default stream of the table. ``fields``:
    columns that may be new or of a new type; a stream is opened once the API knows them."""

    def __init__(
        self,
        client: BigQueryWriteClient,
        table_id: str,
        descriptor: "DescriptorProto",
        *,
        request_bytes: int,
        threads: int,
        offsets: bool,
        request_rows: int | None = None,
        fields: Sequence[SchemaField] = (),
    ) -> None:
        self._descriptor = descriptor
        self._fields = fields
        self._client = client
        self._parent = client.table_path(*table_id.split("."))
        self._request_bytes = request_bytes
        self._request_rows = request_rows
        self._threads = threads
        self._offsets = offsets
        self._streams: list[WriteStream] = []

    def write(self, rows: Iterable[bytes], confirmed: "Confirmed") -> None:
        """Append rows; returns once all are confirmed, and notes confirmed rows. Raises the errors of
        ``WriteStream.append``; for rows that are too large, RowsRejectedError before any row is appended."""
        requests = packed(rows, self._request_bytes, self._request_rows)
        share = -(-len(requests) // self._threads) or 1
        shares = [requests[first : first + share] for first in range(0, len(requests), share)]
        try:
            self._append(shares, confirmed)
        except BaseException:
            self._streams.clear()  # their ends are unknown
            raise

    def _append(self, shares: list[list[Request]], confirmed: "Confirmed") -> None:
        while len(self._streams) < len(shares):
            self._streams.append(self._open())
        if len(shares) == 1:
            self._streams[0].append(shares[0], confirmed)
            return
        with ThreadPoolExecutor(len(shares) or 1, "bigquery-append") as threads:
            under_way = [
                threads.submit(copy_context().run, stream.append, each, confirmed)  # with the stop flag of the run
                for stream, each in zip(self._streams, shares, strict=False)
            ]
        _raise_all([error for each in under_way if (error := each.exception()) is not None])

    def _open(self) -> WriteStream:
        if not self._offsets:
            name = f"{self._parent}/streams/_default"
            if self._fields:
                seen = types.GetWriteStreamRequest(name=name, view=types.WriteStreamView.FULL)
                opened(lambda: self._client.get_write_stream(request=seen, **REQUEST_OPTIONS), self._fields)
            return WriteStream(self._client, name, self._descriptor, offset=None)
        wanted = types.WriteStream(type_=types.WriteStream.Type.COMMITTED)

        def create() -> types.WriteStream:
            return self._client.create_write_stream(parent=self._parent, write_stream=wanted, **REQUEST_OPTIONS)

        return WriteStream(self._client, opened(create, self._fields).name, self._descriptor, offset=0)


def _raise_all(errors: list[BaseException]) -> None:
    """Raise the first error that is not about rows, else one error for all refused rows."""
    reasons: dict[int, str] = {}
    for error in errors:
        if not isinstance(error, RowsRejectedError):
            raise error
        reasons.update(error.reasons)
    if reasons:
        raise RowsRejectedError(reasons)


def packed(rows: Iterable[bytes], most_bytes: int, most_rows: int | None = None) -> list[Request]:
    """Requests: the rows of a frame in order, as many as fit, at most ``most_rows``. Raises RowsRejectedError for rows
    that are too large for any request."""
    requests: list[Request] = []
    request: list[bytes] = []
    size = most_bytes  # pretend that a full request came before the first
    limit = min(ROW_BYTES, most_bytes)
    too_large: dict[int, str] = {}
    for position, row in enumerate(rows):
        taken = len(row) + _AROUND
        if taken > limit:
            too_large[position] = f"a row of {taken:,} bytes is more than Storage Write takes ({limit:,})"
            continue
        if size + taken > most_bytes or len(request) == most_rows:
            request, size = [], 0
            requests.append(Request(position, request))
        request.append(row)
        size += taken
    if too_large:
        raise RowsRejectedError(too_large)
    return requests
