"""Appending rows over gRPC: requests with offsets, answered in order, and sent again from the first without an answer.

A request at an offset that BigQuery has is answered ALREADY_EXISTS, which means that it was done. The default stream of
a table has no offsets: there a request whose answer is lost may be written twice.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from google.api_core import exceptions
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient, types
from google.protobuf.descriptor_pb2 import DescriptorProto
from google.rpc import code_pb2
from loguru import logger

from bizon.common.errors.errors import DestinationWriteError, RowsRejectedError

_WAITS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0)  # seconds between tries of a request without success
_ANSWER = 300.0  # seconds for all answers to the requests of one call
_PASSING = (
    exceptions.Aborted,
    exceptions.Cancelled,
    exceptions.DeadlineExceeded,
    exceptions.InternalServerError,
    exceptions.NotFound,  # a table that was just made
    exceptions.ResourceExhausted,
    exceptions.ServiceUnavailable,
    exceptions.Unknown,
)
_PASSING_CODES = frozenset(
    {
        *(code_pb2.ABORTED, code_pb2.CANCELLED, code_pb2.DEADLINE_EXCEEDED),
        *(code_pb2.INTERNAL, code_pb2.RESOURCE_EXHAUSTED, code_pb2.UNAVAILABLE),
    }
)
_UNKNOWN_COLUMN = "EXTRA_FIELDS"  # in the answer while BigQuery does not know a column that was just added


class Request(NamedTuple):
    """Rows that are sent together. ``first``: where the first of them is in its frame; the others follow it."""

    first: int
    rows: list[bytes]


class _PassingError(Exception):
    """The same request may succeed later."""


class WriteStream:
    """A stream of one table. ``name``: of the stream; ``offset``: where its next row goes, None for the default stream.

    Used by one thread at a time. Rows of earlier calls stay where they are: what is appended again by a later call is
    there twice.
    """

    def __init__(
        self,
        client: BigQueryWriteClient,
        name: str,
        descriptor: DescriptorProto,
        *,
        offset: int | None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self._client = client
        self._schema = types.ProtoSchema(proto_descriptor=descriptor)
        self._offset = offset
        self._sleep = sleep

    def append(self, requests: Sequence[Request]) -> None:
        """Append the rows of the requests in order; returns once all are confirmed.

        Raises RowsRejectedError for rows that BigQuery names, and DestinationWriteError.
        """
        done, waits = 0, iter(_WAITS)
        while done < len(requests):
            before = done
            try:
                for _ in self._answers(requests[done:]):
                    if self._offset is not None:
                        self._offset += len(requests[done].rows)
                    done += 1
            except (*_PASSING, _PassingError) as error:
                waits = iter(_WAITS) if done > before else waits
                wait = next(waits, None)
                if wait is None:
                    raise DestinationWriteError(f"stream '{self.name}': {error}", retryable=True) from error
                logger.warning(f"bigquery: {error}; appending again in {wait} s")
                self._sleep(wait)

    def _answers(self, requests: Sequence[Request]) -> Iterator[None]:
        """One item for each request that was done."""
        routing = (("x-goog-request-params", f"write_stream={self.name}"),)
        answers: Any = self._client.append_rows(self._wire(requests), retry=None, timeout=_ANSWER, metadata=routing)
        try:
            for request in requests:
                answer = next(answers, None)
                if answer is None:
                    raise _PassingError("the connection ended before all requests were answered")
                self._check(request, answer)
                yield
        finally:
            answers.cancel()

    def _wire(self, requests: Iterable[Request]) -> Iterator[types.AppendRowsRequest]:
        offset = self._offset
        for number, request in enumerate(requests):
            rows = types.ProtoRows(serialized_rows=request.rows)
            data = types.AppendRowsRequest.ProtoData(rows=rows)
            if number == 0:
                data.writer_schema = self._schema
            made = types.AppendRowsRequest(write_stream=self.name if number == 0 else "", proto_rows=data)
            if offset is not None:
                made.offset = offset
                offset += len(request.rows)
            yield made

    def _check(self, request: Request, answer: types.AppendRowsResponse) -> None:
        if answer.row_errors:
            raise RowsRejectedError(
                {request.first + error.index: f"{error.code.name}: {error.message}" for error in answer.row_errors}
            )
        code, text = answer.error.code, answer.error.message
        if code in (code_pb2.OK, code_pb2.ALREADY_EXISTS):
            return
        if code in _PASSING_CODES or _UNKNOWN_COLUMN in text:
            raise _PassingError(text)
        raise DestinationWriteError(f"stream '{self.name}': {code_pb2.Code.Name(code)}: {text}")
