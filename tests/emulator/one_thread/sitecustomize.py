"""The emulator's own DuckDB with one thread: its tables are tiny, and several emulators share the processors. And load
jobs that read a column of type JSON as BigQuery does, with the raw value of its key: the emulator reads the text of a
string without its quotes, which is not JSON."""

import sys
from typing import Any

import duckdb  # only in the environment of the emulator

_connect = duckdb.connect
_LOADS = "local_bigquery.jobs.load"


def connect(*arguments: Any, config: dict[str, Any] | None = None, **how: Any) -> Any:
    """As ``duckdb.connect``."""
    if _LOADS in sys.modules:
        _keep_json(sys.modules[_LOADS])
    return _connect(*arguments, config={**(config or {}), "threads": 1}, **how)


def _keep_json(loads: Any) -> None:
    read = loads._text
    if not hasattr(read, "keeps_json"):

        def text(field: Any) -> Any:
            return field if field.type == "JSON" else read(field)

        text.keeps_json = True  # type: ignore[attr-defined]  # seen by the next call
        loads._text = text


duckdb.connect = connect
