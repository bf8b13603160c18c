"""The types that a configuration model expects at a place: pydantic's locations mapped to the keys of the YAML."""

from collections.abc import Iterator, Sequence
from enum import Enum
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel

from bizon.config.selected import Selected
from bizon.config.strict import alternatives, keys_of

if TYPE_CHECKING:
    from bizon.config.document import KeyPath


class Place(NamedTuple):
    """A place in the YAML.

    ``expected``: the types allowed there, empty when unknown. ``discriminator``: the key that selects one of them.
    ``value``: the value there, or None. ``branches``: the choices between alternatives that led here. ``selected``: how
    the class is selected, in a block whose class is imported on demand.
    """

    path: "KeyPath" = ()
    expected: tuple[Any, ...] = ()
    discriminator: str | None = None
    value: Any = None
    branches: tuple[tuple["KeyPath", str], ...] = ()
    selected: Selected | None = None

    @property
    def models(self) -> list[type[BaseModel]]:
        """The config classes allowed here."""
        return [each for each in self.expected if isinstance(each, type) and issubclass(each, BaseModel)]

    @property
    def choices(self) -> list[str]:
        """The values allowed here, when they come from a fixed list."""
        return choices_of(self.expected)

    @property
    def tags(self) -> list[str]:
        """The values the discriminator may have."""
        if self.selected is not None:
            return self.selected.names
        fields = (keys_of(model).get(self.discriminator or "") for model in self.models)
        return [tag for each in fields if each is not None for tag in choices_of(alternatives(each.annotation))]


def choices_of(expected: Sequence[Any]) -> list[str]:
    """The values of the enums and literals among these types."""
    return [str(getattr(choice, "value", choice)) for each in expected for choice in _literals(each)]


def find_place(model: type[BaseModel], data: Any, location: Sequence[str | int], *, missing: bool = False) -> Place:
    """Follow a pydantic location. ``missing``: its last step is an absent key."""
    place = Place(expected=(model,), value=data)
    for index, step in enumerate(location):
        is_absent_key = missing and index == len(location) - 1
        branch = None if is_absent_key else _branch(place, step)
        if branch is not None:
            chosen = ((place.path, str(step)),)
            place = Place(place.path, branch, None, place.value, place.branches + chosen)
        elif step != "[key]":
            place = _below(place, step)
    return place


def _branch(place: Place, step: str | int) -> tuple[Any, ...] | None:
    """The types that a step selects from alternatives; None when the step is a key or an index."""
    if isinstance(step, int):
        return None
    if place.discriminator is not None:
        return tuple(m for m in place.models if step in Place(("",), (m,), place.discriminator).tags) or None
    present = isinstance(place.value, dict) and step in place.value
    if len(place.expected) > 1 and not present and not any(step in keys_of(model) for model in place.models):
        return tuple(each for each in place.expected if step in (getattr(each, "__name__", None), str(each)))
    if not place.expected and not present:
        return ()
    return None


def _below(place: Place, step: str | int) -> Place:
    value = place.value
    if isinstance(value, dict):
        below = value.get(step)
    else:
        below = value[step] if isinstance(value, list) and isinstance(step, int) and step < len(value) else None
    path = (*place.path, step)
    for each in place.expected:
        origin, arguments = get_origin(each), get_args(each)
        if each in place.models:
            field = keys_of(each).get(str(step)) or each.model_fields.get(str(step))
            if field is None:
                continue
            selected = next((each for each in field.metadata if isinstance(each, Selected)), None)
            if selected is not None:
                model = selected.class_of(below)
                return Place(path, () if model is None else (model,), None, below, place.branches, selected)
            discriminator = field.discriminator if isinstance(field.discriminator, str) else None
            discriminator = discriminator or _discriminator(field.annotation)
            return Place(path, alternatives(field.annotation), discriminator, below, place.branches)
        if origin is tuple and arguments and arguments[-1] is not Ellipsis:
            arguments = arguments[step : step + 1] if isinstance(step, int) else ()
        elif isinstance(origin, type) and issubclass(origin, dict):
            arguments = arguments[1:]
        if arguments:
            return Place(path, alternatives(arguments[0]), _discriminator(arguments[0]), below, place.branches)
    return Place(path, (), None, below, place.branches)


def _discriminator(annotation: Any) -> str | None:
    """The key that selects one of several classes, also where None is allowed as well."""
    arguments = get_args(annotation)
    if get_origin(annotation) in (Union, UnionType):
        return next(filter(None, map(_discriminator, arguments)), None)
    if get_origin(annotation) is not Annotated:
        return None
    found = (getattr(each, "discriminator", None) for each in arguments[1:])
    return next((each for each in found if isinstance(each, str)), None)


def _literals(each: Any) -> Iterator[Any]:
    if get_origin(each) is Literal:
        yield from get_args(each)
    elif isinstance(each, type) and issubclass(each, Enum):
        yield from each
