"""Appends rows over gRPC: requests with offsets, answered in order, and sent again from the first unanswered one.

BigQuery answers ALREADY_EXISTS for an offset that it has, which means that the request was done. The default stream of
a table has no offsets: there, a request whose answer is lost may be written twice.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from google.api_core import exceptions
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient, types
from google.protobuf.descriptor_pb2 import DescriptorProto
from google.rpc import code_pb2

from bizon.common.errors.errors import DestinationWriteError, RowsRejectedError
from bizon.common.safe_log import logger
from bizon.common.waiting import Attempt, back_off, rest
from bizon.connectors.destinations.bigquery_streaming_v2.src.answers import (
    EndedError,
    PassingError,
    Request,
    check,
    passes,
    refused_rows,
)

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.landed import Confirmed

_FIRST_WAIT, _LONGEST_WAIT, _TRIES = 0.5, 15.0, 9  # seconds, seconds, tries of a failing request
_ANSWER = 300.0  # seconds for all answers to the requests of one call
_PASSING = (
    exceptions.Aborted,
    exceptions.Cancelled,
    exceptions.DeadlineExceeded,
    exceptions.InternalServerError,
    exceptions.NotFound,  # a new table
    exceptions.ResourceExhausted,
    exceptions.ServiceUnavailable,
    exceptions.Unknown,
)
_DEFAULT_VALUE = types.AppendRowsRequest.MissingValueInterpretation.DEFAULT_VALUE
"""A column that a row lacks gets its default, else NULL; without this, BigQuery always writes NULL."""


class WriteStream:
    """A stream of one table. ``offset``: where its next row goes, None for the default stream.

    Used by one thread at a time. Rows of earlier calls stay: rows that a later call appends again are there twice.
    """

    def __init__(
        self,
        client: BigQueryWriteClient,
        name: str,
        descriptor: DescriptorProto,
        *,
        offset: int | None,
        sleep: Callable[[float], None] = rest,
    ) -> None:
        self.name = name
        self._client = client
        self._schema = types.ProtoSchema(proto_descriptor=descriptor)
        self._offset = offset
        self._sleep = sleep

    def append(self, requests: Sequence[Request], confirmed: "Confirmed | None" = None) -> None:
        """Append the rows of the requests in order; returns once all are confirmed, and notes confirmed rows.

        A request with a row that BigQuery refuses is not appended; the other requests are. Raises RowsRejectedError for
        all such rows at the end, and DestinationWriteError.
        """
        waiting, attempts = list(requests), self._attempts()
        attempt = next(attempts)
        reasons: dict[int, str] = {}
        confirmed = [] if confirmed is None else confirmed
        while waiting:
            before = len(waiting)
            try:
                if not self._append_once(waiting, confirmed, reasons):
                    break
            except (exceptions.GoogleAPICallError, PassingError) as error:
                if not _is_passing(error):
                    raise
                if len(waiting) < before:
                    attempts = self._attempts()
                    attempt = next(attempts)
                if attempt.is_last:
                    raise DestinationWriteError(f"stream '{self.name}': {error}", retryable=True) from error
                logger.warning(f"bigquery: {error}; appending again in {attempt.wait} s")
                attempt = next(attempts)
        if reasons:
            raise RowsRejectedError(reasons)

    def _attempts(self) -> Iterator[Attempt]:
        return back_off(_FIRST_WAIT, _LONGEST_WAIT, tries=_TRIES, sleep=self._sleep)

    def _append_once(self, waiting: list[Request], confirmed: "Confirmed", reasons: dict[int, str]) -> bool:
        """Send the waiting requests, and remove those that are done or refused. Reads all answers, also after a
        refusal: later requests may be done. With offsets they are not, since each offset after a refusal was wrong.

        Returns False if the connection has ended after a refusal; the next call sends what still waits.
        """
        place, is_off = 0, False
        try:
            for answer in self._answers(list(waiting)):
                request = waiting[place]
                if answer.row_errors:
                    is_off = self._offset is not None
                    reasons.update(refused_rows(request, answer))
                elif is_off and answer.error.code == code_pb2.OUT_OF_RANGE:
                    place += 1
                    continue
                else:
                    check(answer, self.name)
                    if self._offset is not None:
                        self._offset += len(request.rows)
                    confirmed.append(range(request.first, request.first + len(request.rows)))
                del waiting[place]
        except exceptions.OutOfRange:
            if not is_off:
                raise
        except EndedError:
            if not is_off:
                raise
            return False
        return True

    def _answers(self, requests: Sequence[Request]) -> Iterator[types.AppendRowsResponse]:
        """One answer per request."""
        routing = (("x-goog-request-params", f"write_stream={self.name}"),)
        answers: Any = self._client.append_rows(self._wire(requests), retry=None, timeout=_ANSWER, metadata=routing)
        try:
            for _ in requests:
                answer = next(answers, None)
                if answer is None:
                    raise EndedError("the connection ended before all requests were answered")
                yield answer
        finally:
            answers.cancel()

    def _wire(self, requests: Iterable[Request]) -> Iterator[types.AppendRowsRequest]:
        offset = self._offset
        for number, request in enumerate(requests):
            rows = types.ProtoRows(serialized_rows=request.rows)
            data = types.AppendRowsRequest.ProtoData(rows=rows)
            if number == 0:
                data.writer_schema = self._schema
            made = types.AppendRowsRequest(
                write_stream=self.name if number == 0 else "",
                proto_rows=data,
                default_missing_value_interpretation=_DEFAULT_VALUE,
            )
            if offset is not None:
                made.offset = offset
                offset += len(request.rows)
            yield made


def _is_passing(error: Exception) -> bool:
    """Whether the same requests may succeed later."""
    return isinstance(error, (*_PASSING, PassingError)) or passes(str(error))
