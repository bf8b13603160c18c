"""Destinations from outside the package: in a user's file, or of a plug-in. Their classes are imported only here."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticKnownError, ValidationError

from bizon.common.errors.errors import BizonError, ConfigError
from bizon.config.selected import FAILED, UNUSABLE
from bizon.destination.config import (
    AbstractDestinationConfig,
    AbstractDestinationDetailsConfig,
    DestinationTypes,
)
from bizon.destination.destination import AbstractDestination
from bizon.discovery.files import Kind, classes_in_file
from bizon.discovery.plugins import DESTINATIONS, plugin_classes, plugins

KIND = Kind("destination", "bizon.destination.destination.AbstractDestination")
_FILE = "destination_file_path"


class OutsideDestinationConfig(AbstractDestinationConfig):
    """``destination: {name: custom}``: your own class, in the file that ``config.destination_file_path`` names."""

    name: str = Field(min_length=1, description="custom, or the name of a plug-in.")
    alias: str = Field(
        default="",
        description="Name shown in answers, logs and metrics; default: the name. For `custom`, the name of the file: "
        "`ledger` for `ledger_destination.py`.",
    )
    config: Any = Field(description="Settings: the keys of the destination's own class.")

    @model_validator(mode="before")
    @classmethod
    def _named_by_default(cls, block: Any) -> Any:
        return {**block, "alias": block.get("alias") or _name_of(block)} if isinstance(block, dict) else block

    @field_validator("config")
    @classmethod
    def _of_its_class(cls, config: Any, info: ValidationInfo) -> Any:
        """The keys that the class of the destination knows. Executes its file, or imports its package."""
        if isinstance(config, AbstractDestinationDetailsConfig):
            return config
        if not isinstance(config, dict):
            raise PydanticKnownError("dict_type")
        details = _details_class(info.data.get("name", ""), config)
        try:
            return details.model_validate(config)
        except ValidationError:
            raise
        except (Exception, SystemExit) as error:
            raise PydanticCustomError(FAILED, "the class failed", {"error": error, "class": details}) from error


def _name_of(block: Mapping[str, Any]) -> Any:
    """The name of a destination in a user's file is the name of the file. ``block``: unchecked."""
    name, config = block.get("name"), block.get("config")
    path = config.get(_FILE) if isinstance(config, dict) else getattr(config, _FILE, None)
    if name != DestinationTypes.CUSTOM or not isinstance(path, str):
        return name
    return PurePath(path).stem.removesuffix("_destination") or name


def plugin_block(name: str) -> type[AbstractDestinationConfig] | None:
    """The class of the ``destination`` block of a plug-in; None when no installed package announces it.

    Raises ConfigError or MissingDependencyError when the plug-in cannot be used.
    """
    return OutsideDestinationConfig if plugin_classes(DESTINATIONS, name, AbstractDestination, KIND) else None


def plugin_names() -> list[str]:
    """The names of the installed plug-ins."""
    return [plugin.name for plugin in plugins(DESTINATIONS)]


def outside_class(config: AbstractDestinationConfig) -> type[AbstractDestination] | None:
    """The class of a destination that is not built in; None when there is none of this name. Called in each process.

    Raises ConfigError or MissingDependencyError when it cannot be used.
    """
    if config.name == DestinationTypes.CUSTOM:
        return load_custom_destination(config.config.destination_file_path)
    return next(iter(plugin_classes(DESTINATIONS, config.name, AbstractDestination, KIND)), None)


def load_custom_destination(path: str) -> type[AbstractDestination]:
    """The destination class in a user's file. Raises ConfigError, which names the line, when there is none."""
    classes = classes_in_file(path, AbstractDestination, KIND)
    most_derived, *others = classes
    rivals = [each for each in others if not issubclass(most_derived, each)]
    if rivals:
        names = ", ".join(each.__name__ for each in (most_derived, *rivals))
        raise ConfigError(f"{path} defines several destinations, {names}: put each into a file of its own")
    return most_derived


def _details_class(name: str, config: Mapping[str, Any]) -> type[AbstractDestinationDetailsConfig]:
    """The class of ``destination.config``, which the destination's own class names. ``config``: the block, unchecked.

    Raises ValidationError or PydanticCustomError when the class cannot be used.
    """
    path = config.get(_FILE)
    if name == DestinationTypes.CUSTOM and not isinstance(path, str):
        line = InitErrorDetails(type="missing" if path is None else "string_type", loc=(_FILE,), input=path)
        raise ValidationError.from_exception_data("destination.config", [line], hide_input=True)
    try:
        return _details_of(_class_of(name, path))
    except BizonError as error:
        below = [_FILE] if name == DestinationTypes.CUSTOM else []
        raise PydanticCustomError(UNUSABLE, "{text}", {"text": str(error), "below": below}) from error


def _class_of(name: str, path: Any) -> type[AbstractDestination]:
    if name == DestinationTypes.CUSTOM:
        return load_custom_destination(path)
    found = plugin_classes(DESTINATIONS, name, AbstractDestination, KIND)
    if not found:
        raise ConfigError(
            f"no installed package announces the destination '{name}'; install it: pip install -e PACKAGE"
        )
    return found[0]


def _details_of(destination: type[AbstractDestination]) -> type[AbstractDestinationDetailsConfig]:
    try:
        details = destination.get_config_class()
    except (Exception, SystemExit) as error:
        raise ConfigError(f"get_config_class() of {destination.__name__} failed: {error!r}") from error
    if isinstance(details, type) and issubclass(details, AbstractDestinationDetailsConfig):
        return details
    raise ConfigError(
        f"get_config_class() of {destination.__name__} returned {details!r}; it must be a static method that returns a "
        "class which extends AbstractDestinationDetailsConfig"
    )
