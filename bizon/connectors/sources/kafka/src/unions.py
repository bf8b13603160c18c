"""Avro unions whose branches look the same in JSON: each value names its branch.

A union of two records, or of a string and an enum, loses the branch when it becomes JSON: ``{"order": 7}`` may be
either record. Avro's own JSON encoding keeps it, as ``{"shop.OrderPlaced": {"order": 7}}``, and so does this module,
without changing any value. A record with a single field has the same bytes as the field. So each branch of such a union
is wrapped in a record of one field, named like the branch, and the decoder does the rest."""

from collections.abc import Iterator
from itertools import count
from typing import Any

from fastavro import parse_schema

_TEXTS = frozenset({"string", "bytes", "fixed", "enum"})
_OBJECTS = frozenset({"record", "error", "map"})
_MOMENTS = ("date", "time-", "timestamp-", "local-timestamp-")  # logical types that become strings
_NESTED = ("type", "items", "values")  # keys of a schema that may hold another schema


def parsed_with_branches(schema: Any) -> Any:
    """A schema, ready for the decoder. Raises the errors of fastavro when it is not Avro."""
    named: dict[str, Any] = {}
    parsed = parse_schema(schema, named)
    _mark(parsed, named, count())
    return parsed


def _mark(schema: Any, named: dict[str, Any], numbers: Iterator[int]) -> None:
    """Mark the unions below ``schema``, in place. A name needs no visit: its definition is visited where it stands."""
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
    """The kind of JSON that a branch becomes. Numbers need no mark: they are the same in every branch."""
    schema = named.get(branch, branch) if isinstance(branch, str) else branch
    kind = schema["type"] if isinstance(schema, dict) else schema
    logical = str(schema.get("logicalType", "")) if isinstance(schema, dict) else ""
    if kind in _OBJECTS:
        return "object"
    return "text" if kind in _TEXTS or logical.startswith(_MOMENTS) else str(kind)


def _marked(branch: Any, number: int) -> dict[str, Any]:
    name = branch if isinstance(branch, str) else branch.get("name", branch["type"])
    return {"type": "record", "name": f"branch_{number}", "fields": [{"name": name, "type": branch}]}
