"""A stopwatch around a function, for the scripts that measure a run from the inside."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any


def timed(owner: Any, name: str, spent: list[float]) -> None:
    """From now on each call adds its wall seconds, and the processor seconds of its thread, to ``spent``."""
    function: Callable[..., Any] = getattr(owner, name)

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            return function(*arguments, **named)
        finally:
            spent[0] += time.perf_counter() - wall
            spent[1] += time.thread_time() - cpu

    setattr(owner, name, call)
