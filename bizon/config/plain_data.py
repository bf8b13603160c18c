"""Values that no configuration may hold, under any key. They are refused before any other check."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bizon.config.messages import Problem

if TYPE_CHECKING:
    from bizon.config.document import KeyPath

MOST_LEVELS = 100
"""Levels of nested blocks: far more than a pipeline needs, and far fewer than the recursion limit of Python."""

_MOST_VALUES = 100_000  # ends a dict that holds itself in many places
_LARGEST = 2**63 - 1  # the limit of state, queues and destinations


def problems_of(data: Any) -> Iterator[Problem]:
    """NUL characters, numbers that are not finite or exceed 64 bits, and blocks that are nested too deeply.

    ``data``: dicts, lists and scalars. A dict made by a program may contain itself. The search ends at the first block
    that is nested too deeply.
    """
    waiting: list[tuple[KeyPath, Any]] = [((), data)]
    seen = 0
    while waiting:
        path, value = waiting.pop()
        seen += 1
        if len(path) > MOST_LEVELS or seen > _MOST_VALUES:
            much = f"more than {MOST_LEVELS} levels" if len(path) > MOST_LEVELS else f"more than {_MOST_VALUES} values"
            yield Problem(path[:1], f"nested too deeply: {much}")
            return
        if isinstance(value, dict):
            for key, below in value.items():
                if isinstance(key, str) and "\0" in key:
                    yield Problem(path, "a key holds a NUL character; remove it", at_value=True)
                else:
                    waiting.append(((*path, key), below))
        elif isinstance(value, list | tuple):
            waiting += (((*path, index), below) for index, below in enumerate(value))
        else:
            fault = _fault_of(value)
            if fault is not None:
                yield Problem(path, fault, at_value=True)


def _fault_of(value: Any) -> str | None:
    if isinstance(value, str) and "\0" in value:
        return "holds a NUL character, which no name, path or text may have; remove it"
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if isinstance(value, int) and abs(value) > _LARGEST:
        return f"must be at most {_LARGEST}; put it in quotes if it is a text"
    return None
