"""JSON bodies of requests: a number that an API has sent goes back with its text."""

import json
from typing import Any

from bizon.rows.encoding import KeptNumber


def exact_json(value: Any) -> bytes | None:
    """The body as requests would write it, with the text of each KeptNumber; None when it holds none. Raises ValueError
    for NaN and infinities without a text, and TypeError for what is not JSON, as ``json.dumps`` does."""
    return _written(value).encode() if _holds_kept(value) else None


def _holds_kept(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_kept, value.values()))
    return any(map(_holds_kept, value)) if isinstance(value, list | tuple) else isinstance(value, KeptNumber)


def _written(value: Any) -> str:
    if isinstance(value, KeptNumber):
        return value.text
    if isinstance(value, dict):
        keys = (json.dumps({key: 0})[1 : -len("0}")] for key in value)
        return "{" + ", ".join(f"{key}{_written(item)}" for key, item in zip(keys, value.values(), strict=True)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_written, value)) + "]"
    return json.dumps(value, allow_nan=False)
