"""The columns of a few records, as a preview shows them: names, types, and how often a value is missing."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?( ?(Z|[+-]\d\d(:?\d\d)?))?")
_WIDER = {frozenset({"integer", "number"}): "number"}


class InferredColumn(NamedTuple):
    """A key of the records. ``type``: text, integer, number, boolean, date, timestamp, list, object, null, or several
    of them. ``nulls``: the share of records in which it is null or missing, from 0 to 1."""

    name: str
    type: str
    nulls: float


def inferred_columns(records: Sequence[Mapping[str, Any]]) -> list[InferredColumn]:
    """The columns in the order in which they first appear."""
    values: dict[str, list[Any]] = {}
    for record in records:
        for name, value in record.items():
            values.setdefault(name, []).append(value)
    columns = []
    for name, found in values.items():
        present = [value for value in found if value is not None]
        columns.append(InferredColumn(name, _type_of(present), 1 - len(present) / len(records)))
    return columns


def _type_of(values: Sequence[Any]) -> str:
    kinds = dict.fromkeys(map(_kind, values))
    if not kinds:
        return "null"
    if set(kinds) > {"text"} and set(kinds) <= {"text", "date", "timestamp"}:
        return "text"
    return _WIDER.get(frozenset(kinds)) or " or ".join(kinds)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "timestamp" if _TIMESTAMP.fullmatch(value) else "date" if _DATE.fullmatch(value) else "text"
    return "list" if isinstance(value, list) else "object"
