"""JMESPath expressions of the dialect: checked when the configuration is read, applied to answers and records."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any

import jmespath
from jmespath.exceptions import JMESPathError, ParseError
from jmespath.functions import Functions
from pydantic import AfterValidator

from bizon.config.strict import nearest, pointed

_OTHER_DIALECTS = (
    (re.compile(r"\.\."), "'..' is JSONPath; name the keys on the way"),
    (re.compile(r"\[\?\(?@"), "filters are written [?key == 'text'], without '@.'"),
    (re.compile(r"\{\{"), "there are no templates in a selector; name the keys"),
    (re.compile(r"(?:^|\.)[A-Za-z_]\w*-"), "a key with a '-' is written in double quotes: \"a-b\""),
)


def jmespath_of(text: str) -> str:
    """The expression without a leading ``$`` or ``$.``, with which selectors of other tools begin."""
    text = text.strip()
    return "@" if text == "$" else re.sub(r"^\$\.?(?=[A-Za-z_\"\[*])", "", text)


def checked(text: str) -> str:
    """The expression, if it is valid. Raises the error that points at the mistake."""
    expression = jmespath_of(text)
    try:
        tree: Any = jmespath.compile(expression).parsed
    except ParseError as error:
        position = min(max(int(error.lex_position or 0), 0), len(expression))
        raise pointed(expression, position, f"not valid JMESPath: {_reason(error, expression)}") from None
    except JMESPathError:
        raise pointed(expression, 0, "not valid JMESPath: it is empty") from None
    for name, given in _calls(tree):
        at = expression.find(f"{name}(")
        if name not in _FUNCTIONS:
            raise pointed(expression, at, f"JMESPath has no function {name}{nearest(name, list(_FUNCTIONS))}")
        least, most = _FUNCTIONS[name]
        if not least <= given <= most:
            raise pointed(expression, at, f"{name} takes {least} argument(s), not {given}")
    return text


def _calls(node: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """The functions that a parsed expression calls, and the number of arguments of each call."""
    if node["type"] == "function_expression":
        yield str(node["value"]), len(node["children"])
    for child in node.get("children", ()):
        if isinstance(child, dict):
            yield from _calls(child)


def _signatures() -> dict[str, tuple[int, float]]:
    table: dict[str, tuple[int, float]] = {}
    for name, function in Functions.FUNCTION_TABLE.items():
        arguments = function["signature"]
        is_variadic = bool(arguments) and arguments[-1].get("variadic", False)
        table[name] = (len(arguments), float("inf") if is_variadic else len(arguments))
    return table


_FUNCTIONS = _signatures()


def selected(expression: str, value: Any) -> Any:
    """The value that an expression finds in a JSON value; None for nothing. Raises ValueError for a function that gets
    a value of a wrong type."""
    if expression.isidentifier() and isinstance(value, dict):  # most are, and records are many
        return value.get(expression)
    try:
        return _compiled(expression).search(value)
    except JMESPathError as error:
        raise ValueError(f"JMESPath {jmespath_of(expression)!r}: {' '.join(str(error).split())}") from None


def holds(expression: str, value: Any) -> bool:
    """Whether an expression is true of a JSON value: not for null, false, 0, and empty texts, lists and objects."""
    return bool(selected(expression, value))


@lru_cache(maxsize=512)
def _compiled(expression: str) -> Any:
    return jmespath.compile(jmespath_of(expression))


def _reason(error: ParseError, expression: str) -> str:
    for pattern, hint in _OTHER_DIALECTS:
        if pattern.search(expression):
            return hint
    if not expression:
        return "it is empty"
    token = f" {error.token_value!r}" if error.token_value else ""
    return f"unexpected{token}" if token else "it ends too early"


Selector = Annotated[str, AfterValidator(checked)]
"""Type of a key that holds a JMESPath expression."""
