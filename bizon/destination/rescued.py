"""The text of ``_bizon_rescued``: the values of one record that its table has no room for, as JSON."""

import json
from collections.abc import Iterable
from typing import Any

import orjson

from bizon.destination.leaves import Path, Sent

Entry = tuple[Path, Any]
"""The path of a leaf in its record, and the leaf."""


def rescued_text(entries: Iterable[Entry]) -> str:
    """A JSON object with each leaf under its keys, exactly. A key that its record repeats is repeated. NUL and half a
    surrogate pair are escaped, NaN and infinities are text, since JSON has no such numbers."""
    leaves: list[tuple[str, str]] = []
    nested: dict[str, list[Entry]] = {}
    for path, value in entries:
        if len(path) > 1:
            if path[0] not in nested:
                leaves.append((path[0], ""))
            nested.setdefault(path[0], []).append((path[1:], value))
        else:
            leaves.append((path[0], leaf_text(value)))
    return "{" + ",".join(f"{_key(key)}:{text or rescued_text(nested[key])}" for key, text in leaves) + "}"


def leaf_text(value: Any) -> str:
    """JSON text of a leaf."""
    return value.text if isinstance(value, Sent) else orjson.dumps(value).decode()


def _key(key: str) -> str:
    try:
        return orjson.dumps(key).decode()
    except TypeError:  # half a surrogate pair
        return json.dumps(key)
