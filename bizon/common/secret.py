"""Secrets in configuration: usable as text by a connector, masked wherever a config is shown."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, PlainSerializer, WithJsonSchema

MASK = "**********"


class Secret(str):
    """A string whose ``repr`` and JSON form are masked.

    It stays a ``str`` so that a connector written as the guides show (``f"Bearer {params.token}"``) works unchanged;
    ``get_secret_value`` is there for code that expects pydantic's ``SecretStr``. What it cannot do is to mask a text
    a connector builds from it: the log sinks scrub for that.
    """

    __slots__ = ()

    def get_secret_value(self) -> str:
        """The value as a plain string."""
        return str.__str__(self)

    def __repr__(self) -> str:
        return repr(MASK if self else "")


SecretText = Annotated[
    str,
    AfterValidator(Secret),
    PlainSerializer(lambda value: MASK if value else "", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "password", "writeOnly": True}),
]
"""Type of a config field that holds a secret: give it a plain string, read back a :class:`Secret`."""


def iter_secrets(value: Any) -> Iterator[str]:
    """Every non-empty secret inside a model, dict, list or tuple, depth first."""
    if isinstance(value, Secret):
        if value:
            yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for _, item in value:
            yield from iter_secrets(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from iter_secrets(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from iter_secrets(item)
