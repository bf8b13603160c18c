"""The rows that an insertAll request refuses, and why."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import DestinationWriteError

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery_streaming.src.insert_rows import Row

_STOPPED = "stopped"  # a good row in a request with a bad one
Errors = Sequence[Mapping[str, Any]]


def is_unknown_field(errors: Errors) -> bool:
    messages = [str(detail.get("message")) for error in errors for detail in error.get("errors", ())]
    return any("no such field" in message.lower() for message in messages)


def refused_rows(request: list["Row"], errors: Errors, table: str) -> dict[int, str]:
    """The rows that BigQuery names. If it names none, the whole request failed: raises DestinationWriteError."""
    reasons: dict[int, str] = {}
    for error in errors:
        details = [detail for detail in error.get("errors", ()) if detail.get("reason") != _STOPPED]
        if details:
            row = request[int(error["index"])]
            reasons[row.position] = f"row '{row.id}' of '{table}': {_shown(details)}"
    if reasons:
        return reasons
    raise DestinationWriteError(f"bigquery: table '{table}': no row was inserted: {_shown(errors)}")


def _shown(details: Iterable[Mapping[str, Any]]) -> str:
    texts = []
    for detail in details:
        column, message = detail.get("location"), detail.get("message") or detail.get("reason") or detail
        texts.append(f"column '{column}': {message}" if column else str(message))
    return "; ".join(texts)
