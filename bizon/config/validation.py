"""From resolved data to a ``BizonConfig``. The config class of the source validates the ``source`` block first."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bizon.common.errors.errors import ConfigError, MissingDependencyError
from bizon.common.models import BizonConfig, GenericSourceConfig, PathsFrom
from bizon.common.scrub import Scrubber
from bizon.common.secret import iter_secrets, registry
from bizon.config.messages import Problem, failure_of_class, problems_in, report
from bizon.config.streams import place_in_streams, valid_streams, with_record_schemas
from bizon.config.strict import nearest
from bizon.source.config import SourceConfig, SourceSyncModes

if TYPE_CHECKING:
    from bizon.config.document import Document
    from bizon.config.references import Resolved

ResolveSource = Callable[[GenericSourceConfig], type[SourceConfig]]
"""Finds the config class of the source that a block names. Raises ConfigError, with ``key`` where the key is known."""

_IDENTITY = ("name", "stream", "source_file_path")  # the keys that name the class of a source


@dataclass(frozen=True)
class LoadedConfig:
    """A validated configuration, and the texts that must not appear in logs."""

    config: BizonConfig
    secrets: frozenset[str] = field(repr=False)

    def of_stream(self, name: str) -> "LoadedConfig":
        """The configuration of one of its streams. Raises ConfigError."""
        return replace(self, config=self.config.for_stream(name))

    def scrubber(self, more: Iterable[str] = ()) -> Scrubber:
        """Masks these texts, and ``more``."""
        return Scrubber(self.secrets.union(more))

    def masked(self) -> AbstractContextManager[None]:
        """Within: no output of this process shows these texts."""
        return registry.known_while(self.secrets)


def validate(resolved: "Resolved", resolve_source: ResolveSource) -> LoadedConfig:
    """Validate a configuration. Raises one ConfigError for all mistakes, a line each."""
    config, problems = checked(resolved.document, resolve_source)
    if config is None or problems:
        raise refusal_of(problems, resolved)
    return LoadedConfig(config, resolved.secrets | frozenset(iter_secrets(config)))


def checked(document: "Document", resolve_source: ResolveSource) -> tuple[BizonConfig | None, list[Problem]]:
    """The configuration that the data of a document describe, and their mistakes. None if they are too many for one."""
    data = document.data
    source, problems = _validated_source(data, resolve_source)
    validated = {key: value for key, value in data.items() if key != "source"}
    if source is not None:
        validated["source"] = source
    config = None
    try:
        config = BizonConfig.model_validate(validated)
    except ValidationError as error:
        streams = valid_streams(data.get("streams"))
        found = problems_in(error, BizonConfig, with_record_schemas(validated, streams))
        problems += [
            problem._replace(path=place_in_streams(problem.path, validated, streams))
            for problem in found
            if problem.path != ("source",) or "source" not in data
        ]
    return config, problems + _problems_of_paths(data, document.folder)


def refusal_of(problems: Iterable[Problem], resolved: "Resolved") -> ConfigError:
    """The error for these mistakes, without the values of variables."""
    text = report(problems, resolved.document)
    return ConfigError(Scrubber(resolved.secrets, patterns=False)(text))


def _problems_of_paths(data: dict[str, Any], folder: Path | None) -> list[Problem]:
    """``paths: config`` outside the folder of the file. The command changes into the folder; a program must do so
    itself, since the library leaves its working directory alone."""
    if data.get("paths") != PathsFrom.CONFIG or (folder is not None and folder.resolve() == Path.cwd()):
        return []
    remedy = "a program that runs the pipeline changes into the folder of the file itself, with contextlib.chdir"
    return [Problem(("paths",), f"config works for the command only; {remedy}")]


def _validated_source(data: dict[str, Any], resolve_source: ResolveSource) -> tuple[SourceConfig | None, list[Problem]]:
    """The typed ``source`` block, or None and its mistakes. A missing block is left to ``BizonConfig``."""
    block = data.get("source")
    if "source" not in data or isinstance(block, SourceConfig):
        return block, []
    model: type[SourceConfig] = GenericSourceConfig
    problems: list[Problem] = []
    probe = _probe(block)
    if probe is not None:
        try:
            model = resolve_source(probe)
        except (ConfigError, MissingDependencyError) as error:
            problems.append(_problem_of_class(error, probe))
    streams = valid_streams(data.get("streams"))
    try:
        block = model.filled_from_streams(block, streams) if streams and isinstance(block, dict) else block
        source = model.model_validate(block).of_streams(streams)
    except ConfigError as error:
        problems.append(Problem(error.key or ("streams",), str(error)))
    except ValidationError as error:
        problems += problems_in(error, model, block, ("source",))
        if probe is None and isinstance(block, dict):
            problems += _misspelt_identity(block)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a connector's code raises
        problems.append(Problem(("source",), failure_of_class(error, model, block)))
    return (None, problems) if problems else (source, problems)


def _probe(block: Any) -> GenericSourceConfig | None:
    """The keys of a ``source`` block that name its class; None when they are not valid."""
    if not isinstance(block, dict):
        return None
    given: dict[str, Any] = {key: block[key] for key in _IDENTITY if isinstance(block.get(key), str) and block[key]}
    if block.get("sync_mode") in list(SourceSyncModes):
        given["sync_mode"] = SourceSyncModes(block["sync_mode"])
    return GenericSourceConfig.model_construct(**given) if {"name", "stream"} <= given.keys() else None


def _problem_of_class(error: ConfigError | MissingDependencyError, probe: GenericSourceConfig) -> Problem:
    """The class of the source was not found."""
    key = error.key if isinstance(error, ConfigError) else None
    if key is None:
        key = ("source", "source_file_path" if probe.source_file_path else "name")
    elif key[:1] != ("source",):
        key = ("source", *key)
    return Problem(key, str(error), at_value=True)


def _misspelt_identity(block: dict[str, Any]) -> list[Problem]:
    """Unknown keys that look like ``name`` or ``stream``. All other keys may belong to the source, which is unknown."""
    absent = [key for key in ("name", "stream") if key not in block]
    strange = [str(key) for key in block if key not in SourceConfig.model_fields]
    hints = ((key, nearest(key, absent)) for key in strange)
    return [Problem(("source", key), f"unknown key{hint}") for key, hint in hints if hint]
