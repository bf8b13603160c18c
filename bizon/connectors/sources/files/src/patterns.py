"""Paths with wildcards, by the same rules in folders and object stores.

``*`` and ``?`` stand for characters of one name, ``[abc]`` for one of some, ``**`` for any number of folders. Like in a
shell, none of them matches a name that begins with a dot.
"""

import re

_WILD = re.compile(r"[*?\[]")


def is_wild(text: str) -> bool:
    """Whether a path, or a part of it, has wildcards."""
    return _WILD.search(text) is not None


def fixed_prefix(pattern: str) -> str:
    """The folder, with a final slash, below which all matches are; the whole path without wildcards."""
    found = _WILD.search(pattern)
    return pattern if found is None else pattern[: pattern.rfind("/", 0, found.start()) + 1]


def name_matcher(part: str) -> re.Pattern[str]:
    """Matches the names that one part of a path stands for."""
    hidden = "" if part.startswith(".") else r"(?!\.)"
    return re.compile(f"{hidden}{_names(part)}", re.DOTALL)


def path_matcher(pattern: str) -> re.Pattern[str]:
    """Matches the paths that a pattern stands for. Use it with ``fullmatch``."""
    parts = pattern.split("/")
    text = ""
    for position, part in enumerate(parts):
        is_last = position == len(parts) - 1
        if part == "**":
            text += r"(?:(?!\.)[^/]+/)*" + (r"(?!\.)[^/]+" if is_last else "")
        else:
            text += name_matcher(part).pattern + ("" if is_last else "/")
    return re.compile(text, re.DOTALL)


def _names(part: str) -> str:
    """The regular expression of one part."""
    text, position = "", 0
    while position < len(part):
        character = part[position]
        close = part.find("]", position + 2) if character == "[" else -1
        if character == "*":
            text += "[^/]*"
        elif character == "?":
            text += "[^/]"
        elif close > 0:
            text += _one_of(part[position + 1 : close])
            position = close
        else:
            text += re.escape(character)
        position += 1
    return text


def _one_of(characters: str) -> str:
    negated = characters.startswith("!")
    inside = re.sub(r"([\\^\[\]&~|])", r"\\\1", characters[negated:])
    return f"(?!/)[{'^' if negated else ''}{inside}]"
