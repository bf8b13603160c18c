"""BigQuery's answers to requests of rows: done, refused, or worth another try."""

from typing import NamedTuple

from google.cloud.bigquery_storage_v1 import types
from google.rpc import code_pb2

from bizon.common.errors.errors import DestinationWriteError
from bizon.google.conflicts import is_conflict

_PASSING_CODES = frozenset(
    {
        *(code_pb2.ABORTED, code_pb2.CANCELLED, code_pb2.DEADLINE_EXCEEDED),
        *(code_pb2.INTERNAL, code_pb2.RESOURCE_EXHAUSTED, code_pb2.UNAVAILABLE),
    }
)
_UNKNOWN_COLUMN = "EXTRA_FIELDS"  # in the answer until BigQuery knows a new column


class Request(NamedTuple):
    """Rows that are sent together. ``first``: position of the first in its frame; the others follow it."""

    first: int
    rows: list[bytes]


class PassingError(Exception):
    """The same request may succeed later."""


class EndedError(PassingError):
    """The connection has ended without an answer."""


def passes(text: str) -> bool:
    """Whether a refusal with this text is worth another try, whatever its code is."""
    return _UNKNOWN_COLUMN in text or is_conflict(text)


def check(answer: types.AppendRowsResponse, stream: str) -> None:
    """Raise PassingError for a request that may succeed later, DestinationWriteError for one that never will."""
    code, text = answer.error.code, answer.error.message
    if code in (code_pb2.OK, code_pb2.ALREADY_EXISTS):
        return
    if code in _PASSING_CODES or passes(text):
        raise PassingError(text)
    raise DestinationWriteError(f"stream '{stream}': {code_pb2.Code.Name(code)}: {text}")


def refused_rows(request: Request, answer: types.AppendRowsResponse) -> dict[int, str]:
    """The rows that BigQuery names, by position in the frame."""
    return {request.first + error.index: f"{error.code.name}: {error.message}" for error in answer.row_errors}
