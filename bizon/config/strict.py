"""The base of every block of a configuration, and its texts with values of variables."""

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError, ValidatorFunctionWrapHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails, PydanticCustomError, PydanticKnownError
from pydantic_core.core_schema import no_info_wrap_validator_function

from bizon.common.secret import Secret, learn

MOST_SECONDS = 3_155_760_000
"""A hundred years: effectively forever, and still within the limits of timers, sockets and calendars. The upper bound
of every setting that is a time."""

UNKNOWN_KEY = "unknown_key"
"""The type of the error for a key that a block does not have."""

STATED = "stated"
"""The type of an error whose text is shown as it is: it repeats no value, or an expression, which is not secret."""


class StrictModel(BaseModel):
    """Unknown keys are errors, nothing changes after validation, and no value appears in an error.

    ``defer_build``: a block is compiled once, as part of the file it is in, and not by itself as well.
    """

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True, hide_input_in_errors=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Wrap the validation of the fields, inside the model, whose name pydantic puts into the errors of a union."""
        schema = handler(source)
        model: Any = handler.resolve_ref_schema(schema)
        while model["type"] != "model":  # validators of the whole block are around it
            model = model["schema"]
        if model["schema"]["type"] != "function-wrap":  # the schema of a block that occurs twice is built once
            model["schema"] = no_info_wrap_validator_function(cls._explain_unknown_keys, model["schema"])
        return schema

    @classmethod
    def _explain_unknown_keys(cls, data: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        """Say for each unknown key which keys are allowed, which one is nearest, and which block it belongs to."""
        try:
            return handler(data)
        except ValidationError as error:
            found = error.errors(include_url=False)
            if not any(map(_is_own_unknown_key, found)):
                raise
            lines = [_line(each, cls) for each in found]
            raise ValidationError.from_exception_data(error.title, lines, hide_input=True) from None


class TextWithValues(str):
    """A text, some parts of which are values of variables. A value is never syntax: a key whose texts have a syntax,
    such as names in braces, reads :meth:`quoted`. For all other keys it is an ordinary text."""

    __slots__ = ("_parts",)
    _parts: tuple[tuple[str, bool], ...]

    @classmethod
    def of_parts(cls, parts: tuple[tuple[str, bool], ...]) -> "TextWithValues":
        """``parts``: each with whether it is a value."""
        text = cls("".join(part for part, _ in parts))
        text._parts = parts
        return text

    def quoted(self, quote: Callable[[str], str]) -> str:
        """The text with each value as ``quote`` writes it. The mask of secrets then knows the value in both forms."""
        return "".join(_quoted(part, quote) if is_value else part for part, is_value in self._parts)


def _quoted(value: str, quote: Callable[[str], str]) -> str:
    text = quote(value)
    return text if text == value else learn(text)


def keys_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a config class by the key the YAML uses."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The types that an annotation allows, without None."""
    annotation = getattr(annotation, "__value__", annotation)  # a `type` statement
    if get_origin(annotation) is Annotated:
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(each for member in get_args(annotation) for each in alternatives(member))
    return () if annotation in (type(None), None, Any) else (annotation,)


def nearest(wrong: str, choices: Sequence[str]) -> str:
    """``; did you mean 'x'?`` when one of the choices is close."""
    by_lower = {choice.lower(): choice for choice in choices}
    match = get_close_matches(wrong.lower(), by_lower, n=1)
    return f"; did you mean '{by_lower[match[0]]}'?" if match else ""


def stated(text: str) -> PydanticCustomError:
    """The error of a validator whose text repeats no value of the block. A text raised as ValueError is masked wherever
    it has a word of the block in it."""
    return PydanticCustomError(STATED, "{text}", {"text": text})


def pointed(text: str, position: int, problem: str) -> PydanticCustomError:
    """The error for an expression: the problem, and below it the expression with a caret at a position, from 0. A
    secret is not shown."""
    line = "" if isinstance(text, Secret) else " ".join(text.split("\n"))
    return stated(f"{problem}\n    {line}\n    {' ' * position}^" if line else problem)


def refusal(model: str, problems: Iterable[tuple[tuple[str | int, ...], str]]) -> ValidationError:
    """The error of a validator of a whole block: each problem is a path below the block, and a text that repeats no
    value."""
    lines = [InitErrorDetails(type=stated(text), loc=path, input=None) for path, text in problems]
    return ValidationError.from_exception_data(model, lines, hide_input=True)


def allowed(choices: Sequence[str]) -> str:
    """``; allowed: x, y``."""
    return f"; allowed: {', '.join(choices)}" if choices else ""


def _is_own_unknown_key(error: ErrorDetails) -> bool:
    return error["type"] == "extra_forbidden" and len(error["loc"]) == 1


def _line(error: ErrorDetails, model: type[BaseModel]) -> InitErrorDetails:
    """One error as pydantic takes it to raise it again; an unknown key of ``model`` is explained."""
    kind: Any = error["type"]
    context: dict[str, Any] = error.get("ctx") or {}
    if _is_own_unknown_key(error):
        kind, context = PydanticCustomError(UNKNOWN_KEY, "{text}", {"text": _unknown_key(error["loc"][0], model)}), {}
    else:
        try:
            PydanticKnownError(kind, context or None)
        except (KeyError, TypeError):  # a custom error, also one of a block below
            kind, context = PydanticCustomError(kind, "{text}", {**context, "text": error["msg"]}), {}
    return InitErrorDetails(type=kind, loc=error["loc"], input=error["input"], ctx=context)


def _unknown_key(step: str | int, model: type[BaseModel]) -> str:
    key, keys = str(step), keys_of(model)
    home = _home_of(key, keys)
    hint = nearest(key, list(keys)) or (f"; did you mean '{home}.{key}'?" if home else "")
    return f"unknown key{allowed(list(keys))}{hint}"


def _home_of(key: str, keys: Mapping[str, FieldInfo]) -> str | None:
    """The block right below that has this key."""
    for name, field in keys.items():
        blocks = (each for each in alternatives(field.annotation) if isinstance(each, type))
        if any(key in keys_of(each) for each in blocks if issubclass(each, BaseModel)):
            return name
    return None
