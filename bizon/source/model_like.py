"""The methods of a pydantic model for classes that are not models, so that their construction stays a plain call."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema, core_schema, from_json

_DUMPED = TypeAdapter(dict[str, Any])


class ModelLike:
    """Base of classes with the methods of pydantic's ``BaseModel`` that connectors use.

    ``_FIELDS``: names of the constructor's arguments, which are also attributes. ``_REQUIRED``: those without a
    default. Other keys are ignored.
    """

    __slots__ = ()
    _FIELDS: ClassVar[tuple[str, ...]]
    _REQUIRED: ClassVar[tuple[str, ...]]

    @classmethod
    def model_validate(cls, obj: Any) -> Self:
        """The given instance, or a new one from a mapping. Raises TypeError, and ValueError for a missing field."""
        if isinstance(obj, cls):
            return obj
        if not isinstance(obj, Mapping):
            raise TypeError(f"a {cls.__name__} is built from a dict of its fields, not from a {type(obj).__name__}")
        missing = [name for name in cls._REQUIRED if name not in obj]
        if missing:
            raise ValueError(f"a {cls.__name__} needs {' and '.join(map(repr, missing))}")
        return cls(**{name: obj[name] for name in cls._FIELDS if name in obj})

    @classmethod
    def model_validate_json(cls, json_data: str | bytes) -> Self:
        """An instance from the text of a JSON object."""
        return cls.model_validate(from_json(json_data))

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """The fields as a dict. Takes the options of pydantic: ``mode="json"``, ``exclude``, ``exclude_none`` ..."""
        dumped: dict[str, Any] = _DUMPED.dump_python(self._values(**options), **options)
        return dumped

    def model_dump_json(self, **options: Any) -> str:
        """The fields as the text of a JSON object."""
        return _DUMPED.dump_json(self._values(**options), **options).decode()

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self:
        """A copy in which the fields of ``update`` are replaced."""
        return type(self)(**{**{name: getattr(self, name) for name in self._FIELDS}, **(update or {})})

    def _values(self, *, exclude_none: bool = False, **_options: Any) -> dict[str, Any]:
        values = {name: _dumped(getattr(self, name)) for name in self._FIELDS}
        return {name: value for name, value in values.items() if value is not None or not exclude_none}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validated,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value, info: value.model_dump(mode=info.mode), info_arg=True
            ),
        )

    @classmethod
    def _validated(cls, obj: Any) -> Self:
        try:
            return cls.model_validate(obj)
        except TypeError as error:  # pydantic collects ValueErrors only
            raise ValueError(str(error)) from None


def _dumped(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [each.model_dump() if isinstance(each, ModelLike) else each for each in value]
    return value
