"""``bizon init``: a pipeline file with comments, put together from the examples of a source and a destination."""

import re
from pathlib import Path
from typing import Any

import yaml

from bizon.common.errors.errors import ConfigError
from bizon.common.models import DESTINATIONS
from bizon.connectors.sources.rest.src import presets
from bizon.source.discover_ast import inspect_source

_CONNECTORS = Path(__file__).resolve().parents[1] / "connectors"
_HEAD = """\
# yaml-language-server: $schema=bizon.schema.json
# The schema, for an editor that completes and checks: bizon config schema > bizon.schema.json
"""
_PLACEHOLDER = re.compile(r"<([A-Z][A-Z_]+)>")
_OF_CREATURES = re.compile(r"(?m)^( +destination_id: \S*?)creatures\w*(.*)$")
_DECLARED = "record_schemas"  # columns of the records of one example


def source_names() -> list[str]:
    """The values of ``--source``: the built-in sources, and the presets of ``rest``."""
    built_in = sorted(src.parent.name for src in (_CONNECTORS / "sources").glob("*/src"))
    return [*built_in, *presets.names()]


def destination_names() -> list[str]:
    """The values of ``--destination``: all but `custom`."""
    return sorted(name for name in DESTINATIONS.all() if name != "custom")


def streams_of(source: str) -> list[str]:
    """The streams to choose from; the first is the usual one."""
    if source in presets.names():
        return list(presets.read(source)["endpoints"])
    usual = _stream_in(_block("sources", source, "source"))
    infos = inspect_source(_CONNECTORS / "sources" / source, "bizon.connectors.sources")
    others = [stream for info in infos for stream in info.streams or () if stream not in (usual, "*")]
    return [usual, *others]


def pipeline(source: str, stream: str | None, destination: str) -> str:
    """The text of the file. Raises ConfigError for a name that there is not."""
    for option, name, names in (
        ("--source", source, source_names()),
        ("--destination", destination, destination_names()),
    ):
        if name not in names:
            raise ConfigError(f"{option} {name}: no such {option[2:]}; allowed: {', '.join(names)}")
    is_preset = source in presets.names()
    if is_preset and stream is not None and stream not in streams_of(source):
        raise ConfigError(f"--stream {stream}: no such stream; allowed: {', '.join(streams_of(source))}")
    block = _of_preset(source, stream) if is_preset else _block("sources", source, "source")
    stream = stream or _stream_in(block)
    block = re.sub(r"(?m)^(  stream: )\S+", lambda line: f"{line[1]}{stream}", block, count=1)
    table = re.sub(r"\W+", "_", stream).strip("_").lower() or "records"
    target = _without(_block("destinations", destination, "destination"), _DECLARED)
    target = _OF_CREATURES.sub(rf"\g<1>{table}\g<2>", target)
    texts = [_PLACEHOLDER.sub(r"BIZON_ENV_\1", text) for text in (block, target)]
    variables = sorted(set(re.findall(r"BIZON_ENV_\w+", "\n".join(texts))))
    notes = [f"# Set {name} in the environment, or in a file .env next to this one.\n" for name in variables]
    return "".join([_HEAD, *notes, f"name: {table}_to_{destination}\n", *(f"\n{text}\n" for text in texts)])


def _block(kind: str, name: str, key: str) -> str:
    """The lines of one key of a connector's example."""
    example = _CONNECTORS / kind / name / "config" / f"{name}.example.yml"
    found = re.search(rf"(?m)^{key}:.*\n(?:[ \t].*\n?|\n(?=[ \t]))*", example.read_text(encoding="utf-8"))
    if found is None:
        raise ConfigError(f"{example} has no key `{key}`")
    return found[0].rstrip()


def _stream_in(block: str) -> str:
    return str(yaml.safe_load(block)["source"]["stream"])


def _without(block: str, key: str) -> str:
    """A block without one key, and the lines below it."""
    return re.sub(rf"(?m)^( +){key}:.*(?:\n\1[ -].*)*\n?", "", block).rstrip()


def _of_preset(name: str, stream: str | None) -> str:
    preset: dict[str, Any] = presets.read(name)
    chosen = stream or next(iter(preset["endpoints"]))
    others = [each for each in preset["endpoints"] if each != chosen]
    lines = ["source:", "  name: rest", f"  preset: {name}", f"  stream: {chosen} # or: {', '.join(others)}"]
    missing = [key for key, value in preset.get("variables", {}).items() if value is None]
    if missing:
        lines += ["  variables:", *(f"    {key}: my-{key}" for key in missing)]
    lines += [
        "  # sync_mode: incremental # later runs read what changed, where the stream can",
        "  # authentication: # if the API wants to know who asks",
        "  #   type: bearer",
        f"  #   params: {{ token: ${{env://{name.upper()}_TOKEN}} }}",
    ]
    return "\n".join(lines)
