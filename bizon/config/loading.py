"""From a document to a validated configuration: variables, overrides, both halves of the validation, one report."""

import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bizon.common.errors.errors import ConfigError, MissingDependencyError
from bizon.common.models import BizonConfig, GenericSourceConfig, PathsFrom
from bizon.common.scrub import Scrubber
from bizon.common.secret import iter_secrets
from bizon.config.document import Document, KeyPath, document_from_dict, load_yaml
from bizon.config.messages import Problem, problems_in, report, without_values
from bizon.config.plain_data import problems_of
from bizon.config.references import Resolved, load_env_files, resolve_env
from bizon.config.streams import place_in_streams, valid_streams, with_record_schemas
from bizon.config.strict import nearest
from bizon.source.config import SourceConfig, SourceSyncModes

__all__ = [
    "Document",
    "LoadedConfig",
    "ResolveSource",
    "Resolved",
    "build_config",
    "config_schema",
    "document_from_dict",
    "load_env_files",
    "load_yaml",
    "resolve_env",
]

ResolveSource = Callable[[GenericSourceConfig], type[SourceConfig]]
"""Finds the config class of the source that a block names; raises ConfigError, with ``key`` where it is known."""

_IDENTITY = ("name", "stream", "source_file_path")  # what it takes to find the class of a source


@dataclass(frozen=True)
class LoadedConfig:
    """A validated configuration, and the texts that must not appear in logs."""

    config: BizonConfig
    secrets: frozenset[str] = field(repr=False)


def build_config(
    document: Document, *, environ: Mapping[str, str], overrides: Mapping[str, Any], resolve_source: ResolveSource
) -> LoadedConfig:
    """Validate a configuration. ``overrides`` has the shape of the YAML and wins over it; nothing given is changed.

    Raises one ConfigError for all mistakes, a line each: file, line, column, key path, what is allowed.
    """
    _refuse(problems_of(document.data), document)
    resolved = resolve_env(document, environ)
    data, overridden = _merged(resolved.data, overrides)
    document = replace(document, data=data, overridden=overridden)
    _refuse(problems_of(data), document)
    _anchor_source_file(data, document.folder)
    problems: list[Problem] = []
    source = _validated_source(data, resolve_source, problems)
    source_is_missing = "source" not in data
    data = {**data, "source": source}
    if source is None:
        del data["source"]  # what other blocks say is judged without it
    try:
        config = BizonConfig.model_validate(data)
    except ValidationError as error:
        streams = valid_streams(data.get("streams"))
        found = problems_in(error, BizonConfig, with_record_schemas(data, streams))
        problems += [
            problem._replace(path=place_in_streams(problem.path, data, streams))
            for problem in found
            if problem.path != ("source",) or source_is_missing
        ]
    problems += _paths_from_elsewhere(data, document.folder)
    if problems:
        raise ConfigError(Scrubber(resolved.secrets, patterns=False)(report(problems, document)))
    return LoadedConfig(config, resolved.secrets | frozenset(iter_secrets(config)))


def _refuse(problems: Iterable[Problem], document: Document) -> None:
    text = report(problems, document)
    if text:
        raise ConfigError(text)


def _paths_from_elsewhere(data: dict[str, Any], folder: Path | None) -> list[Problem]:
    """The command changes into the folder of the file; a program has a working directory that is not ours to change."""
    if data.get("paths") != PathsFrom.CONFIG or (folder is not None and folder.resolve() == Path.cwd()):
        return []
    remedy = "a program that runs the pipeline changes into the folder of the file itself, with contextlib.chdir"
    return [Problem(("paths",), f"config holds for the command; {remedy}")]


def config_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the YAML, for editors. Keys of connectors are allowed but not described."""
    schema = BizonConfig.model_json_schema(by_alias=True)
    schema["$defs"]["SourceConfig"]["additionalProperties"] = True
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "bizon pipeline"}


def _validated_source(
    data: dict[str, Any], resolve_source: ResolveSource, problems: list[Problem]
) -> SourceConfig | None:
    """The typed ``source`` block; None, with problems added, when there is none."""
    block = data.get("source")
    if "source" not in data or isinstance(block, SourceConfig):
        return block
    model: type[SourceConfig] = GenericSourceConfig
    probe = _probe(block)
    if probe is not None:
        try:
            model = resolve_source(probe)
        except (ConfigError, MissingDependencyError) as error:
            problems.append(_about_source(error, probe))
    streams = valid_streams(data.get("streams"))
    try:
        block = model.filled_from_streams(block, streams) if streams and isinstance(block, dict) else block
        source = model.model_validate(block).of_streams(streams)
    except ConfigError as error:
        problems.append(Problem(error.key or ("streams",), str(error)))
        return None
    except ValidationError as error:
        problems += problems_in(error, model, block, ("source",))
        if probe is None and isinstance(block, dict):
            problems += _misspelt_identity(block)
        return None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a connector's code raises
        problems.append(_failure_of_class(error, model, block))
        return None
    return None if problems else source


def _probe(block: Any) -> GenericSourceConfig | None:
    """As much of a ``source`` block as it takes to find its class; its other mistakes are found later."""
    if not isinstance(block, dict):
        return None
    given: dict[str, Any] = {key: block[key] for key in _IDENTITY if isinstance(block.get(key), str) and block[key]}
    if block.get("sync_mode") in list(SourceSyncModes):
        given["sync_mode"] = SourceSyncModes(block["sync_mode"])
    return GenericSourceConfig.model_construct(**given) if {"name", "stream"} <= given.keys() else None


def _failure_of_class(error: BaseException, model: type[SourceConfig], block: Any) -> Problem:
    """A connector's config class raised something else than what pydantic understands."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    words = without_values(f"{type(error).__name__}: {error}", block)
    text = f"{model.__name__} failed at {last.filename}:{last.lineno}: {words}; a validator has to raise ValueError"
    return Problem(("source",), text)


def _misspelt_identity(block: dict[str, Any]) -> list[Problem]:
    """Without its name and stream a source's own keys are unknown; one that stands for these two is told anyway."""
    absent = [key for key in ("name", "stream") if key not in block]
    strange = [str(key) for key in block if key not in SourceConfig.model_fields]
    hints = ((key, nearest(key, absent)) for key in strange)
    return [Problem(("source", key), f"unknown key{hint}") for key, hint in hints if hint]


def _about_source(error: ConfigError | MissingDependencyError, probe: GenericSourceConfig) -> Problem:
    """A mistake that was found while the source's class was looked for."""
    key = error.key if isinstance(error, ConfigError) else None
    if key is None:
        key = ("source", "source_file_path" if probe.source_file_path else "name")
    elif key[:1] != ("source",):
        key = ("source", *key)
    return Problem(key, str(error), at_value=True)


def _merged(data: dict[str, Any], overrides: Mapping[str, Any]) -> tuple[dict[str, Any], frozenset[KeyPath]]:
    """``overrides`` laid over ``data``, and the paths that come from them. A block of the wrong kind is left to the
    validation."""
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


def _anchor_source_file(data: dict[str, Any], folder: Path | None) -> None:
    """Make ``source.source_file_path`` absolute: relative to the working directory, else beside the configuration."""
    block = data.get("source")
    if not isinstance(block, dict) or not isinstance(block.get("source_file_path"), str):
        return
    with suppress(OSError, RuntimeError):  # no such user, or a name that is too long: said where the file is loaded
        given = Path(block["source_file_path"]).expanduser()
        for base in filter(None, (Path.cwd(), folder)):
            if (base / given).exists():
                block["source_file_path"] = str(base / given)
                return
