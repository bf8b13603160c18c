"""Blocks whose class one of their keys selects. Only the selected class is imported."""

from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError
from pydantic_core.core_schema import no_info_plain_validator_function

from bizon.common.errors.errors import BizonError

UNUSABLE = "unusable_class"
"""The type of the error for a class that cannot be used. Its context has the ``text``, and the keys ``below`` the place
that select the class."""
FAILED = "failed_class"
"""The type of the error for a config class that raised an error which pydantic does not handle. Its context has the
``class`` and the ``error``."""


class Selected:
    """Annotates a block: ``Annotated[Base, Selected("type", {"sqlite": "package.module.SQLiteConfig", ...})]``.

    ``key``: the key of the block that selects its class. ``classes``: for each value of the key, the dotted name of the
    class; an enum's members work as values. ``others``: the dotted name of a function that finds the class for a value
    which is not listed, or None; it may raise BizonError, which says why the class cannot be used. ``other_names``: the
    dotted name of a function that lists such values, for messages.
    """

    def __init__(
        self,
        key: str,
        classes: Mapping[str, str],
        *,
        others: str | None = None,
        other_names: str | None = None,
    ) -> None:
        self.key = key
        self._classes = {str(name): path for name, path in classes.items()}
        self._others = others
        self._other_names = other_names

    @property
    def names(self) -> list[str]:
        """The values that the key may have."""
        others = [] if self._other_names is None else _imported(self._other_names)()
        return list(dict.fromkeys((*self._classes, *others)))

    def all(self) -> dict[str, type[BaseModel]]:
        """Every listed class, by the value that selects it. Imports all of them."""
        return {name: _imported(path) for name, path in self._classes.items()}

    def class_of(self, block: Any) -> type[BaseModel] | None:
        """The class for a block of a configuration; None when its key selects none that can be used."""
        with suppress(BizonError):
            return self._class_of(block)
        return None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def validate(block: Any) -> BaseModel:
            return self._validated(source, block)

        return no_info_plain_validator_function(validate)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Either of the listed classes."""
        branches: list[JsonSchemaValue] = []
        for model in self.all().values():
            model.model_rebuild()
            branches.append(handler(model.__pydantic_core_schema__))
        return {"oneOf": branches}

    def _validated(self, base: type[BaseModel], block: Any) -> BaseModel:
        if isinstance(block, base):
            return block
        if not isinstance(block, Mapping):
            raise PydanticKnownError("dict_type")
        try:
            model = self._class_of(block)
        except BizonError as error:
            raise PydanticCustomError(UNUSABLE, "{text}", {"text": str(error), "below": [self.key]}) from error
        if model is not None:
            return model.model_validate(block)
        context = {"discriminator": f"'{self.key}'", "names": ", ".join(self.names)}
        if self.key not in block:
            raise PydanticCustomError("union_tag_not_found", "needs {discriminator}: {names}", context)
        raise PydanticCustomError("union_tag_invalid", "{discriminator} must be one of: {names}", context)

    def _class_of(self, block: Any) -> type[BaseModel] | None:
        name = block.get(self.key) if isinstance(block, Mapping) else None
        if not isinstance(name, str):
            return None
        model: type[BaseModel] | None = None
        if str(name) in self._classes:
            model = _imported(self._classes[str(name)])
        elif self._others is not None:
            model = _imported(self._others)(str(name))
        return model


def _imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
