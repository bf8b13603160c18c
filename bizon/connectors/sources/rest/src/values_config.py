"""Types of keys whose values go into requests: texts with names in braces, some of them secrets."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from bizon.common.secret import Secret, SecretText
from bizon.common.secret_shapes import is_secret_field
from bizon.connectors.sources.rest.src.template import (
    checked_body,
    checked_within,
    names_in,
    with_literal_values,
)

_LOWEST, _HIGHEST = 200, 599


def _hidden(value: Any, key: str = "") -> Any:
    """A JSON value whose texts under keys like ``api_key`` are secrets."""
    if isinstance(value, dict):
        return {name: _hidden(item, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item, key) for item in value]
    return Secret(value) if isinstance(value, str) and is_secret_field(key) else value


def _header_values(value: Any) -> Any:
    """Header values as text: YAML reads 2 as a number."""
    if not isinstance(value, dict):
        return value
    return {name: str(item) if type(item) is int else item for name, item in value.items()}


def _statuses(value: Any) -> Any:
    return [value] if isinstance(value, int | str) and not isinstance(value, bool) else value


Params = Annotated[
    dict[str, str | int | float | bool | list[str | int | float | bool] | None],
    BeforeValidator(with_literal_values),
    AfterValidator(_hidden),
    AfterValidator(checked_within),
]
Variables = Annotated[dict[str, str | int | None], AfterValidator(_hidden)]
Headers = Annotated[
    dict[str, SecretText],
    BeforeValidator(_header_values),
    BeforeValidator(with_literal_values),
    AfterValidator(checked_within),
    WithJsonSchema(
        {
            "title": "map of secret text",
            "type": "object",
            "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        }
    ),
]
Body = Annotated[dict[str, Any], AfterValidator(_hidden), AfterValidator(checked_body)]
Statuses = Annotated[
    list[Annotated[int, Field(ge=_LOWEST, le=_HIGHEST)]],
    BeforeValidator(_statuses),
    WithJsonSchema(
        {"title": "integer or list", "anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]}
    ),
]


def secret_names(params: dict[str, Any], variables: dict[str, Any]) -> list[str]:
    """The names of the parameters that are secrets, or have one in them."""
    hidden = {f"variables.{name}" for name, value in variables.items() if isinstance(value, Secret)}
    return [
        name for name, value in params.items() if isinstance(value, Secret) or not hidden.isdisjoint(names_in(value))
    ]
