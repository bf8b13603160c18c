"""From pydantic's errors to lines a person can act on. Values are never repeated, except wrong choices from a list."""

import re
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bizon.common.errors.errors import ConfigError
from bizon.common.scrub import Scrubber
from bizon.config.document import PUBLIC_KEYS, Document, KeyPath, dotted
from bizon.config.selected import FAILED, UNUSABLE
from bizon.config.shapes import Place, find_place
from bizon.config.strict import STATED, UNKNOWN_KEY, allowed, nearest

_EXPECTED = (
    (r"string_type|string_sub_type|string_unicode", "a text"),
    (r"int_.*", "a whole number"),
    (r"float_.*|decimal_.*|finite_number", "a number"),
    (r"bool_.*", "true or false"),
    (r"(list|tuple|set|frozen_set|iterable)_type", "a list"),
    (r"(dict|mapping|model|model_attributes|dataclass)_type", "a mapping of keys"),
    (r"datetime_.*", "a date and time"),
    (r"date_.*", "a date"),
    (r"time_.*", "a time of day"),
    (r"url_.*", "a URL"),
    (r"path_type", "a path"),
    (r"none_required", "nothing"),
)
_LIMITS = {
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "string_too_short": "must have at least {min_length} character(s)",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "too_short": "must have at least {min_length} item(s)",
    "too_long": "must have at most {max_length} item(s)",
}
_MAX_ECHO = 40  # characters of a wrong choice that are shown


class Problem(NamedTuple):
    """One mistake. ``path``: the key at fault. ``at``: the path of the key whose position is shown, if not ``path``."""

    path: KeyPath
    text: str
    at: KeyPath | None = None
    at_value: bool = False

    def render(self, document: Document) -> str:
        """``file.yml:3:5: key.path: text``."""
        place = document.locate(self.path if self.at is None else self.at, value=self.at_value)
        return ": ".join(filter(None, (place, dotted(self.path), self.text)))


def report(problems: Iterable[Problem], document: Document) -> str:
    """One line per mistake, in the order of the file."""
    last = (float("inf"), 0)

    def order(problem: Problem) -> tuple[float, int]:
        return document.position(problem.path if problem.at is None else problem.at) or last

    return "\n".join(dict.fromkeys(problem.render(document) for problem in sorted(problems, key=order)))


def refuse(problems: Iterable[Problem], document: Document) -> None:
    """Raise one ConfigError for all mistakes, if there are any."""
    text = report(problems, document)
    if text:
        raise ConfigError(text)


def problems_in(error: ValidationError, model: type[BaseModel], data: Any, prefix: KeyPath = ()) -> list[Problem]:
    """The mistakes that a validation of ``data`` against ``model`` found. ``prefix`` leads from the top to ``data``.

    The message of a validator may repeat its input, and a connector's validator any value of its block. So all these
    values are masked: they may be secrets.
    """
    by_path: dict[KeyPath, list[_Line]] = {}
    for line in _likely([_Line.from_error(each, model, data) for each in error.errors(include_url=False)]):
        by_path.setdefault(line.place.path, []).append(line)
    problems: list[Problem] = []
    for lines in by_path.values():
        wanted = dict.fromkeys(line.wanted for line in lines if line.wanted is not None)
        if wanted:
            problems.append(_mismatch(" or ".join(wanted), lines[0].place))
        problems += [_problem(line, data if prefix else line.error["input"]) for line in lines if line.wanted is None]
    return [
        Problem((*prefix, *p.path), p.text, None if p.at is None else (*prefix, *p.at), p.at_value) for p in problems
    ]


def without_values(text: str, values: Any) -> str:
    """A message of foreign code, at most 2,000 characters, without the texts in ``values`` that may be secrets."""
    return Scrubber(_leaves(values), patterns=False).brief(text)


