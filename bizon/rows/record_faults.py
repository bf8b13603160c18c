"""Why a record cannot be encoded."""

from datetime import UTC, datetime
from typing import Any

from bizon.common.clock import as_utc
from bizon.rows.encoding import NestingError, encode_data
from bizon.source.models import SourceRecord

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def record_fault(record: Any, position: int) -> str | None:
    """The reason why a record of a page cannot be encoded; None when it can."""
    if not isinstance(record, SourceRecord):
        lacks = " with 'id' and 'data'" if isinstance(record, dict) else ""
        return f"record {position} of the page is a {type(record).__name__}, not a SourceRecord{lacks}"
    try:
        encode_data(record.data).decode()
    except NestingError as error:
        return f"record {record.id!r}: data: {error}"
    except (TypeError, ValueError) as error:
        return f"record {record.id!r}: {_path_of_fault(record.data) or 'data'}: {error}"
    except MemoryError:  # not the fault of the record
        raise
    except Exception as error:  # noqa: BLE001 - a source may put any object there
        return f"record {record.id!r}: data: {type(error).__name__}: {error}"
    return timestamp_fault(record)


def timestamp_fault(record: SourceRecord) -> str | None:
    """The reason why the timestamp of a record cannot be converted to UTC; None when it can."""
    try:
        as_utc(record.own_timestamp or _BEGINNING)
    except Exception as error:  # noqa: BLE001 - the moment is outside the calendar, or its time zone fails
        return f"record {record.id!r}: its timestamp cannot be converted to UTC: {type(error).__name__}: {error}"
    return None


def _path_of_fault(value: Any) -> str | None:
    """The path of the first value without a JSON form, as ``data.key[0]``."""
    stack: list[tuple[str, Any]] = [("data", value)]
    while stack:
        path, item = stack.pop()
        if isinstance(item, dict):
            stack.extend((f"{path}.{key}", inner) for key, inner in reversed(item.items()))
        elif isinstance(item, list | tuple):
            stack.extend((f"{path}[{index}]", inner) for index, inner in reversed(list(enumerate(item))))
        else:
            try:
                encode_data(item)
            except TypeError:
                return path
    return None
