"""The records that destinations are tested with, and the form in which rows are compared."""

from datetime import UTC, datetime
from typing import Any

import orjson

from bizon.rows.frames import DESTINATION_SCHEMA, UTC_MICROSECONDS
from bizon.source.models import SourceRecord

HOSTILE = [
    SourceRecord(id="plain", data={"n": 1, "f": 0.1, "none": None, "yes": True, "list": [1, [2]], "object": {"a": {}}}),
    SourceRecord(id="empty", data={}),
    SourceRecord(id="quotes", data={"text": "\"'\\\n\r\t`;--, %s {} $1 \x00 \x1f"}),
    SourceRecord(id="Zoë \u2603 \U0001f9ed", data={"\U0001f525": "\u2028\ufeff\U0001f525"}),
    SourceRecord(id="with spaces, a comma and a \"quote'", data={"a": 1}),
    SourceRecord(id="long " * 40, data={"text": "x" * 300_000}),
    SourceRecord(id="large numbers", data={"n": 2**63 - 1, "m": -(2**63), "f": 1.7976931348623157e308}),
    SourceRecord(id="old", data={"a": 1}, timestamp=datetime(1970, 1, 1, tzinfo=UTC)),
    SourceRecord(id="microseconds", data={"a": 1}, timestamp=datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC)),
]


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """A row in comparable form: moments in UTC, records decoded, without the destination's additional columns."""
    return {name: _value(name, value) for name, value in row.items() if name in DESTINATION_SCHEMA}


def _value(name: str, value: Any) -> Any:
    if name == "source_data":
        return orjson.loads(value) if isinstance(value, str | bytes) else value
    if DESTINATION_SCHEMA[name] == UTC_MICROSECONDS:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        message = f"{name} has no time zone: {value!r}; `read` adds UTC where the driver drops it"
        assert moment.tzinfo is not None, message
        return moment.astimezone(UTC)
    return value
