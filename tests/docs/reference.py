"""The reference pages, rendered from the config models and the command line.

``python tests/docs/reference.py --write`` replaces the committed pages; a test compares them with the rendering.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import Enum
from inspect import get_annotations
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, WithJsonSchema
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

from bizon.cli.main import cli
from bizon.common.models import BizonConfig
from bizon.config.selected import Selected
from bizon.destination.config import AbstractDestinationDetailsConfig
from bizon.destination.discover import OutsideDestinationConfig
from bizon.source.auth.config import PARAMS_BY_TYPE, AuthConfig
from bizon.source.config import SourceConfig
from bizon.source.discover import list_sources, load_source

ROOT = Path(__file__).parents[2]
CONFIG_PAGE = ROOT / "docs/reference/config.md"
CLI_PAGE = ROOT / "docs/reference/cli.md"
GENERATED = "<!-- Generated: python tests/docs/reference.py --write -->"
FILE_TITLE = "The file"
SCALARS = {
    datetime: "date",
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    dict: "map",
    Any: "any",
}
SHARED: dict[type[BaseModel], str] = {
    AbstractDestinationDetailsConfig: "destination.config",
    SourceConfig: "source",
}
SIGNS = {Ge: (">=", "ge"), Gt: (">", "gt"), Le: ("<=", "le"), Lt: ("<", "lt")}


def render_config_reference() -> str:
    """``docs/reference/config.md``: each key of the YAML with type, default and meaning."""
    lines = [
        f"# Keys of a pipeline file\n\n{GENERATED}\n",
        "A key that is not listed here is an error. **required** marks a key without a default. Any text may be",
        "`BIZON_ENV_NAME` (the whole value) or contain `${env://NAME}`: the value of that environment variable;",
        "`$${env://NAME}` keeps the text, and the Python of transforms is left as it is. `bizon config schema` prints",
        "the same as JSON Schema, for editors.",
        "",
        *_model_section(FILE_TITLE, BizonConfig),
    ]
    for field_name, field in BizonConfig.model_fields.items():
        if field_name == "destination":
            lines += _model_section("destination.config", AbstractDestinationDetailsConfig)
        lines += _sections(field_name, field)
    lines += ["## Keys of the built-in sources", "", "In addition to the keys of `source` above.", ""]
    for name in sorted({info.name for info in list_sources()}):
        config_class = load_source(name).get_config_class()
        lines += _model_section(f"source (name: {name})", config_class, level=3)
        shown = {*_shared_blocks()}
        for key, field in _own_fields(config_class):
            lines += _source_sections(name, f"source.{field.alias or key}", field.annotation, shown)
    return "\n".join(lines).rstrip() + "\n"


def _shared_blocks() -> Iterator[type[BaseModel]]:
    """The blocks of every source, and the parameters of an authentication: they have their sections."""
    yield from PARAMS_BY_TYPE.values()
    yield AuthConfig
    for field in SourceConfig.model_fields.values():
        for model in _models(field.annotation):
            yield model
            yield from (below for each in model.model_fields.values() for below in _models(each.annotation))


def _source_sections(name: str, path: str, annotation: Any, shown: set[type[BaseModel]]) -> Iterator[str]:
    """Sections of the blocks below a key of a source, each block once."""
    path += "[]" if _is_list(annotation) else ".NAME" if _is_map(annotation) else ""
    models = list(_models(annotation))
    for model in models:
        if model in shown:
            continue
        shown.add(model)
        chosen = _selector(model) if len(models) > 1 else ""
        yield from _model_section(f"{path} (name: {name}{chosen and f', {chosen}'})", model, level=3)
        for key, field in model.model_fields.items():
            yield from _source_sections(name, f"{path}.{field.alias or key}", field.annotation, shown)


def render_cli_reference() -> str:
    """``docs/reference/cli.md``: the help of each command."""
    lines = ["# Commands", "", GENERATED, ""]
    for words, _ in commands():
        lines += [f"## {words}", "", "```text", _help(words), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def commands() -> Iterator[tuple[str, Any]]:
    """``bizon run`` and so on, each with its click command, groups left out."""

    def walk(words: str, command: Any) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield words, command
            return
        for name, child in inner.items():
            yield from walk(f"{words} {name}", child)

    yield from walk("bizon", typer.main.get_command(cli))


def _help(words: str) -> str:
    """The ``--help`` output of a command, 80 columns wide."""
    plain = {"COLUMNS": "80", "NO_COLOR": "1"}
    done = CliRunner().invoke(cli, [*words.split()[1:], "--help"], env=plain, prog_name="bizon")
    return "\n".join(line.rstrip() for line in done.output.strip().splitlines())


def _sections(
    path: str, field: FieldInfo, selector: str = "", around: frozenset[type[BaseModel]] = frozenset()
) -> list[str]:
    """Sections of the models below a field, in order. ``selector``: the variant of the block they apply to. A block
    that may contain itself is written once; ``around`` are the blocks that enclose this one."""
    models = [model for model in _models_of(field) if model not in around]
    if any(model in PARAMS_BY_TYPE.values() for model in models):
        return []  # `params` of authentication: written with their owner
    path += "[]" if _is_list(field.annotation) else ""
    lines: list[str] = []
    inner: dict[tuple[str, Any], tuple[FieldInfo, list[str]]] = {}  # the same block in several variants is shown once
    for model in models:
        chosen = _selector(model) or selector
        lines += _model_section(f"{path} ({chosen})" if chosen else path, model)
        for name, child in _own_fields(model):
            inner.setdefault((child.alias or name, child.annotation), (child, []))[1].append(chosen)
        if issubclass(model, AuthConfig):
            for params in dict.fromkeys(PARAMS_BY_TYPE.values()):
                types = ", ".join(kind.value for kind, used in PARAMS_BY_TYPE.items() if used is params)
                lines += _model_section(f"{path}.params (type: {types})", params)
    for (name, _), (child, chosen_by) in inner.items():
        lines += _sections(f"{path}.{name}", child, _joined(chosen_by), around.union(models))
    return lines


def _selector(model: type[BaseModel]) -> str:
    """``name: file``, if a literal field makes the model one variant of a block."""
    for name in ("name", "type"):
        field = model.model_fields.get(name)
        if field is not None and get_origin(field.annotation) is Literal:
            value = get_args(field.annotation)[0]
            return f"{name}: {getattr(value, 'value', value)}"
    return ""


def _joined(selectors: list[str]) -> str:
    first, *others = dict.fromkeys(selectors)
    return ", ".join([first, *(other.partition(": ")[2] for other in others)])


def _model_section(title: str, model: type[BaseModel], level: int = 2) -> list[str]:
    own = list(_own_fields(model))
    base = next((SHARED[base] for base in model.__mro__[1:] if base in SHARED), None)
    lines = [f"{'#' * level} {title if title == FILE_TITLE else f'`{title}`'}", ""]
    if base is not None:
        lines += [f"The keys of `{base}`" + (", and:" if own else "; no others."), ""]
    if own:
        lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        lines += [_field_row(field.alias or name, field) for name, field in own]
        lines.append("")
    return lines


def _own_fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """The fields of a model, without the fields that every model of its kind shares."""
    order = model.__mro__
    shared = next((number for number, base in enumerate(order) if number and base in SHARED), None)
    declared = set(model.model_fields) if shared is None else {n for c in order[:shared] for n in get_annotations(c)}
    return ((name, field) for name, field in model.model_fields.items() if name in declared)


def _models_of(field: FieldInfo) -> list[type[BaseModel]]:
    """The blocks a field may hold."""
    selected = next((each for each in field.metadata if isinstance(each, Selected)), None)
    models = _models(field.annotation) if selected is None else selected.all().values()
    return [model for model in models if model is not OutsideDestinationConfig]  # the user's class defines its keys


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation is not BaseModel:
            yield annotation
    else:
        for argument in get_args(annotation):
            yield from _models(argument)


def _is_map(annotation: Any) -> bool:
    arguments = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return any(get_origin(inner) is dict for inner in arguments)


def _is_list(annotation: Any) -> bool:
    arguments = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return any(getattr(get_origin(inner), "__name__", "") in ("list", "tuple", "Sequence") for inner in arguments)


def _type(field: FieldInfo) -> str:
    if known := _titled(field.metadata):
        return known
    limits = "".join(
        f" {SIGNS[type(limit)][0]} {getattr(limit, SIGNS[type(limit)][1])}"
        for limit in field.metadata
        if type(limit) in SIGNS
    )
    text = _type_text(field.annotation)
    return text.removesuffix(" or null") + limits + (" or null" if text.endswith(" or null") else "")


def _type_text(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in SCALARS:
        return SCALARS[annotation]
    if origin is Annotated:
        return _titled(arguments[1:]) or _type_text(arguments[0])
    if origin in (Union, UnionType):
        texts = [_type_text(inner) for inner in arguments if inner is not NoneType]
        return " or ".join([*dict.fromkeys(texts), *(["null"] if NoneType in arguments else [])])
    if origin is Literal:
        return ", ".join(f"`{getattr(value, 'value', value)}`" for value in arguments)
    if origin is dict:
        return f"map of {_type_text(arguments[1])}"
    if origin is tuple and Ellipsis not in arguments:
        return f"list of {len(arguments)}: {_type_text(arguments[0])}"
    if origin is not None:
        return f"list of {_type_text(arguments[0])}"
    if issubclass(annotation, Enum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    return "block"


def _titled(metadata: Iterable[Any]) -> str | None:
    """The words for a type that describes itself; its schema has a title, or it is a secret."""
    for part in metadata:
        if isinstance(part, WithJsonSchema):
            schema = part.json_schema or {}
            return "secret text" if schema.get("format") == "password" else schema.get("title")
    return None


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel) or any(isinstance(each, Selected) for each in field.metadata):
        return "its defaults"
    if isinstance(value, Enum):
        value = value.value
    return f"`{json.dumps(value)}`" if not isinstance(value, str) or not value else f"`{value}`"


def _field_row(key: str, field: FieldInfo) -> str:
    return _row(f"`{key}`", _type(field), _default(field), field.description or "")


def _row(*cells: str) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    parts[::2] = [part.replace("<", "\\<") for part in parts[::2]]  # outside code it would be taken for HTML
    return "`".join(parts)


if __name__ == "__main__":
    pages = {CONFIG_PAGE: render_config_reference(), CLI_PAGE: render_cli_reference()}
    for page, text in pages.items():
        if "--write" in sys.argv[1:]:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text, encoding="utf-8")
        elif page.read_text(encoding="utf-8") != text:
            sys.exit(f"{page.relative_to(ROOT)} is stale: python tests/docs/reference.py --write")
