"""``bizon config schema``: the JSON Schema of a pipeline file, before variables are replaced."""

import json
from collections.abc import Iterator
from typing import Any

from bizon.cli.commands.schema_references import Schema, either, with_references
from bizon.cli.output import say
from bizon.config.loading import config_schema
from bizon.destination.config import DestinationTypes
from bizon.discovery.plugins import DESTINATIONS, plugins
from bizon.source.config import SourceConfig
from bizon.source.discover import list_sources, load_source


def print_schema() -> None:
    """The JSON Schema on stdout."""
    say(json.dumps(pipeline_schema(), indent=2))


def pipeline_schema() -> Schema:
    """JSON Schema (draft 2020-12), with the keys of each built-in source."""
    schema = config_schema()
    definitions = schema["$defs"]
    definitions["AnySource"] = _any_source(definitions.pop("SourceConfig"))
    conditions = [_of_source(name, definitions) for name in _names()]
    is_own_file = {"required": ["source_file_path"], "properties": {"source_file_path": {"type": "string"}}}
    schema["properties"]["source"] = {
        "description": schema["properties"]["source"]["description"],
        "allOf": [
            {"$ref": "#/$defs/AnySource"},  # on its own: older drafts, which editors use, ignore keywords next to $ref
            {"if": {"not": is_own_file}, "then": {"allOf": [condition for condition, _ in conditions]}},
        ],
    }
    schema["if"] = {"not": {"required": ["streams"], "properties": {"streams": {"not": {"type": "null"}}}}}
    needs_keys = {"if": {"not": is_own_file}, "then": {"allOf": [needs for _, needs in conditions]}}
    schema["then"] = {"properties": {"source": {"required": ["stream"], **needs_keys}}}
    *_, outside = schema["properties"]["destination"]["oneOf"]
    outside["properties"].update(_outside_destination())
    transforms = schema["properties"]["transforms"]
    schema["properties"]["transforms"] = either(transforms, {"type": "null"})
    return with_references(schema)


def _names() -> Iterator[str]:
    """The sources whose packages are installed. The schema allows the keys of others, but does not describe them."""
    for info in list_sources():
        if info.error is None:
            yield info.name


def _any_source(base: Schema) -> Schema:
    """The ``source`` block of any source, custom ones included. A source may add keys, and narrow those that exist. It
    needs no ``stream`` in a file with ``streams``."""
    loose = {"authentication": "How to authenticate; see `type`.", "http": "HTTP time-outs and retries."}
    known = {**base["properties"], **{key: {"description": text} for key, text in loose.items()}}
    return {**base, "title": "Source", "properties": known, "required": ["name"], "additionalProperties": True}


def _of_source(name: str, definitions: Schema) -> tuple[Schema, Schema]:
    """Two conditions for a built-in source: the keys of its ``source`` block, and those it requires.

    The second does not apply when the top-level ``streams`` fill in the keys.
    """
    own = load_source(name).get_config_class().model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    for key, definition in own.pop("$defs", {}).items():
        known = definitions.setdefault(key, definition)
        if known != definition:
            own = _renamed(own, key, f"{name}.{key}")
            definitions[f"{name}.{key}"] = definition
    always = [key for key, field in SourceConfig.model_fields.items() if field.is_required()]
    needed = [key for key in own.pop("required", []) if key not in always]
    definitions[f"source.{name}"] = own
    is_it = {"properties": {"name": {"const": name}}, "required": ["name"]}
    return {"if": is_it, "then": {"$ref": f"#/$defs/source.{name}"}}, {"if": is_it, "then": {"required": needed}}


def _outside_destination() -> Schema:
    """``name`` and ``config`` of a destination that is not built in. Its own keys are not described."""
    names = [DestinationTypes.CUSTOM.value, *(plugin.name for plugin in plugins(DESTINATIONS))]
    return {"name": {"enum": names}, "config": {"type": "object"}}


def _renamed(node: Any, key: str, new: str) -> Any:
    if isinstance(node, dict):
        return {name: _renamed(value, key, new) for name, value in node.items()}
    if isinstance(node, list):
        return [_renamed(value, key, new) for value in node]
    return f"#/$defs/{new}" if node == f"#/$defs/{key}" else node
