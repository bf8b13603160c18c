"""The pipeline of a guess, as YAML with comments."""

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bizon.scaffold.guess.asked import Asked
    from bizon.scaffold.guess.changes import Changes

_PLAIN = re.compile(r"[A-Za-z_/][\w./-]*|https?://[\w.:/-]*\w")
_NOT_TEXT = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}

Endpoint = Mapping[str, Any]


def pipeline_of(asked: "Asked", endpoint: Endpoint, notes: Mapping[str, str], changes: "Changes | None") -> str:
    """The text of the file. ``notes``: comments by key of the endpoint."""
    stream = asked.stream
    lines = [
        "# yaml-language-server: $schema=bizon.schema.json",
        "# A guess by `bizon source guess`, to begin with. The schema: `bizon config schema > bizon.schema.json`.",
        *(f"# Set {name} in the environment, or in a file .env." for name in asked.secrets),
        f"name: {stream}_to_file",
        "",
        "source:",
        "  name: rest",
        f"  stream: {stream}",
    ]
    if changes is not None and "incremental" in endpoint:
        lines.append("  # sync_mode: incremental # from the second run on, only what changed")
    lines += [f"  {line}" for key, value in asked.block.items() for line in _block(key, value)]
    lines += ["  endpoints:", f"    {stream}:"]
    for key, value in endpoint.items():
        lines += [f"      # {notes[key]}"] if key in notes else []
        lines += [f"      {line}" for line in _block(key, value)]
    lines += [f"      {line}" for line in _hints(asked, endpoint, changes)]
    lines += ["", "destination:", "  name: file", "  config:", f"    destination_id: {stream}"]
    return "\n".join(lines) + "\n"


def _hints(asked: "Asked", endpoint: Endpoint, changes: "Changes | None") -> list[str]:
    """Keys that the answers alone cannot decide, as comments."""
    hints = []
    if changes is not None and "incremental" not in endpoint:
        hints += [
            "# No usual parameter filters by time. The documentation may name one:",
            f"# incremental: {{ cursor_field: {_scalar(changes.field.selector)}, since: {{ param: NAME }} }}",
        ]
    if asked.parent is not None:
        stream, path, children = asked.parent
        hints += [
            f"# The list of one record of {_scalar(path)}. For all of them, describe an endpoint `{stream}`, and:",
            f"# path: {_scalar(children)}",
            f"# parent: {{ stream: {stream}, include: {{ {stream.removesuffix('s')}_id: id }} }}",
        ]
    return hints


def _block(key: str, value: Any) -> list[str]:
    """One key, its map on one line where that is short."""
    if isinstance(value, Mapping) and value and not any(isinstance(item, Mapping) for item in value.values()):
        return [f"{_scalar(key)}: {_flow(value)}"]
    if isinstance(value, Mapping) and value:
        return [f"{_scalar(key)}:", *(f"  {line}" for name, item in value.items() for line in _block(name, item))]
    return [f"{_scalar(key)}: {_flow(value)}"]


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{_scalar(key)}: {_flow(item)}" for key, item in value.items()) + " }" if value else "{}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    """A value as YAML reads it again: in double quotes unless it is a plain word or a number."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    return json.dumps(value, ensure_ascii=False)
