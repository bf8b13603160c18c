"""The emulator's own DuckDB with one thread: its tables are tiny, and several emulators share the processors."""

from typing import Any

import duckdb  # only in the environment of the emulator

_connect = duckdb.connect


def connect(*arguments: Any, config: dict[str, Any] | None = None, **how: Any) -> Any:
    """As ``duckdb.connect``."""
    return _connect(*arguments, config={**(config or {}), "threads": 1}, **how)


duckdb.connect = connect