def failure_of_class(error: BaseException, model: type[BaseModel], values: Any) -> str:
    """In words, on one line: the config class of a connector raised an error that pydantic does not handle. ``values``:
    the block that the class was given."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    words = " ".join(without_values(f"{type(error).__name__}: {error}", values).split()).removesuffix(":")
    return f"{model.__name__} failed at {last.filename}:{last.lineno}: {words}; a validator has to raise ValueError"


class _Line(NamedTuple):
    """One of pydantic's errors, and its place."""

    place: Place
    error: ErrorDetails

    @classmethod
    def from_error(cls, error: ErrorDetails, model: type[BaseModel], data: Any) -> "_Line":
        location = error["loc"]
        place = find_place(model, data, location, missing=error["type"] == "missing")
        return cls(place, error)

    @property
    def wanted(self) -> str | None:
        """The kind of value that was expected, when the kind is wrong."""
        kind = self.error["type"]
        if kind == "is_instance_of" and self.context.get("class") == "Sequence":
            return "a list"
        return next((words for pattern, words in _EXPECTED if re.fullmatch(pattern, kind)), None)

    @property
    def context(self) -> dict[str, Any]:
        """The numbers and names of the error."""
        return self.error.get("ctx") or {}


def _likely(lines: list[_Line]) -> list[_Line]:
    """When all alternatives failed, keep those with the fewest mistakes: the user meant one of them."""
    counts = Counter(branch for line in lines for branch in line.place.branches)
    fewest: dict[KeyPath, int] = {}
    for (path, _), count in counts.items():
        fewest[path] = min(count, fewest.get(path, count))
    return [line for line in lines if all(counts[branch] == fewest[branch[0]] for branch in line.place.branches)]


def _problem(line: _Line, values: Any) -> Problem:
    kind, place, context = line.error["type"], line.place, line.context
    path, at_value = place.path, not isinstance(place.value, dict)
    if kind == "missing":
        return Problem(path, "required key is missing", at=path[:-1])
    if kind == "invalid_key":
        return Problem(path, "a key must be a text; put it in quotes")
    if kind == UNKNOWN_KEY:
        return Problem(path, line.error["msg"])
    if kind == STATED:
        return Problem(path, line.error["msg"], at_value=at_value)
    if kind == "extra_forbidden":  # from a model that is not strict
        return Problem(path, "unknown key")
    if kind == "union_tag_not_found":
        key = str(context["discriminator"]).strip("'")
        return Problem((*path, key), f"required key is missing{allowed(place.tags)}", at=path)
    if kind == "union_tag_invalid":
        key = str(context["discriminator"]).strip("'")
        value = place.value.get(key) if isinstance(place.value, dict) else None
        return _wrong_choice((*path, key), value, place.tags)
    if kind == UNUSABLE:
        return Problem((*path, *context["below"]), str(context["text"]), at_value=True)
    if kind == FAILED:
        return Problem(path, failure_of_class(context["error"], context["class"], line.error["input"]))
    if kind in ("enum", "literal_error") and place.choices:
        return _wrong_choice(path, place.value, place.choices)
    if kind == "string_too_short" and context.get("min_length") == 1:
        return Problem(path, "must not be empty", at_value=True)
    if kind in _LIMITS:
        return Problem(path, _LIMITS[kind].format_map(context), at_value=at_value)
    text = re.sub(r"^(Value error|Assertion failed), ", "", line.error["msg"])
    return Problem(path, without_values(text, (values, line.error["input"])), at_value=at_value)


def _wrong_choice(path: KeyPath, value: Any, choices: Sequence[str]) -> Problem:
    shown, hint = "", ""
    if isinstance(value, str) and len(value) <= _MAX_ECHO:
        shown, hint = f" '{value}'", nearest(value, choices)
    elif not isinstance(value, str):
        shown = f": {_kind_of(value)}"
    return Problem(path, f"unknown value{shown}{allowed(choices)}{hint}", at_value=not isinstance(value, dict))


def _mismatch(wanted: str, place: Place) -> Problem:
    text = f"expected {wanted}, found {_kind_of(place.value)}"
    if place.value is None:
        text += "; give a value or leave the key out"
    elif wanted == "a text" and not isinstance(place.value, dict | list):
        text += "; put it in quotes"
    return Problem(place.path, text, at_value=not isinstance(place.value, dict))


def _kind_of(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    names = ((str, "a text"), (int, "a number"), (float, "a number"), (dict, "a mapping of keys"), (list, "a list"))
    return next((name for kind, name in names if isinstance(value, kind)), f"a {type(value).__name__}")


def _leaves(value: Any, key: Any = None) -> Iterator[str]:
    if isinstance(value, dict):
        for below, item in value.items():
            yield from _leaves(item, below)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item, key)
    elif isinstance(value, str) and key not in PUBLIC_KEYS:
        yield value
