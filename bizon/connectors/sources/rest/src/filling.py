"""Texts with values in place of names in braces."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bizon.common.secret import Secret, learn, placed_texts
from bizon.connectors.sources.rest.src.template import IN_BODY, PIECE, as_text, literals_in, names_in, names_in_body

if TYPE_CHECKING:
    import re


def without(value: Any, absent: frozenset[str]) -> Any:
    """Parameters or headers without those that use a name which has no value now."""
    return _without(value, lambda text: not absent.isdisjoint(names_in(text)))


def body_without(value: Any, absent: frozenset[str]) -> Any:
    """A JSON body without the parts that use a name which has no value now: the item of a list as a whole, else the
    key."""
    return _without(value, lambda text: not absent.isdisjoint(names_in_body(text)))


def filled(value: Any, names: Mapping[str, Any]) -> Any:
    """The texts of a JSON body with values in place of names. A text that is one name becomes the value itself. A name
    without a value raises KeyError."""

    def replacement(text: str) -> Any:
        whole = IN_BODY.fullmatch(text)
        return names[whole[1]] if whole else IN_BODY.sub(lambda piece: as_text(names[piece[1]]), text)

    return _with_texts(value, replacement)


def filled_text(text: str, names: Mapping[str, Any], *, in_path: bool = False) -> str:
    """A text with values in place of names, and ``{{`` and ``}}`` as braces. In the path of a URL values are
    percent-encoded, slashes included. A name without a value raises KeyError."""

    def replacement(piece: "re.Match[str]") -> str:
        if piece[1] is None:
            return piece[0][0]
        value = as_text(names[piece[1]])
        return quote(value, safe="") if in_path else value

    return PIECE.sub(replacement, text)


def filled_texts(value: Any, names: Mapping[str, Any]) -> Any:
    """``filled_text`` of each text of a JSON value."""

    def replacement(text: str) -> str:
        done = filled_text(text, names)
        is_secret = any(isinstance(each, Secret) for each in (text, *(names[name] for name in names_in(text))))
        return Secret(done) if is_secret else done

    return _with_texts(value, replacement)


def learn_as_sent(value: Any) -> None:
    """Mask the secret texts of a JSON value as requests have them, with braces that the configuration doubles."""
    for _, text in placed_texts(value):
        if isinstance(text, Secret):
            for literal in literals_in(text):
                if "{" in literal or "}" in literal:
                    learn(literal)


def _with_texts(value: Any, replacement: Callable[[str], Any]) -> Any:
    """A JSON value with another text in place of each."""
    if isinstance(value, Mapping):
        return {key: _with_texts(item, replacement) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_texts(item, replacement) for item in value]
    return replacement(value) if isinstance(value, str) else value


def _without(value: Any, uses: Callable[[str], bool]) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(item, uses) for key, item in value.items() if not (isinstance(item, str) and uses(item))}
    if isinstance(value, list):
        return [_without(item, uses) for item in value if not _uses_directly(item, uses)]
    return value


def _uses_directly(item: Any, uses: Callable[[str], bool]) -> bool:
    """Whether an item of a list uses such a name, and not only in an item of a list inside of it."""
    if isinstance(item, Mapping):
        return any(_uses_directly(below, uses) for below in item.values() if not isinstance(below, list))
    return isinstance(item, str) and uses(item)
