"""The name of a new connector, in each spelling that code, files and variables need."""

import keyword
import re
from typing import NamedTuple

from bizon.common.errors.errors import ConfigError

_LONGEST = 30  # characters; a longer one would push generated lines over the limit of the formatter
_WORDS = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Names(NamedTuple):
    """The spellings of one name: ``my_api``, ``MyApi``, ``MY_API``, ``my-api``, ``My Api``."""

    snake: str
    pascal: str
    upper: str
    dashed: str
    title: str


def names_of(name: str) -> Names:
    """The spellings of ``my_api``, ``my-api``, ``MyApi`` or ``my api``. Raises ConfigError for text that gives no valid
    name of a Python module, and for a name of more than 30 characters."""
    snake = re.sub(r"[-\s]+", "_", _CAMEL.sub("_", name.strip())).lower()
    if _WORDS.fullmatch(snake) is None:
        raise ConfigError(
            f"name {name!r}: not usable as the name of a module; use lower-case letters, digits and single "
            "underscores, with a letter first, for example my_api"
        )
    if len(snake) > _LONGEST:
        raise ConfigError(f"name '{snake}' has {len(snake)} characters; use at most {_LONGEST}")
    if keyword.iskeyword(snake) or keyword.issoftkeyword(snake):
        raise ConfigError(f"name '{snake}' is a word of Python; use another, for example {snake}_api")
    words = snake.split("_")
    pascal = "".join(word.capitalize() for word in words)
    return Names(snake, pascal, snake.upper(), "-".join(words), " ".join(word.capitalize() for word in words))
