"""Avro unions whose branches would look the same in JSON: each value says which branch it is.

A union of two records, or of a text and an enum, loses the branch when it becomes JSON: ``{"order": 7}`` may be either
record. Avro's own JSON encoding keeps it, as ``{"shop.OrderPlaced": {"order": 7}}``, and so does this. No value is
touched for it: a record with a single field has the same bytes as the field, so each branch of such a union is put
into a record of one field, which has the name of the branch, and the decoder does the rest.
"""

from collections.abc import Iterator
from itertools import count
from typing import Any

from fastavro import parse_schema

_TEXTS = frozenset({"string", "bytes", "fixed", "enum"})
_OBJECTS = frozenset({"record", "error", "map"})
_MOMENTS = ("date", "time-", "timestamp-", "local-timestamp-")  # logical types that become texts
_NESTED = ("type", "items", "values")  # keys of a schema under which another one may be


def parsed_with_branches(schema: Any) -> Any:
    """A schema, ready for the decoder. Raises what fastavro raises for one that is not Avro."""
    named: dict[str, Any] = {}
    parsed = parse_schema(schema, named)
    _mark(parsed, named, count())
    return parsed


def _mark(schema: Any, named: dict[str, Any], numbers: Iterator[int]) -> None:
    """Mark the unions below ``schema``, in place. A name refers to a definition that is visited where it stands."""
    if isinstance(schema, list):
        for branch in schema:
            _mark(branch, named, numbers)
        if _is_ambiguous(schema, named):
            schema[:] = [branch if branch == "null" else _marked(branch, next(numbers)) for branch in schema]
    elif isinstance(schema, dict):
        for key in _NESTED:
            _mark(schema.get(key), named, numbers)
        for field in schema.get("fields", ()):
            _mark(field["type"], named, numbers)


def _is_ambiguous(union: list[Any], named: dict[str, Any]) -> bool:
    shapes = [_shape(branch, named) for branch in union]
    return any(shapes.count(shape) > 1 for shape in ("object", "text"))


def _shape(branch: Any, named: dict[str, Any]) -> str:
    """What JSON a branch becomes. Numbers need no mark: the number itself is the same, whichever branch it is."""
    schema = named.get(branch, branch) if isinstance(branch, str) else branch
    kind = schema["type"] if isinstance(schema, dict) else schema
    logical = str(schema.get("logicalType", "")) if isinstance(schema, dict) else ""
    if kind in _OBJECTS:
        return "object"
    return "text" if kind in _TEXTS or logical.startswith(_MOMENTS) else str(kind)


def _marked(branch: Any, number: int) -> dict[str, Any]:
    name = branch if isinstance(branch, str) else branch.get("name", branch["type"])
    return {"type": "record", "name": f"branch_{number}", "fields": [{"name": name, "type": branch}]}
