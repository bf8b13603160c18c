"""A schema whose values may also be references to variables."""

from copy import deepcopy
from typing import Any

_REFERENCE = r"^BIZON_ENV_|\$\{env://"
_WORDS = {  # texts that pydantic converts to a value of another kind
    "integer": r"^[+-]?[0-9_]+(\.0*)?$",
    "number": r"^[+-]?([0-9_]+\.?[0-9_]*|\.[0-9]+)([eE][+-]?[0-9]+)?$",
    "boolean": r"^([Tt]rue|TRUE|[Ff]alse|FALSE|[Yy]es|YES|[Nn]o|NO|[Oo]n|ON|[Oo]ff|OFF|[tTfFyYnN01])$",
}
_LIMITS_OF_TEXT = ("enum", "const", "pattern", "maxLength", "minLength", "format")
_CODE = "TransformModel"  # references are not replaced there
Schema = dict[str, Any]


def with_references(schema: Schema) -> Schema:
    """A schema whose values may also be references to variables, and whose numbers and booleans may be texts."""
    done: Schema = {}
    for keyword, value in schema.items():
        # a reference matches every branch, so "exactly one" becomes "any"
        done["anyOf" if keyword == "oneOf" else keyword] = _keyword_with_references(keyword, value)
    done.pop("discriminator", None)
    return done


def _keyword_with_references(keyword: str, value: Any) -> Any:
    if keyword in ("$defs", "properties"):
        return {key: _value(below) if key != _CODE else deepcopy(below) for key, below in value.items()}
    if keyword in ("then", "else", "items", "additionalProperties") and isinstance(value, dict):
        return _value(value)
    if keyword in ("anyOf", "oneOf", "allOf", "prefixItems"):
        return [_value(branch) for branch in value]
    return deepcopy(value)


def _value(schema: Schema) -> Schema:
    kind = schema.get("type")
    if kind in _WORDS:
        return either(schema, {"type": "string", "pattern": f"{_REFERENCE}|{_WORDS[kind]}"})
    if kind == "string" and any(limit in schema for limit in _LIMITS_OF_TEXT):
        return either(schema, {"type": "string", "pattern": _REFERENCE})
    return with_references(schema)


def either(schema: Schema, other: Schema) -> Schema:
    """Either of two schemas, with the title, description and default of the first."""
    shown: Schema = {name: schema[name] for name in ("title", "description", "default") if name in schema}
    rest = {name: value for name, value in schema.items() if name not in shown}
    return {**shown, "anyOf": [rest, other]}
