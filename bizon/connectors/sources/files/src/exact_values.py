"""JSON values whose text is kept: only ids are read from them."""

import json
from collections.abc import Sequence
from typing import Any, Never

import orjson


def _refused(text: str) -> Never:
    raise ValueError(f"{text} is not a number")


_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_refused)  # numbers keep their text
_NOT_WHOLE = "Unterminated string"
_LONGEST_TOKEN = 16  # characters: \ud83d\ude00, or a long number's beginning


class IncompleteError(ValueError):
    """The text may end inside of the value."""


def value_at(text: str, start: int) -> tuple[Any, int]:
    """A value and the position after it; numbers are texts. Raises ValueError, IncompleteError when more text might
    change that."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        if error.msg.startswith(_NOT_WHOLE) or error.pos >= len(text) - _LONGEST_TOKEN:
            raise IncompleteError(error.msg) from None
        raise ValueError(error.msg) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if end == len(text) and text[end - 1] not in '}]"':  # a number may go on
        raise IncompleteError("it may go on")
    return value, end


def only_value(text: str) -> Any:
    """The value that a whole text is; numbers are texts. Raises ValueError."""
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not valid JSON, {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def id_of(record: dict[str, Any], fields: Sequence[str]) -> str:
    """The id of an object: the text of its field, or of several as a JSON list. Raises ValueError for a missing one."""
    missing = [field for field in fields if record.get(field) is None or record[field] == ""]
    if missing:
        raise ValueError(f"it has no '{missing[0]}' to identify it by")
    texts = [_text(record[field]) for field in fields]
    return texts[0] if len(texts) == 1 else joined_id(texts)


def joined_id(texts: Sequence[str]) -> str:
    """One id of several texts."""
    return orjson.dumps(texts, default=str).decode()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
