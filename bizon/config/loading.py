"""From YAML to a validated configuration, in three stages: read, resolve, validate.

``load_yaml`` or ``document_from_dict`` reads a ``Document``. ``resolve`` replaces references to variables and applies
overrides. ``validate`` turns the result into a ``BizonConfig``. ``build_config`` combines the last two.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bizon.common.models import BizonConfig
from bizon.config.document import Document, KeyPath, document_from_dict, load_yaml
from bizon.config.messages import refuse
from bizon.config.plain_data import problems_of
from bizon.config.references import Resolved, load_env_files, resolve_env
from bizon.config.streams import are_separate
from bizon.config.validation import LoadedConfig, ResolveSource, validate

if TYPE_CHECKING:
    from bizon.config.many import NamesOf

__all__ = [
    "LoadedConfig",
    "build_config",
    "config_schema",
    "document_from_dict",
    "load_env_files",
    "load_yaml",
    "resolve",
]

_OWN_FILES = (
    ("source", "source_file_path"),
    ("source", "signing", "file"),
    ("destination", "config", "destination_file_path"),
)


def build_config(
    document: Document,
    *,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any],
    resolve_source: ResolveSource,
    names_of: "NamesOf | None" = None,
) -> LoadedConfig:
    """Resolve and validate a configuration. ``overrides`` has the shape of the YAML and wins over it. ``names_of``: for
    ``streams: "*"``, the streams that a source offers. The arguments are not changed.

    Raises one ConfigError for all mistakes, a line each: file, line, column, key path, what is allowed.
    """
    resolved = resolve(document, environ=environ, overrides=overrides)
    if are_separate(resolved.document.data):
        return _of_separate(resolved, resolve_source, names_of)
    return validate(resolved, resolve_source)


def _of_separate(resolved: Resolved, resolve_source: ResolveSource, names_of: "NamesOf | None") -> LoadedConfig:
    from bizon.config.many import validate_many  # most pipelines have one stream, and start faster without it

    return validate_many(resolved, resolve_source, names_of or (lambda _block: None))


def resolve(document: Document, *, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Resolved:
    """The document with the values of variables, with ``overrides``, and with absolute paths of the user's own files.

    Raises ConfigError for references that cannot be resolved, and for values that no configuration may hold.
    """
    refuse(problems_of(document.data), document)
    resolved = resolve_env(document, environ)
    data, overridden = _merged(resolved.document.data, overrides)
    document = replace(document, data=data, overridden=overridden)
    refuse(problems_of(data), document)
    for keys in _OWN_FILES:
        _anchor(data, keys, document.folder)
    return Resolved(document, resolved.secrets)


def config_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the YAML, for editors. It allows the keys of connectors, but does not describe
    them."""
    schema = BizonConfig.model_json_schema(by_alias=True)
    schema["$defs"]["SourceConfig"]["additionalProperties"] = True
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "bizon pipeline"}


def _merged(data: dict[str, Any], overrides: Mapping[str, Any]) -> tuple[dict[str, Any], frozenset[KeyPath]]:
    """``data`` with ``overrides``, and the paths that they set. A block of the wrong type is left to the validation."""
    paths: set[KeyPath] = set()

    def merge(below: Any, above: Mapping[str, Any], path: KeyPath) -> Any:
        if not isinstance(below, dict):
            return below
        merged = dict(below)
        for key, value in above.items():
            if isinstance(value, Mapping):
                merged[key] = merge(merged.get(key, {}), value, (*path, key))
            else:
                merged[key] = value
                paths.add((*path, key))
        return merged

    return merge(data, overrides, ()), frozenset(paths)


def _anchor(data: dict[str, Any], keys: Sequence[str], folder: Path | None) -> None:
    """Make the path below these keys absolute: relative to the working directory, else to the folder of the file."""
    *above, last = keys
    block: Any = data
    for key in above:
        block = block.get(key) if isinstance(block, dict) else None
    if not isinstance(block, dict) or not isinstance(block.get(last), str):
        return
    with suppress(OSError, RuntimeError):  # an unknown user, a long name: reported on loading
        given = Path(block[last]).expanduser()
        for base in filter(None, (Path.cwd(), folder)):
            if (base / given).exists():
                block[last] = str(base / given)
                return
