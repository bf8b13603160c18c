"""Texts with names in braces, ``/projects/{parent.id}``, checked when the configuration is read."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from bizon.config.strict import TextWithValues, nearest, pointed

PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
IN_BODY = re.compile(r"\{((?:parent|variables)(?:\.[A-Za-z_][\w-]*)+|since|until)\}")
_DOTTED = re.compile(r"\{([A-Za-z_]\w*(?:\.[A-Za-z_][\w-]*)+)\}")
_NAME = re.compile(r"(parent|variables)(\.[A-Za-z_][\w-]*)+|[a-z_]+")
NAMES = ("parent.KEY", "variables.KEY", "since", "until", "page", "token")
"""The names that may stand in braces. ``page``: the place of a page, ``token``: credentials; both only in a path."""


def literal(text: str) -> str:
    """A text in which braces stand for themselves."""
    return text.replace("{", "{{").replace("}", "}}")


def with_literal_values(value: Any) -> Any:
    """A JSON value whose texts name nothing in the values of variables: an API key may have a brace in it."""
    if isinstance(value, TextWithValues):
        return value.quoted(literal)
    if isinstance(value, dict):
        return {key: with_literal_values(item) for key, item in value.items()}
    return [with_literal_values(item) for item in value] if isinstance(value, list) else value


def checked(text: str) -> str:
    """The text, if its names are known. Raises ValueError, which points at the mistake."""
    for piece in PIECE.finditer(text):
        name = piece[1]
        if piece[0] in ("{{", "}}"):
            continue
        if name is None:
            raise pointed(text, piece.start(), "a brace without its partner; write {{ or }} for the character")
        if _NAME.fullmatch(name) is None or ("." not in name and name not in NAMES):
            problem = f"unknown name in braces; allowed: {', '.join(NAMES)}{nearest(name, NAMES)}"
            raise pointed(text, piece.start(1), problem)
    return text


def checked_within(value: Any) -> Any:
    """A JSON value, if ``checked`` accepts all of its texts. Raises the error of the first other one."""
    for text in _texts(value):
        checked(text)
    return value


def checked_body(value: Any) -> Any:
    """A JSON body, in whose texts only known names are names: queries of GraphQL are full of braces. Raises the error
    of a name with a dot that is unknown."""
    for text in _texts(value):
        for piece in _DOTTED.finditer(text):
            if not piece[1].startswith(("parent.", "variables.")):
                problem = f"unknown name in braces; allowed: {', '.join(NAMES[:4])}"
                raise pointed(text, piece.start(1), problem)
    return value


def literals_in(text: str) -> Iterator[str]:
    """The parts of a text between its names, as a request has them: with ``{{`` and ``}}`` as braces."""
    literal, end = "", 0
    for piece in PIECE.finditer(text):
        literal, end = literal + text[end : piece.start()], piece.end()
        if piece[1] is None:
            literal += piece[0][0]
        else:
            yield literal
            literal = ""
    yield literal + text[end:]


def names_in(value: Any) -> Iterator[str]:
    """The names in the braces of a text, or of all texts of a JSON value."""
    for text in _texts(value):
        yield from (piece[1] for piece in PIECE.finditer(text) if piece[1] is not None)


def names_in_body(value: Any) -> Iterator[str]:
    """The known names in the braces of a JSON body."""
    for text in _texts(value):
        yield from (piece[1] for piece in IN_BODY.finditer(text))


def as_text(value: Any) -> str:
    """A JSON scalar as text for a URL."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    for item in items:
        yield from _texts(item)


Template = Annotated[str, BeforeValidator(with_literal_values), AfterValidator(checked)]
"""Type of a key that holds a text with names in braces."""
